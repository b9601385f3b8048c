"""Cache of models that are fitted to a folder on demand and kept until the folder changes."""

from __future__ import annotations

import atexit
import hashlib
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from vaetool.errors import UsageError, VaetoolError
from vaetool.images.sources import Source, find_sources
from vaetool.scoring.features import MIN_FOR_FOLDS
from vaetool.store import weights
from vaetool.store.headers import with_article
from vaetool.training.config import read_recipe
from vaetool.training.data import load_store
from vaetool.training.preparation import new_model
from vaetool.training.splits import SetAside

MAX_KEPT = 20
"""Maximum number of models in the cache; the least recently used are removed."""


def fitted(kind: str, place: str | Path, *, device: str = "auto", say: Callable[[str], None] = print) -> Path:
    """Return the file of a model of a closed-form kind, fitted to a folder or zip file of images.

    It is fitted anew only if names, sizes or dates of the images have changed. say: is told the findings of a fit.
    If the cache is not writable, the model is fitted for this process alone. Raises UsageError, TrainingError.
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
    """Fit a model of a closed-form kind to a folder or zip file of images, and write it to a new file.

    No images are held out as in `train`: a figure of merit on drawn defects would say little about real ones. say: as
    for `fitted`. Raises UsageError, also for too few images to calibrate with, and TrainingError.
    """
    sources = find_sources([place])
    if len(sources) < MIN_FOR_FOLDS:
        raise UsageError(
            f"too few good pictures, {len(sources)}: at least {MIN_FOR_FOLDS} are needed; 40 find far more"
        )
    recipe = read_recipe(None, kind)
    whole = partial(weights.model_class(kind).whole, config=recipe.model)
    where = weights.resolve_device(device)
    images = load_store(sources, recipe.data, recipe.model.size, whole=whole, device=where, warn=say)
    say(f"fitting {with_article(kind)} to {images.sources} images")
    started = time.monotonic()
    model = new_model(recipe).requires_grad_(False).eval()
    model.to(where, memory_format=torch.channels_last)  # type: ignore[call-overload]
    say(model.fit(images))
    words, values = model.complete(SetAside(images), {}, recipe.corruption, torch.Generator())
    for line in words:
        if line != values.get("doubt"):  # that is reported when the model is used
            say(line)
    about = {"recipe": recipe.as_dict(), "data": [Path(place).name], "images": images.sources}
    weights.save(path, model, {**about, "seconds": round(time.monotonic() - started, 1), **values})


def _is_usable(path: Path) -> bool:
    """Tell whether a cached model can be loaded: it may be from another version, or damaged."""
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
    """Return a fingerprint of images, which changes if any of them is added, removed or changed."""
    facts = []
    for source in sources:
        path = Path(source.origin)
        file = next((each for each in (path, *path.parents) if each.is_file()), None)  # a member's zip file
        facts.append((source.name, source.origin, file and (file.stat().st_size, file.stat().st_mtime_ns)))
    return hashlib.sha256(repr(facts).encode("utf-8", "surrogateescape")).hexdigest()[:24]
