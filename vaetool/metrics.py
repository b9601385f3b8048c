"""How close two pictures are."""

from __future__ import annotations

import numpy as np


def psnr(pixels: np.ndarray, reference: np.ndarray, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, 10 log10(peak² / mean squared difference); infinite for equal arrays.

    Both of one shape, in 0..peak.

    >>> round(psnr(np.array([0.1, 0.1]), np.zeros(2)), 3)
    20.0
    """
    error = np.mean(np.square(np.subtract(pixels, reference, dtype=np.float64)))
    return float("inf") if error == 0 else float(10 * np.log10(peak**2 / error))
