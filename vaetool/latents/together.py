"""The modalities of one thing, as read from files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetool.images import Picture
from vaetool.images.conversion import whole_picture

SHOWN = 128
"""Side, in pixels, of pictures shown beside each other."""


class Together(tuple[Picture | str, ...]):
    """Pictures and any label, which comes last, as `MMVAE.prepare` takes them."""

    pictures: tuple[Picture, ...]

    def __new__(cls, pictures: Sequence[Picture], label: str | None = None) -> Together:
        """Put them together."""
        self = super().__new__(cls, (*pictures, *([] if label is None else [label])))
        self.pictures = tuple(pictures)
        return self

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings of all pictures, in order."""
        return tuple(warning for picture in self.pictures for warning in picture.warnings)

    def visible_pixels(self) -> np.ndarray:
        """Return the middle squares of all pictures beside each other, (height, width, 3) uint8."""
        side = min(SHOWN, *(length for picture in self.pictures for length in picture.pixels.shape[:2]))
        return np.concatenate([whole_picture(each.visible_pixels(), side, 3) for each in self.pictures], axis=1)
