"""Models that are fitted to a folder when they are asked for, and kept until the folder changes."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vaetool.errors import FileError, VaetoolError
from vaetool.images.sources import Source, find_sources
from vaetool.store import weights
from vaetool.training.loop import train
from vaetool.training.report import Reporter

MAX_KEPT = 20
"""Models in the cache; the ones that were not used for longest are removed."""


def fitted(kind: str, place: str | Path, *, device: str = "auto", say: Callable[[str], None] = print) -> Path:
    """Return the file of a model of a kind in closed form, fitted to a folder or zip file of images.

    It is fitted anew only if names, sizes or dates of the images have changed. say: takes what is found out by a fit.
    Raises UsageError, TrainingError, and FileError where the cache cannot be written.
    """
    folder = cache_folder()
    path = folder / f"{kind}-{fingerprint(find_sources([place]))}{weights.SUFFIX}"
    if _is_usable(path):
        os.utime(path)
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as workplace:
            new = Path(workplace) / path.name
            fit(kind, place, new, device=device, say=say)
            new.replace(path)
        for old in sorted(folder.glob(f"*{weights.SUFFIX}"), key=lambda file: file.stat().st_mtime)[:-MAX_KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(f"the cache {folder} cannot be written: {error.strerror or error}") from error
    return path


def fit(kind: str, place: str | Path, path: Path, *, device: str, say: Callable[[str], None]) -> None:
    """Fit a model of a kind in closed form to a folder or zip file of images, and write it to a new file.

    say: as for `fitted`. Raises UsageError, TrainingError.
    """
    train(kind, place, output=path, device=device, reporter=_Saying(say))


def _is_usable(path: Path) -> bool:
    """Tell whether a cached model can be loaded: it may be of another version, or damaged."""
    try:
        weights.load(path, device="cpu")
    except VaetoolError:
        return False
    return True


def cache_folder() -> Path:
    """Return the folder of the cache."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("vaetool", appauthor=False)) / "fitted"


def fingerprint(sources: list[Source]) -> str:
    """Return a name for images, another one if any of them was added, removed or changed."""
    facts = []
    for source in sources:
        path = Path(source.origin)
        file = next((each for each in (path, *path.parents) if each.is_file()), None)  # a zip file, for what is in one
        facts.append((source.name, source.origin, file and (file.stat().st_size, file.stat().st_mtime_ns)))
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()[:24]


class _Saying(Reporter):
    """Passes on what a run says, and writes no files."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(files=False)
        self._say = say

    def say(self, message: str) -> None:
        self._say(message)

    def validation(self, *_: Any) -> None:
        """Say nothing: the figure comes again at the end."""
