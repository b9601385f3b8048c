"""Several modalities of the same things: pictures of one name in several folders, or pictures and labels of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vaetool.errors import ImageError, UsageError
from vaetool.files.tables import read_table
from vaetool.images.sources import Source, by_name, find_sources, refuse_alone

LABEL = "label"
"""The name of the modality of labels."""

COLUMNS = ("path", "label")
NAMED = 10  # labels in a message


class Modalities(NamedTuple):
    """Images, each with what else there is of it, and the names of the modalities; none if there is only one."""

    sources: list[Source]
    names: tuple[str, ...] = ()


def find_modalities(data: Sequence[str | Path], table: str | Path | None, root: str | Path = ".") -> Modalities:
    """Return the images of the first place, each with those of the same name in the others, and with its label.

    table: labels, see `LabelTable`. Of one place without a table, the folders that images lie in are their labels.
    Modalities are named after their places, and `LABEL`. Raises UsageError as `find_sources`, for an image that is not
    in all places or has no label, and if all have the same label.
    """
    places = [find_sources([place], root) for place in data]
    sources = places[0] if len(places) == 1 else _grouped(places, f"all of {', '.join(map(str, data))}")
    names = [_name(place) for place in data]
    if table is not None or len(places) == 1:
        names.append(LABEL)
        sources = sources if table is None else _labelled(sources, LabelTable(table))
        if len({source.label for source in sources}) < 2:
            raise UsageError(
                "what goes with the pictures? Name a second folder with pictures of the same names, or a table with "
                "--labels, or a folder with a sub-folder for each label"
            )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two modalities are called {twice}: rename a folder")
    return Modalities(sources, tuple(names))


class LabelTable:
    """Labels of pictures, from a CSV file with the columns `path` and `label`.

    A path is relative to the table's folder or to the folder of the pictures. Raises UsageError as `read_table`, for a
    line without path or label, and for a file that has two labels.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._labels: dict[str, str] = {}
        for line, (name, word) in read_table(path, COLUMNS):
            label = word.strip()
            if not name or not label:
                raise UsageError(f"{path}: line {line}: has no {'label' if name else 'path'}")
            if self._labels.setdefault(os.path.normpath(name), label) != label:
                raise UsageError(f"{path}: line {line}: {name} has two labels")

    def of(self, file: str | Path, name: str = "") -> str | None:
        """Return the label of a file, also known by its name in the folder of pictures; None if it has none.

        Links count under their own names and under those of the files that they lead to.
        """
        folder = self.path.parent
        named, resolved = os.path.relpath(file, folder), os.path.relpath(os.path.realpath(file), folder.resolve())
        return next((self._labels[known] for known in (named, resolved, name) if known in self._labels), None)


def _grouped(places: list[list[Source]], named: str) -> list[Source]:
    """Return the images of the first place, each with those of the same name in the others."""
    first, *others = map(by_name, places)
    refuse_alone({name for other in others for name in first.keys() ^ other.keys()}, named)
    return [replace(source, others=tuple(other[name].read for other in others)) for name, source in first.items()]


def number_of_label(label: str, labels: Sequence[str]) -> int:
    """Return the place of a label among those that a model knows. Raises ImageError if it is none of them."""
    if label not in labels:
        known = ", ".join(labels[:NAMED]) + (", ..." if len(labels) > NAMED else "")
        raise ImageError(f"its label {label} is not one that the model knows: {known}")
    return list(labels).index(label)


def _labelled(sources: list[Source], table: LabelTable) -> list[Source]:
    labels = [table.of(source.file or source.origin, source.name) for source in sources]
    without = [source.name for source, label in zip(sources, labels, strict=True) if label is None]
    if without:
        more = f", nor have {len(without) - 1} others" if len(without) > 1 else ""
        raise UsageError(f"{without[0]} has no label in {table.path}{more}")
    return [replace(source, label=label) for source, label in zip(sources, labels, strict=True) if label is not None]


def _name(place: str | Path) -> str:
    """Return the name of a place's modality.

    >>> _name("data/photos/"), _name("masks.zip"), _name("torchvision:MNIST")
    ('photos', 'masks', 'MNIST')
    """
    path = Path(os.path.abspath(str(place).removeprefix("torchvision:")))  # noqa: PTH100 - a link has its own name
    return path.stem if path.suffix.lower() == ".zip" else path.name
