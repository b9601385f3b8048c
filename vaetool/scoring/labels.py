"""Labels of images known beforehand, from a table or by folder, and masks of their defects.

Masks are compared with maps, so they are cropped and resized as a model sees pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from vaetool.errors import UsageError
from vaetool.files import inputs
from vaetool.files.remote import Place
from vaetool.files.tables import read_table
from vaetool.images.modalities import COLUMNS
from vaetool.scoring.scorer import Scorer

WORDS = {"0": False, "normal": False, "1": True, "outlier": True}


class Labels:
    """Labels of files by their location in the file system, however their paths are written: true for outliers."""

    def __init__(self, known: Iterable[tuple[Place, bool]]) -> None:
        self._known: dict[str, bool] = {}
        self.paths: list[Place] = []
        for path, outlier in known:
            place = _place(path)
            if self._known.setdefault(place, outlier) != outlier:
                raise UsageError(f"{path}: is labelled both normal and an outlier")
            self.paths.append(path)

    def of(self, source: object) -> bool | None:
        """Tell whether a file is an outlier; None if it has no label."""
        return self._known.get(_place(source))


def labels_of_folders(normal: Iterable[str], outlier: Iterable[str], *, recursive: bool = False) -> Labels:
    """Return labels from files and folders of normal images and of outliers.

    Raises UsageError if either has no images, or an image is in both.
    """
    known: list[tuple[Place, bool]] = []
    for places, label in ((normal, False), (outlier, True)):
        entries = inputs.expand(list(places), recursive=recursive).entries
        known += [(entry.source, label) for entry in entries if isinstance(entry.source, Place)]
    return Labels(known)


def read_labels(path: str | Path) -> Labels:
    """Read labels from a CSV file with the columns `path` (relative to the file's folder) and `label`.

    A label is 0 or normal, 1 or outlier. Raises UsageError for a file that is not such a table, and for an image with
    both labels.
    """
    known = [_known(name, word, Path(path), line) for line, (name, word) in read_table(path, COLUMNS)]
    if not known:
        raise UsageError(f"{path}: names no image")
    return Labels(known)


def _known(name: str, word: str, path: Path, line: int) -> tuple[Path, bool]:
    label = WORDS.get(word.strip().lower())
    if not name:
        raise UsageError(f"{path}: line {line}: has no path")
    if label is None:
        raise UsageError(f"{path}: line {line}: a label is 0 or normal, 1 or outlier, not {word!r}")
    return path.parent / name, label


def _place(path: object) -> str:
    return os.path.abspath(str(path))  # noqa: PTH100 - as text: many paths


def mask_for(model: Scorer, mask: Any) -> np.ndarray:
    """Crop and shrink a mask, an image of any kind, as the model does with pictures: (height, width) bool."""
    return (model.prepare(mask).mean(dim=0) > 0.5).numpy()
