"""Models that are fitted to a folder when they are asked for, and kept until the folder changes."""

from __future__ import annotations

import atexit
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vaetool.errors import VaetoolError
from vaetool.images.sources import Source, find_sources
from vaetool.store import weights
from vaetool.store.headers import with_article
from vaetool.training.checkpoints import Progress
from vaetool.training.config import Recipe
from vaetool.training.loop import train
from vaetool.training.report import Reporter

MAX_KEPT = 20
"""Models in the cache; the ones that were not used for longest are removed."""


def fitted(kind: str, place: str | Path, *, device: str = "auto", say: Callable[[str], None] = print) -> Path:
    """Return the file of a model of a kind in closed form, fitted to a folder or zip file of images.

    It is fitted anew only if names, sizes or dates of the images have changed. say: takes what is found out by a fit.
    Where the cache cannot be written, it is fitted for this process alone. Raises UsageError, TrainingError.
    """
    folder = cache_folder()
    path = folder / f"{kind}-{fingerprint(find_sources([place]))}{weights.SUFFIX}"
    if _is_usable(path):
        os.utime(path)
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        workplace = tempfile.TemporaryDirectory(dir=folder)
    except OSError as error:
        say(
            f"the cache {folder} cannot be written ({error.strerror or error}): the model will be fitted anew next time"
        )
        workplace = tempfile.TemporaryDirectory(prefix="vaetool-")
        atexit.register(workplace.cleanup)
        path = Path(workplace.name) / path.name
        fit(kind, place, path, device=device, say=say)
        return path
    with workplace:
        new = Path(workplace.name) / path.name
        fit(kind, place, new, device=device, say=say)
        new.replace(path)
    for old in sorted(folder.glob(f"*{weights.SUFFIX}"), key=lambda file: file.stat().st_mtime)[:-MAX_KEPT]:
        old.unlink(missing_ok=True)
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
    """Passes on what is found out about the images, and writes no files.

    The figure of merit is left out: the few pictures that are held out, with drawn defects, say little of real ones.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(files=False)
        self._say = say

    def say(self, message: str) -> None:
        self._say(message)

    @contextmanager
    def open(self, recipe: Recipe, output: Path, images: int, progress: Progress) -> Iterator[None]:
        """Say what is fitted, but not where to, which is a folder for the time being."""
        self.say(f"fitting {with_article(recipe.kind)} model to {images} images")
        yield

    def validation(self, *_: Any) -> None:
        """Say nothing."""

    def finished(self, name: str, progress: Progress, images: int, *_: Any) -> None:
        """Say how many images were left out of the fit."""
        self.say(f"held out, to measure the fit: {images} image{'s' if images != 1 else ''}")
