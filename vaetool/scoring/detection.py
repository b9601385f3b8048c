"""The task behind `vaetool score`: how unusual pictures are, with p-values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaetool.scoring.calibration import Calibration, calibration_of, check_alpha
from vaetool.scoring.measurement import measure


@dataclass(frozen=True)
class Score:
    """Of one picture: `score`, by the method `by`, is higher for the more unusual; `outlier`: p_value ≤ alpha."""

    score: float
    p_value: float
    outlier: bool
    components: dict[str, float]
    by: str


def score(model: Any, images: Iterable[Any], *, by: str | None = None, alpha: float = 0.05) -> Iterator[Score]:
    """Scores of images of any kind, in their order; no more than a batch of them is in memory.

    by: one of `model.methods`; the model's own choice by default. alpha: the share of good pictures that may be called
    outliers.
    Raises UsageError for an unknown method, a model without calibration, and an alpha that it cannot resolve.
    """
    by, calibration = calibration_of(model, by)
    check_alpha(alpha, calibration.count(by))
    return (each for found in measure(model, images, by) for each in _scores(found, by, alpha, calibration))


def _scores(found: dict[str, np.ndarray], by: str, alpha: float, calibration: Calibration) -> Iterator[Score]:
    """Of a batch, by its components."""
    scores = calibration.scores(calibration.table(found), by)
    for index, (value, p) in enumerate(zip(scores, calibration.p_values(scores, by), strict=True)):
        components = {name: float(values[index]) for name, values in found.items()}
        yield Score(float(value), float(p), bool(p <= alpha), components, by)


def calibrate(model: Any, images: Iterable[Any]) -> None:
    """Let a model know good images, of any kind, by which its p-values are found; a thousand at most are used.

    They must not be ones that it was trained on, nor ones by which its weights were chosen: what it knows by heart
    looks more usual than a new picture ever will. Saved with `vaetool.store.weights.save`, the model keeps them.
    Raises UsageError for fewer than ten.
    """
    model.calibrate(images)
