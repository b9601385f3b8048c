"""The task behind `vaetool score`: scores of how unusual pictures are, with p-values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vaetool.errors import ImageError, UsageError
from vaetool.images.sources import Source, find_sources
from vaetool.scoring.calibration import Calibration, calibration_of, check_alpha, usual_alpha
from vaetool.scoring.copies import thumbnail, without_copies
from vaetool.scoring.measurement import Measured, measure_with_maps
from vaetool.scoring.scorer import Scorer


@dataclass(frozen=True)
class Score:
    """The score of a picture by the method `by`, higher for more unusual ones; `outlier` means p_value ≤ alpha."""

    score: float
    p_value: float
    outlier: bool
    components: dict[str, float]
    by: str
    heat: np.ndarray | None = None
    """Map of how unusual each point is, (height, width) float32, if requested: see `vaetool.scoring.heatmaps`."""


def score(
    model: Scorer, images: Iterable[Any], *, by: str | None = None, alpha: float | None = None, maps: bool = False
) -> Iterator[Score]:
    """Score images of any kind, in order, with one batch in memory at a time.

    by: one of `model.methods`; the model's own choice by default. alpha: the share of good pictures that may be called
    outliers; by default .05, or the smallest that the calibration resolves, if that is larger. maps: also return maps
    of where pictures are unusual, for a model that has them.
    Raises UsageError for an unknown method, a model without calibration, and an alpha that it cannot resolve.
    """
    by, calibration = calibration_of(model, by)
    count = calibration.count(by)
    alpha = usual_alpha(count) if alpha is None else alpha
    check_alpha(alpha, count)
    batches = measure_with_maps(model, images, by, maps=maps)
    return (each for found in batches for each in _scores(found, by, alpha, calibration))


def _scores(found: Measured, by: str, alpha: float, calibration: Calibration) -> Iterator[Score]:
    """Score one batch from its components."""
    scores = calibration.scores(calibration.table(found.components), by)
    for index, (value, p) in enumerate(zip(scores, calibration.p_values(scores, by), strict=True)):
        components = {name: float(values[index]) for name, values in found.components.items()}
        heat = None if found.maps is None else found.maps[index]
        yield Score(float(value), float(p), bool(p <= alpha), components, by, heat)


def calibrate(model: Scorer, images: Iterable[Any]) -> None:
    """Calibrate a model with good images of any kind, at most a thousand, on which its p-values are based.

    The model must not have been trained on them, nor its weights chosen by them: memorised pictures look more usual
    than new ones ever will. `vaetool.store.weights.save` saves the calibration with the model. Copies of a picture
    count once. Raises UsageError for fewer than ten that look different.
    """
    good = list(images)
    small = [thumbnail(model.prepare(image)) for image in good]
    different = without_copies(torch.stack(small)) if small else []
    model.calibrate([good[index] for index in different])


def learn(model: Scorer, place: str | Path, warn: Callable[[str], None]) -> str:
    """Learn how to score from a folder or zip file of pictures known to be bad; return the outcome in words.

    warn: is told of pictures that cannot be read, which are left out.
    Raises UsageError for a model that cannot learn from them, one without calibration, and if there are no pictures.
    """
    if not model.can_learn:
        raise UsageError(f"this {model.kind} cannot learn from bad pictures: a model of features can")
    return model.learn(_readable(find_sources([place]), warn))


def _readable(sources: list[Source], warn: Callable[[str], None]) -> Iterator[np.ndarray]:
    for source in sources:
        try:
            yield source.read()
        except ImageError as error:
            warn(f"{source.origin}: {error}")
