"""How close two pictures are."""

from __future__ import annotations

import numpy as np

from vaetool.errors import UsageError

WINDOW = 11  # pixels
WINDOW_SIGMA = 1.5
K1, K2 = 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of MS-SSIM, from the finest scale to the coarsest
MS_SSIM_SIDE = WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1)  # 176: the window fits into the coarsest scale


def psnr(pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0) -> float:
    """Return the peak signal-to-noise ratio in dB, 10 log10(peak² / mean squared error); infinite for equal arrays.

    Both of one shape, in 0..peak.

    >>> round(psnr(np.array([0.1, 0.1]), np.zeros(2)), 3)
    20.0
    """
    rows = zip(np.atleast_1d(pixels), np.atleast_1d(reference), strict=True)  # whole copies would be too large
    error = sum(np.square(np.subtract(*pair, dtype=np.float64)).sum() for pair in rows) / np.size(pixels)
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))


def mean_psnr(errors: np.ndarray) -> float:
    """Return the mean PSNR in dB of pictures in 0..1 whose mean squared errors are given, (pictures,).

    A picture counts for at most 50 dB: one that comes out as it was would outweigh the rest.

    >>> round(mean_psnr(np.array([0.01, 0.0])), 3)
    35.0
    """
    return float(np.mean(-10 * np.log10(np.maximum(errors, 1e-5))))


def ssim(pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0) -> float:
    """Return the structural similarity, 1 for equal pictures: the mean over all windows that fit, then over channels.

    Both of one shape, (height, width) or (height, width, channels), in 0..peak; at least 11 pixels a side.
    Gaussian window of 11 pixels and sigma 1.5. Wang et al. 2004, equation 13.

    Raises UsageError.
    """
    channels = _channels(pixels, reference, WINDOW, "SSIM")
    return float(np.mean([_similarity(x, y, peak)[0] for x, y in channels]))


def ms_ssim(pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0) -> float:
    """Return the multi-scale structural similarity, 1 for equal pictures; per channel, then the mean over channels.

    Both of one shape, (height, width) or (height, width, channels), in 0..peak; at least 176 pixels a side.
    Wang et al. 2003, equation 7: contrast and structure at five scales, luminance at the coarsest; a scale is the mean
    of 2x2 pixels of the one before, without an odd last row or column. A mean below zero counts as zero.

    Raises UsageError.
    """
    channels = _channels(pixels, reference, MS_SSIM_SIDE, "MS-SSIM")
    return float(np.mean([_multi_scale(x, y, peak) for x, y in channels]))


def ms_ssim_db(similarity: float) -> float:
    """Return -10 log10(1 - MS-SSIM), the scale on which it is plotted and averaged; infinite for 1.

    >>> round(ms_ssim_db(0.99), 3)
    20.0
    """
    return float("inf") if similarity == 1 else float(-10 * np.log10(1 - similarity))


def _channels(pixels: np.ndarray, reference: np.ndarray, side: int, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return both pictures' channels as pairs of (height, width) in float64."""
    x, y = np.asarray(pixels), np.asarray(reference)
    if x.shape != y.shape or x.ndim not in (2, 3):
        raise UsageError(f"{name} compares two pictures of one shape, not {x.shape} and {y.shape}")
    if min(x.shape[:2]) < side:
        raise UsageError(f"{name} needs at least {side} pixels a side, not {x.shape[1]}x{x.shape[0]}")
    planes = [np.moveaxis(np.atleast_3d(a).astype(np.float64), 2, 0) for a in (x, y)]
    return [(np.ascontiguousarray(a), np.ascontiguousarray(b)) for a, b in zip(*planes, strict=True)]


def _multi_scale(x: np.ndarray, y: np.ndarray, peak: float) -> float:
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        similarity, contrast = _similarity(x, y, peak)
        last = scale == len(SCALE_WEIGHTS) - 1
        product *= max(similarity if last else contrast, 0.0) ** weight
        x, y = _halve(x), _halve(y)
    return product


def _similarity(x: np.ndarray, y: np.ndarray, peak: float) -> tuple[float, float]:
    """Return the means over the picture of SSIM, and of its part without luminance."""
    c1, c2 = (K1 * peak) ** 2, (K2 * peak) ** 2
    mean_x, mean_y, mean_squares, mean_product = (_blur(a) for a in (x, y, x * x + y * y, x * y))
    squares, product = mean_x**2 + mean_y**2, mean_x * mean_y
    contrast = (2 * (mean_product - product) + c2) / (mean_squares - squares + c2)
    luminance = (2 * product + c1) / (squares + c1)
    return float((luminance * contrast).mean()), float(contrast.mean())


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
    """Return the means of 2x2 pixels."""
    height, width = (size // 2 * 2 for size in x.shape)
    rows = x[0:height:2, :width] + x[1:height:2, :width]
    return (rows[:, 0::2] + rows[:, 1::2]) / 4
