"""Smooth filling of hidden pixels from visible ones: the push-pull pyramid, for one picture of any size and type."""

from __future__ import annotations

import numpy as np

BAND_ROWS = 64
"""Rows processed at once, since a floating-point copy of a whole picture could take gigabytes."""


def fill_hidden(pixels: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Fill hidden pixels smoothly from the visible ones; visible ones are returned unchanged.

    pixels: (height, width, channels), float or integer; visible: bool, (height, width). Keeps the shape and dtype.
    Filled values lie between the smallest and the largest visible value of their channel; if all are hidden, zeros.
    The push-pull pyramid of Gortler et al. 1996 (The Lumigraph, section 3.4): average visible pixels to half the size
    again and again, then fill each level's holes from the coarser one. Linear in the number of pixels; besides the
    result it needs memory for a third as many numbers as `pixels` has, as float32 or wider.

    >>> fill_hidden(np.array([[[10], [99], [10]]]), np.array([[True, False, True]])).ravel()
    array([10, 10, 10])
    """
    filled = pixels.copy()
    _push_pull(filled, visible)
    return filled


def _push_pull(pixels: np.ndarray, visible: np.ndarray) -> None:
    """Fill the hidden pixels in place."""
    if visible.all():
        return
    if visible.size == 1:
        pixels[:] = 0
        return
    coarse, known = halved(pixels, visible)
    _push_pull(coarse, known)
    fill_from(coarse, pixels, visible)


def halved(pixels: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Halve a picture: return the mean of the visible pixels of each 2x2, 0 if none are, and a mask of where any are.

    The means are float32 or wider, in the range of `pixels`.
    """
    half = -(-visible.shape[0] // 2), -(-visible.shape[1] // 2)
    means = np.empty((*half, pixels.shape[2]), np.result_type(pixels.dtype, np.float32))
    known = np.empty(half, bool)
    for start in range(0, half[0], BAND_ROWS):
        band, rows = slice(start, start + BAND_ROWS), slice(2 * start, 2 * (start + BAND_ROWS))
        seen = visible[rows, :, None]
        count = _sum_squares(seen.astype(means.dtype))
        sums = _sum_squares(np.where(seen, pixels[rows], 0).astype(means.dtype, copy=False))
        means[band], known[band] = sums / np.maximum(count, 1), count[..., 0] > 0
    return means, known


def fill_from(coarse: np.ndarray, pixels: np.ndarray, visible: np.ndarray) -> None:
    """Fill the hidden pixels, in place, from a picture half as large, in the same range."""
    for start in range(0, len(coarse), BAND_ROWS):
        above = min(start, 1)  # one more row on either side, towards which the outermost pixels are interpolated
        finer = _double(_double(coarse[start - above : start + BAND_ROWS + 1], 0), 1)[2 * above :]
        rows = slice(2 * start, 2 * (start + BAND_ROWS))
        hidden = ~visible[rows, :, None]
        finer = finer[: hidden.shape[0], : hidden.shape[1]]
        rounded = np.rint(finer) if np.issubdtype(pixels.dtype, np.integer) else finer
        np.copyto(pixels[rows], rounded, where=hidden, casting="unsafe")


def _sum_squares(x: np.ndarray) -> np.ndarray:
    """Return the sums of each 2x2 values."""
    return _sum_pairs(_sum_pairs(x, 0), 1)


def _sum_pairs(x: np.ndarray, axis: int) -> np.ndarray:
    """Add up pairs along `axis`: half as long, rounded up, since an odd last one stays as it is."""
    x = np.moveaxis(x, axis, 0)
    sums = x[::2].copy()
    sums[: len(x) // 2] += x[1::2]
    return np.moveaxis(sums, 0, axis)


def _double(x: np.ndarray, axis: int) -> np.ndarray:
    """Double the length along `axis`, interpolating linearly between the centres."""
    x = np.moveaxis(x, axis, 0)
    double = np.repeat(0.75 * x, 2, axis=0)
    quarter = 0.25 * x
    double[2::2] += quarter[:-1]
    double[1:-1:2] += quarter[1:]
    double[0] += quarter[0]
    double[-1] += quarter[-1]
    return np.moveaxis(double, 0, axis)
