"""Reasons to doubt the verdicts of a model."""

from __future__ import annotations

import math

import numpy as np

from vaetool.scoring.calibration import ALPHA, Calibration, Level, rank
from vaetool.scoring.scorer import Scorer

FEW = 30
"""Number of good pictures below which p-values are called rough."""


def doubts(model: Scorer, calibration: Calibration, by: str, level: Level) -> list[str]:
    """Return reasons, a sentence each, why verdicts by a method are unreliable: few good pictures, a collapse."""
    found = []
    count = calibration.count(by)
    if level.fdr is None and rank(level.alpha, count) == 1:
        needed, larger = math.ceil(2 / min(level.alpha, ALPHA)) - 1, math.ceil(200 / (count + 1)) / 100
        found.append(
            f"with {count} good pictures, only pictures less usual than all of them are outliers at alpha "
            f"{level.alpha:.2g}, so many may be missed: {needed} good pictures find more, and so does alpha {larger:g}"
        )
    elif count < FEW:
        found.append(
            f"hardly calibrated: p-values come from {count} good pictures, so they are rough, and none is below "
            f"1/{count + 1}; train with more good pictures"
        )
    return [*found, model.doubt] if model.doubt else found


def fitted_to(count: int, total: int) -> str | None:
    """Return a warning if some of the pictures were used to fit the model, else None."""
    words = f"the model was fitted to {count} of these {total} pictures, so they look more usual than new ones"
    return words if count else None


def too_few_for(level: Level, p_values: np.ndarray, count: int) -> str | None:
    """Return a warning if the smallest p-values of a batch do not make outliers, but would with more good pictures.

    p_values: of all m pictures of the batch, based on `count` good pictures. With n of these, k pictures of
    p = 1/(n + 1) are outliers if that is no more than fdr k/m (Benjamini & Hochberg 1995).
    """
    least = int(np.count_nonzero(p_values <= 1 / (count + 1)))
    if level.fdr is None or not least or level.threshold(p_values) >= 0:
        return None
    needed = math.ceil(len(p_values) / (level.fdr * least)) - 1
    return (
        f"{least} of these {len(p_values)} pictures {'is' if least == 1 else 'are'} less usual than all {count} good "
        f"ones, but among so many p = 1/{count + 1} makes no outlier at a false discovery rate of {level.fdr:g}: that "
        f"takes {needed} good pictures or more"
    )
