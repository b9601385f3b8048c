"""The range of values that a picture uses, where its type has room for more: 12 bits in 16, or floating point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FEWEST_BITS = 8
RARE = 0.001
"""This share of the values at either end does not count, where values are floating point: hot pixels, stars."""


class Range(NamedTuple):
    """The values that stand for black and white."""

    low: float
    high: float

    def to_unit(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels with the range as 0..1, float32; rare values may be beyond."""
        return ((pixels - np.float32(self.low)) / np.float32(self.high - self.low)).astype(np.float32)

    def from_unit(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return values, 0..1 (clipped), in the range, rounded, as an integer type."""
        scaled = self.low + values.clip(0, 1) * np.float32(self.high - self.low)
        return np.rint(scaled).clip(self.low, self.high).astype(dtype)

    def changed(self, pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Return pixels to which a change in units of the range was added, in their own type.

        Integers stay within the range: what was white is not whiter afterwards.
        """
        values = pixels + change * np.float32(self.high - self.low)
        if np.issubdtype(pixels.dtype, np.integer):
            values = np.rint(values).clip(self.low, self.high)
        return values.astype(pixels.dtype)


def extremes(pixels: np.ndarray) -> Range | None:
    """Return the range from the least to the largest value of pixels of an integer type; None if it is all of the type.

    A single value counts as a range of one level.
    """
    least, most = int(pixels.min()), int(pixels.max())
    if most == least:
        least, most = (least, most + 1) if most < np.iinfo(pixels.dtype).max else (least - 1, most)
    return None if (least, most) == (0, np.iinfo(pixels.dtype).max) else Range(least, most)


def used_range(pixels: np.ndarray, white: int | None = None) -> Range | None:
    """Return the range that pixels use; None if it is all of an integer type.

    Of uint16 it is that of so many bits as the largest value needs: data of 12 bits are the same as 8 or 16 bits of the
    same picture. Of floating point it is 0..1 if values are within that and reach its upper half, else what all but the
    rarest values are within, from 0 on if they begin near it.
    white: see `Picture.white`; of uint16 it counts like a value of the pixels.
    """
    if pixels.dtype == np.uint8:
        return None
    if pixels.dtype == np.uint16:
        bits = max(FEWEST_BITS, int(pixels.max(initial=white or 0)).bit_length())
        return None if bits == 16 else Range(0, 2**bits - 1)
    least, most = float(pixels.min()), float(pixels.max())
    if least >= 0 and 0.5 < most <= 1:
        return Range(0, 1)
    low, high = (float(value) for value in np.quantile(pixels, (RARE, 1 - RARE)))
    if 0 <= low < high / 2:
        low = 0.0
    return Range(low, high if high > low else low + 1)


def white(pixels: np.ndarray) -> float:
    """Return the value that stands for white in pixels of an integer type: the upper end of the range that they use."""
    found = used_range(pixels)
    return float(np.iinfo(pixels.dtype).max) if found is None else found.high
