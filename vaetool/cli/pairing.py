"""The other modalities or labels that belong to the pictures of `vaetool score`, for a model of several modalities."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vaetool.cli.options import BatchOptions
from vaetool.errors import ImageError, UsageError

if TYPE_CHECKING:
    from vaetool.files.inputs import Source
    from vaetool.images.modalities import LabelTable
    from vaetool.latents.together import Together


@dataclass(frozen=True)
class Pairing:
    """The pictures of the first modality, and where to find the others.

    partners: the other pictures of each picture, by the folder or file they come from. table: the labels; None if
    pictures are labelled by their folders. labels: those that the model knows; empty if it has no modality of labels.
    """

    inputs: list[str] | None
    run: BatchOptions
    partners: Mapping[str, Mapping[Source, Path]]
    table: LabelTable | None
    labels: tuple[str, ...]

    @classmethod
    def of(
        cls, model: str, inputs: list[str] | None, table: Path | None, run: BatchOptions, *, unusable: Collection[str]
    ) -> Pairing:
        """Match inputs to the model's modalities. Raises UsageError if they do not fit."""
        from vaetool.files.inputs import IMAGES
        from vaetool.files.pairs import pair
        from vaetool.images.modalities import LABEL, LabelTable
        from vaetool.store.weights import find, read_header

        config = read_header(find(model)).config
        names, labels = config["modalities"], tuple(config["labels"])
        pictures = [name for name in names if name != LABEL]
        if unusable:
            raise UsageError("--normal and --outlier are for models of pictures: name pairs, or pictures with --labels")
        if table is not None and not labels:
            raise UsageError(f"--labels: this model has no labels; it relates {' and '.join(names)}")
        if len(pictures) == 1:
            return cls(inputs, run, {}, None if table is None else LabelTable(table), labels)
        if run.files_from is not None or len(inputs or ()) != len(pictures):
            raise UsageError(
                f"this model relates {', '.join(pictures)}: name a folder or a file of each, in this order"
            )
        first, *others = list(inputs or ())
        found = {other: pair(first, other, IMAGES, recursive=run.recursive) for other in others}
        for pairs in found.values():
            if pairs.alone:
                more = f", nor have {len(pairs.alone) - 1} others" if len(pairs.alone) > 1 else ""
                run.console.warn(f"{pairs.alone[0].source} has no partner in {first}{more}")
        partners = {other: pairs.partners for other, pairs in found.items()}
        return cls([first], run, partners, None if table is None else LabelTable(table), labels)

    def read(self, source: Path | bytes) -> Together:
        """Read a picture and what belongs to it. Raises ImageError if something is missing."""
        from vaetool.latents.together import Together

        if isinstance(source, bytes):
            raise ImageError("standard input has no file name, so its partner cannot be found")
        pictures = [self.run.read_picture(source)]
        for place, partners in self.partners.items():
            if source not in partners:
                raise ImageError(f"has no partner in {place}")
            try:
                pictures.append(self.run.read_picture(partners[source]))
            except ImageError as error:
                raise ImageError(f"its partner {partners[source]}: {error}") from error
        return Together(pictures, self._label(source) if self.labels else None)

    def _label(self, source: Path) -> str:
        from vaetool.images.modalities import number_of_label

        label = Path(os.path.abspath(source)).parent.name  # noqa: PTH100 - a link has its own name
        if self.table is not None:
            found = (self.table.of(source, name) for name in self._names(source))
            if (named := next((each for each in found if each is not None), None)) is None:
                raise ImageError(f"has no label in {self.table.path}")
            label = named
        number_of_label(label, self.labels)
        return label

    def _names(self, source: Path) -> Iterator[str]:
        """Yield the names by which a table may list a picture: its path below each given folder, then its bare name."""
        for place in self.inputs or ():
            if source.is_relative_to(place):
                yield str(source.relative_to(place))
        yield source.name
