"""Measures of how close two pictures are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vaetool.errors import UsageError

WINDOW = 11  # pixels
WINDOW_SIGMA = 1.5
MIDDLE = slice(WINDOW // 2, -(WINDOW // 2))  # the places of the middles of all windows that fit
K1, K2 = 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of MS-SSIM, from the finest scale to the coarsest
MS_SSIM_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)  # 176: the window fits into the coarsest scale

PART, BAND_ROWS = 2**20, 16  # values, and rows of windows, processed at once


def psnr(pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, 10 log10(peak² / mean squared error); infinite for equal arrays.

    Both of one shape, in 0..peak.

    >>> round(psnr(np.array([0.1, 0.1]), np.zeros(2)), 3)
    20.0
    """
    error = sum(np.square(part).sum() for part in _differences(pixels, reference)) / np.size(pixels)
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def max_difference(pixels: np.ndarray, reference: np.ndarray) -> float:
    """Return the largest absolute difference of two arrays of one shape.

    >>> max_difference(np.array([3, 250], np.uint8), np.array([5, 5], np.uint8))
    245.0
    """
    return float(max(np.abs(part).max() for part in _differences(pixels, reference)))


def mean_psnr(errors: np.ndarray) -> float:
    """Return the mean PSNR in dB of pictures in 0..1 whose mean squared errors are given, (pictures,).

    A picture counts for at most 50 dB, because a perfect one would outweigh the rest.

    >>> round(mean_psnr(np.array([0.01, 0.0])), 3)
    35.0
    """
    return float(np.mean(-10 * np.log10(np.maximum(errors, 1e-5))))


def ssim(pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0, visible: np.ndarray | None = None) -> float:
    """Return the structural similarity, 1 for equal pictures: the mean over all windows that fit, then over channels.

    Both of one shape, (height, width) or (height, width, channels), in 0..peak; at least 11 pixels a side.
    visible: bool, (height, width); only windows with a visible middle count; nan if there are none.
    Gaussian window of 11 pixels and sigma 1.5. Wang et al. 2004, equation 13.

    Raises UsageError.
    """
    channels = _channels(pixels, reference, WINDOW, "SSIM")
    return float(np.mean([_similarity(x, y, peak, visible)[0] for x, y in channels]))


def ms_ssim(pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0, visible: np.ndarray | None = None) -> float:
    """Return the multi-scale structural similarity, 1 for equal pictures; per channel, then the mean over channels.

    Both of one shape, (height, width) or (height, width, channels), in 0..peak; at least 176 pixels a side.
    visible: as for `ssim`; at coarser scales, windows are weighted by the visible share of their middle.
    Wang et al. 2003, equation 7: contrast and structure at five scales, luminance at the coarsest; a scale is the mean
    of 2x2 pixels of the one before, without an odd last row or column. A mean below zero counts as zero.

    Raises UsageError.
    """
    return ssim_and_ms_ssim(pixels, reference, peak, visible)[1]


