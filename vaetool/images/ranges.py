"""The range of values that a picture uses if its type has room for more: 12 bits in 16, or floating point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FEWEST_BITS = 8
RARE = 0.001
"""Share of floating-point values ignored at either end: hot pixels, stars."""


class Range(NamedTuple):
    """The values that stand for black and white."""

    low: float
    high: float

    def to_unit(self, pixels: np.ndarray) -> np.ndarray:
        """Map the range of pixels to 0..1, float32; rare values may lie beyond."""
        return ((pixels - np.float32(self.low)) / np.float32(self.high - self.low)).astype(np.float32)

    def from_unit(self, values: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Map values, 0..1 (clipped), to the range, rounded, as an integer type."""
        scaled = self.low + values.clip(0, 1) * np.float32(self.high - self.low)
        return np.rint(scaled).clip(self.low, self.high).astype(dtype)

    def changed(self, pixels: np.ndarray, change: np.ndarray) -> np.ndarray:
        """Add a change, in units of the range, to pixels; return them in their own type.

        Integers stay within the range: white gets no whiter.
        """
        values = pixels + change * np.float32(self.high - self.low)
        if np.issubdtype(pixels.dtype, np.integer):
            values = np.rint(values).clip(self.low, self.high)
        return values.astype(pixels.dtype)


def extremes(pixels: np.ndarray) -> Range | None:
    """Return the range from the smallest to the largest value of integer pixels; None if it is that of the type.

    A single value counts as a range of one level.
    """
    least, most = int(pixels.min()), int(pixels.max())
    if most == least:
        least, most = (least, most + 1) if most < np.iinfo(pixels.dtype).max else (least - 1, most)
    return None if (least, most) == (0, np.iinfo(pixels.dtype).max) else Range(least, most)


def used_range(pixels: np.ndarray, white: int | None = None) -> Range | None:
    """Return the range that pixels use; None if it is the full range of an integer type.

    For uint16 it is that of as many bits as the largest value needs, so that 12 bits are treated like 8 or 16 bits of
    the same picture. For floating point it is 0..1 if values lie within that and reach its upper half, else the range
    of all but the rarest values, starting at 0 if they begin near it.
    white: see `Picture.white`; for uint16 it counts like a value of the pixels.
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
    """Return the white value of integer pixels: the upper end of the range that they use."""
    found = used_range(pixels)
    return float(np.iinfo(pixels.dtype).max) if found is None else found.high
