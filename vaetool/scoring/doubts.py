"""What speaks against the verdicts of a model before the first picture is scored."""

from __future__ import annotations

import math
from typing import Any

from vaetool.scoring.calibration import ALPHA, Calibration, rank
from vaetool.scoring.level import Level

FEW = 30
"""Good pictures below which p-values are called rough."""


def doubts(model: Any, calibration: Calibration, by: str, level: Level) -> list[str]:
    """Return why verdicts by a method are not to be relied on, a sentence each: too few good pictures, a collapse."""
    found = []
    count = calibration.count(by)
    if level.fdr is None and rank(level.alpha, count) == 1:
        needed = count_for_two(min(level.alpha, ALPHA))
        found.append(
            f"with {count} good pictures, only what is less usual than every one of them is an outlier at alpha "
            f"{level.alpha:.2g}, so many outliers may be missed: {needed} good pictures or more find more, and so does "
            f"alpha {alpha_for_two(count):g}"
        )
    elif count < FEW:
        found.append(
            f"hardly calibrated: p-values come from {count} good pictures, so they are rough, and none is below "
            f"1/{count + 1}; train with more good pictures"
        )
    return [*found, model.doubt] if model.doubt else found


def fitted_to(count: int, total: int) -> str | None:
    """Return a warning if so many of all pictures are ones that the model was fitted to, else None."""
    if not count:
        return None
    return (
        f"{count} of these {total} pictures {'is' if count == 1 else 'are'} among the good ones that the model was "
        "fitted to: what it knows looks more usual than something new would"
    )


def count_for_two(alpha: float) -> int:
    """Return how many good pictures it takes until the two least usual ones have p ≤ alpha.

    >>> count_for_two(0.05), count_for_two(0.01)
    (39, 199)
    """
    return math.ceil(2 / alpha) - 1


def alpha_for_two(count: int) -> float:
    """Return a level, of one digit, up to which the p-values of the two least usual of so many good pictures are.

    >>> alpha_for_two(29), alpha_for_two(12), alpha_for_two(150)
    (0.07, 0.2, 0.02)
    """
    smallest = 2 / (count + 1)
    unit = 10.0 ** math.floor(math.log10(smallest))
    return round(math.ceil(smallest / unit) * unit, 12)
