"""What speaks against the verdicts of a model before the first picture is scored."""

from __future__ import annotations

import math
from typing import Any

from vaetool.scoring.calibration import ALPHA, Calibration, Level, rank

FEW = 30
"""Good pictures below which p-values are called rough."""


def doubts(model: Any, calibration: Calibration, by: str, level: Level) -> list[str]:
    """Return why verdicts by a method are not to be relied on, a sentence each: too few good pictures, a collapse."""
    found = []
    count = calibration.count(by)
    if level.fdr is None and rank(level.alpha, count) == 1:
        needed, larger = math.ceil(2 / min(level.alpha, ALPHA)) - 1, math.ceil(200 / (count + 1)) / 100
        found.append(
            f"with {count} good pictures, only what is less usual than every one of them is an outlier at alpha "
            f"{level.alpha:.2g}, so many may be missed: {needed} good pictures find more, and so does alpha {larger:g}"
        )
    elif count < FEW:
        found.append(
            f"hardly calibrated: p-values come from {count} good pictures, so they are rough, and none is below "
            f"1/{count + 1}; train with more good pictures"
        )
    return [*found, model.doubt] if model.doubt else found


def fitted_to(count: int, total: int) -> str | None:
    """Return a warning if so many of all pictures are ones that the model was fitted to, else None."""
    words = (
        f"of these {total} pictures, the model was fitted to {count}: what it knows looks more usual than what is new"
    )
    return words if count else None
