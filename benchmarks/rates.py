"""How many percent more bits one codec takes than another for the same quality, and MS-SSIM in dB."""

from __future__ import annotations

from collections.abc import Sequence

import bjontegaard
import numpy as np

from vaetool.errors import UsageError

Curve = Sequence[tuple[float, float]] | np.ndarray
"""A rate-distortion curve: pairs of rate (in any unit, above zero) and quality (in dB), in any order."""


def bd_rate(reference: Curve, other: Curve) -> float:
    """Return the Bjøntegaard rate: how many percent more bits `other` takes than `reference` for the same quality.

    Negative where `other` takes fewer. The mean difference of log rate over the qualities that both curves reach, with
    log rate over quality interpolated by a monotone piecewise cubic (PCHIP, as in the common test conditions of VVC;
    Bjøntegaard 2001 fits one cubic). A point that takes more bits than another and is no better is left out.

    Raises UsageError where the curves have fewer than two points or no qualities in common.
    """
    (rate, quality), (other_rate, other_quality) = curves = [frontier(curve) for curve in (reference, other)]
    low, high = max(curve[1][0] for curve in curves), min(curve[1][-1] for curve in curves)
    if low >= high:
        raise UsageError(
            f"the curves have no qualities in common: {quality[0]:.2f} to {quality[-1]:.2f} dB "
            f"and {other_quality[0]:.2f} to {other_quality[-1]:.2f} dB"
        )
    return float(
        bjontegaard.bd_rate(
            rate, quality, other_rate, other_quality, method="pchip", require_matching_points=False, min_overlap=0
        )
    )


def frontier(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Return rates and qualities, both strictly rising, of the points that no cheaper one equals."""
    points = np.asarray(curve, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(points).all() or (points[:, 0] <= 0).any():
        raise UsageError("a rate-distortion curve has rates above zero and finite qualities")
    rate, quality = points[np.lexsort((-points[:, 1], points[:, 0]))].T  # at one rate, the best first
    better = np.concatenate([[True], quality[1:] > np.maximum.accumulate(quality)[:-1]])
    if better.sum() < 2:
        raise UsageError("a rate-distortion curve needs at least two points, the one with the higher rate being better")
    return rate[better], quality[better]


def ms_ssim_db(similarity: float) -> float:
    """Return -10 log10(1 - MS-SSIM), the scale on which it is plotted and averaged; infinite for 1."""
    return float("inf") if similarity == 1 else float(-10 * np.log10(1 - similarity))
