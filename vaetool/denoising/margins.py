"""Margins for small pictures: too little noise is found and removed near edges, and small pictures are all edge."""

from __future__ import annotations

import numpy as np

LEAST_SIDE = 144  # pixels: smaller pictures are mirrored at their edges up to this

Margins = tuple[int, int]


def margins_of(pixels: np.ndarray, scale: int) -> Margins:
    """Return the margins by which to mirror pixels, (height, width, channels): above and below, and at the sides.

    Both are multiples of `scale`, and 0 where a picture is large.
    """
    height, width = (scale * max(0, -(-(LEAST_SIDE - size) // (2 * scale))) for size in pixels.shape[:2])
    return height, width


def mirrored(values: np.ndarray, margins: Margins, scale: int = 1) -> np.ndarray:
    """Return pixels, or a map that is `scale` times smaller, mirrored at the edges; leave a map of one value alone."""
    if values.shape == (1, 1):
        return values
    around = [2 * (margin // scale,) for margin in margins]
    return np.pad(values, [*around, *(values.ndim - 2) * [(0, 0)]], mode="reflect")


def cut_off(values: np.ndarray, margins: Margins, scale: int = 1) -> np.ndarray:
    """Undo `mirrored`."""
    if values.shape == (1, 1):
        return values
    rows, columns = (
        slice(margin // scale, size - margin // scale) for margin, size in zip(margins, values.shape[:2], strict=True)
    )
    return values[rows, columns]
