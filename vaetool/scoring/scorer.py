"""Base of models that score how unusual pictures are: a calibration with good ones, stored in the model file."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from vaetool.errors import ImageError
from vaetool.images.sources import Source
from vaetool.nn.base import Batch, Facts, Model, TrainingImages
from vaetool.scoring.calibration import Calibration, calibration_of
from vaetool.scoring.measurement import MIN_IMAGES, measure, measure_good

MISSING = float(np.finfo(np.float32).max)
"""Value stored in files for a component that was not computed, since files hold finite numbers only."""


class Scorer(Model):
    """A model whose configuration has `calibration`, a number of images, and `statistics`, names; see `Calibration`."""

    methods: tuple[str, ...]
    """All methods of scoring."""

    slow_methods: ClassVar[tuple[str, ...]] = ()
    """Methods that need extra forward passes."""

    has_maps: ClassVar[bool] = False
    """Whether it shows where pictures are unusual: `components_and_maps`."""

    can_learn: ClassVar[bool] = False
    """Whether it learns from bad pictures how to score: `learn`."""

    default_method: str
    calibration_components: Tensor

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        if config.calibration:
            size = (config.calibration, len(config.statistics))
            self.register_buffer("calibration_components", torch.zeros(size))

    def prepare(self, image: Any) -> Tensor:
        """Prepare an image of any kind for `components`: (channels, height, width) in 0..1."""
        raise NotImplementedError

    def prepare_all(self, images: Iterable[Any]) -> Iterator[Tensor]:
        """Yield images of any kind in batches, on the model's device; a million need the memory of one batch."""
        raise NotImplementedError

    def components(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the components of scores, (batch,) each, for pictures (batch, channels, size, size) in 0..1.

        generator: on the CPU; the numbers drawn have to be the same for each picture.
        """
        raise NotImplementedError

    def slow_components(self, x: Tensor, by: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the component of a slow method."""
        raise NotImplementedError

    def components_and_maps(self, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Return components and maps, (batch, height, width), of one pass, if the model `has_maps`."""
        raise NotImplementedError

    def learn(self, bad: Iterable[Any]) -> str:
        """Learn from bad pictures how to score, if the model `can_learn`; return what came of it, in words."""
        raise NotImplementedError

    @property
    def calibration(self) -> Calibration | None:
        """The calibration with good pictures, or None."""
        if not self.config.calibration:
            return None
        values = self.calibration_components.cpu().numpy()
        known = np.where(values == MISSING, np.nan, values.astype(np.float64))
        return Calibration(tuple(self.config.statistics), known)

    def calibrate(self, images: Iterable[Any]) -> None:
        """Calibrate the model with good images; see `vaetool.scoring.detection.calibrate`."""
        self.keep_calibration(measure_good(self, images))

    def keep_calibration(self, calibration: Calibration) -> None:
        """Store a calibration in the model."""
        values = np.nan_to_num(calibration.components, nan=MISSING).astype(np.float32)
        self.config = dataclasses.replace(self.config, calibration=len(values), statistics=calibration.names)
        self.register_buffer("calibration_components", torch.from_numpy(values).to(self.device))

    def forget(self) -> None:
        """Drop the calibration, which depends on weights that further training changes."""
        super().forget()
        if self.config.calibration:
            self.config = dataclasses.replace(self.config, calibration=0, statistics=())
            del self.calibration_components

    def complete(self, images: TrainingImages, held_out: Batch, corruption: Any, generator: torch.Generator) -> Facts:
        """Calibrate with the images kept for that purpose. See `Model.complete`."""
        words, values = super().complete(images, held_out, corruption, generator)
        good = []
        for source in images.unseen:
            with suppress(ImageError):  # it could be read before training: see `splits.set_aside`
                good.append(self.seen(source))
        if len(good) < MIN_IMAGES:
            found = "not calibrated: p-values for scores need thirty different images or more, with ten or more of them"
            return Facts([*words, f"{found} set aside"], values)
        self.calibrate(good)
        words_on_good = calibration_of(self, None)[1].words(self.default_method)
        found = f"calibrated with {words_on_good}, used neither for training nor for measuring"
        return Facts([*words, found], values)

    def seen(self, source: Source) -> Any:
        """Return an image for `prepare`, at the model's size, since a thousand photographs would take gigabytes."""
        return self.prepare(source.read()).mul(255).round().byte()

    def score(self, images: Iterable[Any], by: str | None = None) -> np.ndarray:
        """Score images of any kind: (images,), higher for more unusual ones; by: one of `methods`.

        For p-values and verdicts as well, use `vaetool.scoring.detection.score`.
        """
        by, calibration = calibration_of(self, by)
        parts = [calibration.scores(calibration.table(found), by) for found in measure(self, images, by)]
        return np.concatenate(parts) if parts else np.empty(0)
