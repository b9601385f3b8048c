"""What speaks against the verdicts of a model before the first picture is scored."""

from __future__ import annotations

from typing import Any

from vaetool.scoring.calibration import Calibration

FEW = 30
"""Good pictures below which p-values are called rough."""


def doubts(model: Any, calibration: Calibration, by: str) -> list[str]:
    """Return why p-values by a method are not to be relied on, a sentence each: too few good pictures, a collapse."""
    found = []
    count = calibration.count(by)
    if count < FEW:
        found.append(
            f"hardly calibrated: p-values come from {count} good pictures, so they are rough, and none is below "
            f"1/{count + 1}; train with more good pictures"
        )
    return [*found, model.doubt] if model.doubt else found
