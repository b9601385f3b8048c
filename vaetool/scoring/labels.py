"""What is known of images beforehand: which are outliers, from a table or by their folders, and masks of defects.

Masks are compared with maps, so both are made here of what a model sees of a picture.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from vaetool import inputs
from vaetool.conversion import from_unit
from vaetool.errors import FileError, UsageError

WORDS = {"0": False, "normal": False, "1": True, "outlier": True}
COLUMNS = ("path", "label")
MASK_ENDINGS = ("", "_mask")
"""What follows an image's name in that of its mask: nothing, or as in MVTec AD."""


class Labels:
    """Whether files are outliers, by their places in the file system, however those are written."""

    def __init__(self, known: Iterable[tuple[Path, bool]]) -> None:
        self._known: dict[str, bool] = {}
        self.paths: list[Path] = []
        for path, outlier in known:
            place = _place(path)
            if self._known.setdefault(place, outlier) != outlier:
                raise UsageError(f"{path}: is said to be both normal and an outlier")
            self.paths.append(path)

    def of(self, source: object) -> bool | None:
        """Whether a file is an outlier; None if nothing is known of it."""
        return self._known.get(_place(source))


def labels_of_folders(normal: Iterable[str], outlier: Iterable[str], *, recursive: bool = False) -> Labels:
    """From files and folders of normal images, and of outliers.

    Raises UsageError if there are none in either, or one is in both.
    """
    known: list[tuple[Path, bool]] = []
    for places, label in ((normal, False), (outlier, True)):
        entries = inputs.expand(list(places), recursive=recursive).entries
        known += [(entry.source, label) for entry in entries if isinstance(entry.source, Path)]
    return Labels(known)


def read_labels(path: str | Path) -> Labels:
    """From a CSV file with the columns `path` (relative to the file's folder) and `label`.

    A label is 0 or normal, 1 or outlier. Raises FileError for a file that is no such table, UsageError for an image
    that has both labels.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise FileError(f"{path}: has no column {missing[0]!r}; it needs {' and '.join(COLUMNS)}")
            known = [(path.parent / row["path"], _label(row["label"], path, rows.line_num)) for row in rows]
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror or error})") from error
    except csv.Error as error:
        raise FileError(f"{path}: is no CSV file ({error})") from error
    if not known:
        raise FileError(f"{path}: names no image")
    return Labels(known)


def _label(word: str | None, path: Path, line: int) -> bool:
    label = WORDS.get((word or "").strip().lower())
    if label is None:
        raise FileError(f"{path}: line {line}: a label is 0 or normal, 1 or outlier, not {word or ''!r}")
    return label


def _place(path: object) -> str:
    return os.path.abspath(str(path))  # noqa: PTH100 - as text: many paths


class Masks:
    """A folder of masks: pictures that are white where an image has a defect, or a hole.

    The mask of `cracks/07.jpg` is the `07.*` or `07_mask.*` of the folder. If there are several, the one in `cracks/`,
    or else the one in no sub-folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self._by_name: dict[str, list[inputs.Entry]] = {}
        for entry in inputs.expand([str(folder)], recursive=True).entries:
            self._by_name.setdefault(entry.place.stem, []).append(entry)

    def of(self, source: object) -> Path | None:
        """The mask of an image, if there is one.

        Raises FileError if there are several.
        """
        image = Path(_place(source))
        found = [entry for ending in MASK_ENDINGS for entry in self._by_name.get(image.stem + ending, [])]
        if len(found) > 1:
            depths = [_common_depth(entry.place, image) for entry in found]
            found = [entry for entry, depth in zip(found, depths, strict=True) if depth == max(depths) >= 0]
            if len(found) != 1:
                raise FileError("several masks have its name, and not one of them is in a folder of the same name")
        return Path(str(found[0].source)) if found else None


def _common_depth(mask: PurePath, image: PurePath) -> int:
    """How many folders a mask is in that are also the last ones of its image, -1 if they are others."""
    folders, others = mask.parent.parts, image.parent.parts
    return len(folders) if others[max(0, len(others) - len(folders)) :] == folders else -1


def map_of(model: Any, image: Any) -> tuple[np.ndarray, np.ndarray]:
    """What a model that has `maps` sees of a picture, and how unusual each point of it is.

    image: of any kind, see `vaetool.conversion.unpack`. Returns (height, width, channels) uint8 and (height, width)
    float32.
    """
    x = model.prepare(image)
    seen = from_unit(x.permute(1, 2, 0).numpy(), np.dtype(np.uint8))
    return seen, model.maps(x[None].to(model.device))[0].float().cpu().numpy()


def mask_for(model: Any, mask: Any) -> np.ndarray:
    """A mask, an image of any kind, cut and shrunk as the model does with pictures: (height, width) bool."""
    return (model.prepare(mask).mean(dim=0) > 0.5).numpy()
