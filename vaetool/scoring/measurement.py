"""Measurement of the components of pictures by a model, a batch at a time."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from vaetool.errors import UsageError
from vaetool.scoring.calibration import Calibration

SEED = 0
MIN_IMAGES, MAX_IMAGES = 10, 1000
"""Limits of the number of images for calibration: fewer cannot resolve a p-value of a tenth, more would add little."""

TOGETHER, TOGETHER_ON_GPU = 4, 16
"""Numbers of pictures computed at once. More are hardly faster on a CPU, and a single one takes as long as these."""

MAX_SLOW = 100
"""Maximum number of images for calibrating slow methods."""


class Measurable(Protocol):
    """The part of a `vaetool.scoring.scorer.Scorer` that is needed here."""

    slow_methods: ClassVar[tuple[str, ...]]

    def prepare_all(self, images: Iterable[Any]) -> Iterator[Tensor]:
        """Yield images of any kind in batches."""

    def components(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return numbers by name, (batch,) each, of one pass through the network."""

    def slow_components(self, x: Tensor, by: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the component of a slow method."""

    def components_and_maps(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return the maps as well, (batch, height, width)."""


class Measured(NamedTuple):
    """Components of a batch by name, (batch,) float32 each, and optional maps, (batch, height, width) float32."""

    components: dict[str, np.ndarray]
    maps: np.ndarray | None


def measure(model: Measurable, images: Iterable[Any], by: str) -> Iterator[dict[str, np.ndarray]]:
    """Yield components by name, (batch,) float32 each, of images of any kind, including those for the method `by`."""
    return (found.components for found in measure_with_maps(model, images, by, maps=False))


def measure_with_maps(model: Measurable, images: Iterable[Any], by: str, *, maps: bool) -> Iterator[Measured]:
    """Yield components and maps of images of any kind, a batch at a time, from one pass through the network.

    The generator restarts with every batch and draws the same numbers for all pictures, and batches are filled up to
    one size, so that a score depends on its picture alone, to the last bit for a given machine and number of threads.
    """
    for x, count in _filled(model.prepare_all(images)):
        heat = None
        if maps:
            found, heat = model.components_and_maps(x)
        else:
            found = model.components(x, torch.Generator().manual_seed(SEED))
        if by in model.slow_methods:
            found |= model.slow_components(x, by, torch.Generator().manual_seed(SEED))
        components = {name: values[:count].float().cpu().numpy() for name, values in found.items()}
        yield Measured(components, None if heat is None else heat[:count].float().cpu().numpy())


def _filled(batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, int]]:
    """Yield batches of one size, filled up by repeating the last picture, and the number of actual pictures in each.

    In batches of other sizes, sums are rounded in another order, and scores would differ in the fourth digit.
    """
    for batch in batches:
        size = TOGETHER if batch.device.type == "cpu" else TOGETHER_ON_GPU
        for part in batch.split(size):
            missing = size - len(part)
            yield torch.cat([part, part[-1:].expand(missing, -1, -1, -1)]) if missing else part, len(part)


def take_good(images: Iterable[Any]) -> list[Any]:
    """Return at most `MAX_IMAGES` good images for calibration, in random order.

    Raises UsageError for fewer than `MIN_IMAGES`.
    """
    good = list(images)
    if len(good) < MIN_IMAGES:
        raise UsageError(f"{len(good)} images are too few to calibrate a model: at least {MIN_IMAGES} are needed")
    return random.Random(SEED).sample(good, min(len(good), MAX_IMAGES))  # however they were sorted, halves are alike


def measure_good(model: Measurable, images: Iterable[Any]) -> Calibration:
    """Return the calibration of a model with good images that it was not trained on, chosen by `take_good`."""
    good = take_good(images)
    found = _joined(measure(model, good, ""))
    for by in model.slow_methods:
        values = _joined(measure(model, good[:MAX_SLOW], by))[by]
        found[by] = np.pad(values, (0, len(good) - len(values)), constant_values=np.nan)
    return Calibration(tuple(found), np.stack(list(found.values()), axis=1).astype(np.float64))


def _joined(batches: Iterator[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    parts = list(batches)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
