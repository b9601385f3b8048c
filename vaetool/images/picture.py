"""A decoded image file."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaetool.images.filling import fill_hidden
from vaetool.images.metadata import Dpi, Texts

METADATA = ("icc_profile", "exif", "xmp", "texts")
"""Fields of metadata, left out of stripped results."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image file: upright pixels, and everything to keep until they are written again.

    pixels: (height, width, channels), uint8, uint16 or float32 of any range; channels is 1 (grey) or 3 (RGB).
    alpha: (height, width), dtype of `pixels`, 0 = hidden; None when the file has none.
    format: Pillow's name of the format it was read from.
    origin: the file that it was read from, or its bytes, while the picture is unchanged.
    jpeg: compression of a JPEG file, as options of Pillow for repeating it (see `vaetool.images.jpeg`).
    exif: as a TIFF block with its `Exif` prefix, without orientation and thumbnail; xmp: without those, too.
    dpi: across and down. texts: keywords and texts, as PNG has them, or a JPEG's comment; at most 16 MiB, as of XMP.
    white: for 16 bits, the largest possible value, if the file states it.
    warnings: one sentence per loss on reading.
    pages: the pages after this one, for a TIFF file that was read whole.
    Raises ValueError when shapes or dtypes do not fit together.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = "PNG"
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: Dpi | None = None
    xmp: bytes | None = None
    texts: Texts = ()
    white: int | None = None
    warnings: tuple[str, ...] = ()
    origin: Path | bytes | None = None
    jpeg: Mapping[str, Any] | None = None
    pages: tuple[Picture, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] not in (1, 3):
            raise ValueError(f"pixels must be (height, width, 1 or 3), not {self.pixels.shape}")
        if self.pixels.dtype not in (np.uint8, np.uint16, np.float32):
            raise ValueError(f"pixels must be uint8, uint16 or float32, not {self.pixels.dtype}")
        if self.alpha is not None and (self.alpha.shape, self.alpha.dtype) != (
            self.pixels.shape[:2],
            self.pixels.dtype,
        ):
            raise ValueError("alpha must be (height, width) of the dtype of pixels")

    @property
    def height(self) -> int:
        """Rows."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.pixels.shape[1]

    def replace_pixels(self, pixels: np.ndarray) -> Picture:
        """Return the same picture with other pixels; everything else is kept.

        If the pixels do not differ where they are visible, this picture itself is returned.
        pixels: the shape of `self.pixels`; float in 0..1 (clipped), uint8 or uint16. They are scaled and rounded to
        this picture's dtype; where that is float32 they are taken as they are. Where alpha is 0 the old colours stay.
        Raises ValueError for another shape or dtype,
        and for values that are not numbers.

        >>> Picture(np.zeros((1, 2, 1), np.uint8)).replace_pixels(np.array([[[0.5], [7.0]]])).pixels.ravel()
        array([128, 255], dtype=uint8)
        """
        if pixels.shape != self.pixels.shape:
            raise ValueError(f"new pixels are {pixels.shape}, the picture is {self.pixels.shape}")
        new = pixels if self.pixels.dtype == np.float32 else rescale(pixels, self.pixels.dtype)
        if self.alpha is not None:
            new = np.where(self.alpha[..., None] == 0, self.pixels, new)
        if np.array_equal(new, self.pixels):
            return self
        return replace(self, pixels=new, origin=None)

    def without(self, names: Collection[str] = METADATA) -> Picture:
        """Return the same picture without some of its metadata, given the names of the fields."""
        return replace(self, **{name: getattr(Picture, name) for name in names})  # the defaults

    def visible_pixels(self, hole: np.ndarray | None = None) -> np.ndarray:
        """Return `pixels`, with the colours hidden under alpha == 0 filled smoothly from their visible neighbours.

        For operations on neighbourhoods, where hidden colours would leak into visible ones (dark fringes).
        hole: bool, (height, width), further pixels that do not count as neighbours.
        Returns the shape and dtype of `pixels`; `pixels` itself when nothing is hidden.
        """
        if self.alpha is None or self.alpha.all():
            return self.pixels
        return fill_hidden(self.pixels, self.alpha > 0 if hole is None else (self.alpha > 0) & ~hole)


def as_pillow(pixels: np.ndarray) -> Image.Image:
    """Return pixels, (height, width, channels) uint8, or uint16 of one channel, as a Pillow image."""
    return Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else np.ascontiguousarray(pixels))


def full_scale(dtype: np.dtype) -> float:
    """Return the value of white in pixels of a type, and of opaque in transparency: 1 if it is floating point."""
    return float(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1.0


def rescale(pixels: np.ndarray, dtype: np.dtype | type[np.integer]) -> np.ndarray:
    """Return pixels, floats in 0..1 (clipped), uint8 or uint16, as uint8 or uint16, scaled and rounded.

    Raises ValueError for another type, and for values that are not numbers.
    """
    dtype = np.dtype(dtype)
    if pixels.dtype == dtype:
        return pixels
    if (pixels.dtype, dtype) == (np.uint8, np.uint16):
        return pixels.astype(np.uint16) * np.uint16(257)
    if (pixels.dtype, dtype) == (np.uint16, np.uint8):
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"new pixels must be float, uint8 or uint16, not {pixels.dtype}")
    if np.isnan(pixels).any():
        raise ValueError("new pixels hold values that are not numbers")
    full = np.iinfo(dtype).max
    scaled = np.clip(pixels, 0, 1).astype(np.result_type(pixels.dtype, np.float32), copy=False) * full
    return np.rint(scaled).astype(dtype)