def ssim_and_ms_ssim(
    pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0, visible: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the results of `ssim` and `ms_ssim`, in the time that the latter takes.

    Raises UsageError.
    """
    channels = _channels(pixels, reference, MS_SSIM_SIDE, "MS-SSIM")
    found = [_similarities_by_scale(x, y, peak, visible) for x, y in channels]
    return float(np.mean([scales[0][0] for scales in found])), float(np.mean([_product(scales) for scales in found]))


def _differences(pixels: np.ndarray, reference: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the differences of two arrays in parts, in float64, since whole copies would be too large."""
    x, y = np.ravel(pixels), np.ravel(reference)
    for start in range(0, x.size, PART):
        part = slice(start, start + PART)
        yield np.subtract(x[part], y[part], dtype=np.float64)


def _channels(pixels: np.ndarray, reference: np.ndarray, side: int, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return both pictures' channels as pairs of (height, width)."""
    x, y = np.asarray(pixels), np.asarray(reference)
    if x.shape != y.shape or x.ndim not in (2, 3):
        raise UsageError(f"{name} compares two pictures of one shape, not {x.shape} and {y.shape}")
    if min(x.shape[:2]) < side:
        raise UsageError(f"{name} needs at least {side} pixels a side, not {x.shape[1]}x{x.shape[0]}")
    return list(zip(*(np.moveaxis(np.atleast_3d(a), 2, 0) for a in (x, y)), strict=True))


def _similarities_by_scale(
    x: np.ndarray, y: np.ndarray, peak: float, visible: np.ndarray | None
) -> list[tuple[float, float]]:
    """Return the results of `_similarity` at all scales, starting with the finest."""
    found = [_similarity(x, y, peak, visible)]
    while len(found) < len(SCALE_WEIGHTS):
        x, y, visible = _halve(x), _halve(y), None if visible is None else _halve(visible)
        found.append(_similarity(x, y, peak, visible))
    return found


def _product(scales: list[tuple[float, float]]) -> float:
    """Return MS-SSIM from the similarities by scale."""
    factors = [*(contrast for _, contrast in scales[:-1]), scales[-1][0]]
    return float(np.prod(np.maximum(factors, 0.0) ** SCALE_WEIGHTS))


def _similarity(x: np.ndarray, y: np.ndarray, peak: float, visible: np.ndarray | None) -> tuple[float, float]:
    """Return the means over the picture of SSIM, and of its part without luminance.

    It works in bands, since maps of a whole picture would be too large.
    """
    sums, count = np.zeros(2), 0.0
    for start in range(0, len(x) - WINDOW + 1, BAND_ROWS):
        band = slice(start, start + BAND_ROWS + WINDOW - 1)
        maps = _similarity_maps(x[band].astype(np.float64), y[band].astype(np.float64), peak)
        weights = np.ones(maps[0].shape) if visible is None else visible[band][MIDDLE, MIDDLE].astype(np.float64)
        sums += [np.vdot(each, weights) for each in maps]
        count += weights.sum()
    similarity, contrast = sums / count if count else (np.nan, np.nan)
    return float(similarity), float(contrast)


def _similarity_maps(x: np.ndarray, y: np.ndarray, peak: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the maps of SSIM and of its part without luminance over all windows that fit."""
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    mean_x, mean_y, mean_squares, mean_product = (_blur(a) for a in (x, y, x * x + y * y, x * y))
    squares, product = mean_x**2 + mean_y**2, mean_x * mean_y
    contrast = (2 * (mean_product - product) + c2) / (mean_squares - squares + c2)
    return contrast * (2 * product + c1) / (squares + c1), contrast


def _blur(x: np.ndarray) -> np.ndarray:
    """Return Gaussian means at all places where the window fits: (height, width) to (height - 10, width - 10)."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-(offsets**2) / (2 * WINDOW_SIGMA**2))
    window /= window.sum()
    for axis in (0, 1):
        x = _convolve(x, window, axis)
    return x


def _convolve(x: np.ndarray, window: np.ndarray, axis: int) -> np.ndarray:
    """Convolve with a symmetric window along one axis, without padding.

    Pixels equally far from the middle are added first.
    """
    length = x.shape[axis] - WINDOW + 1
    parts = [x[start : start + length] if axis == 0 else x[:, start : start + length] for start in range(WINDOW)]
    total = window[WINDOW // 2] * parts[WINDOW // 2]
    pair = np.empty_like(total)
    for near in range(WINDOW // 2):
        np.add(parts[near], parts[-1 - near], out=pair)
        pair *= window[near]
        total += pair
    return total


def _halve(x: np.ndarray) -> np.ndarray:
    """Return the means of 2x2 pixels, in float64."""
    height, width = (size // 2 * 2 for size in x.shape)
    rows = np.add(x[0:height:2, :width], x[1:height:2, :width], dtype=np.float64)
    return (rows[:, 0::2] + rows[:, 1::2]) / 4
