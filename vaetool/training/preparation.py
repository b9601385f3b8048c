"""What a run needs before its first step: an untrained model, and its images, apart from those it is measured on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vaetool import weights
from vaetool.errors import TrainingError, UsageError
from vaetool.models.base import Model
from vaetool.training.config import Recipe, TrainingConfig
from vaetool.training.data import PixelStore, load_store, split
from vaetool.training.sources import Source, find_sources

HELD_OUT_IMAGES = 32
"""So many are measured on at most; a crop of each."""


def batch_size(config: TrainingConfig, crop: int) -> int:
    """Crops per step at a crop size: later crops may be larger, and are then fewer."""
    return max(1, round(config.batch * config.crops[0] ** 2 / crop**2))


def new_model(recipe: Recipe) -> Model:
    """An untrained model; the same for the same seed, without a trace in the caller's random numbers.

    Raises UsageError if the recipe makes none.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.training.seed)
        try:
            model = weights.model_class(recipe.kind)(recipe.model)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise UsageError(f"[model] makes no model: {str(error).splitlines()[0]}") from error
    stride = getattr(model, "stride", 1)
    wrong = [size for size in recipe.training.crops if size % stride]
    if wrong:
        raise UsageError(f"training.crops of {wrong[0]}: this model needs multiples of {stride}")
    return model


@dataclass(frozen=True)
class Images:
    """The images of a run: to train on, and held out; `fingerprint` is the same for the same names."""

    training: PixelStore
    held_out: PixelStore
    fingerprint: str


def read_images(
    places: Sequence[str | Path],
    root: str | Path,
    recipe: Recipe,
    device: torch.device | str,
    warn: Callable[[str], None],
) -> Images:
    """Find, split and decode the images in `places`.

    Raises UsageError for a place without images, TrainingError for too few that can be read.
    """
    crop = max(recipe.training.crops)

    def load(sources: list[Source], scales: tuple[float, ...]) -> PixelStore:
        config = replace(recipe.data, scales=scales)
        return load_store(sources, config, crop, channels=recipe.model.channels, device=device, warn=warn)

    def hold_out(sources: list[Source]) -> tuple[list[Source], PixelStore]:
        training, held_out = split(sources, recipe.data.held_out, recipe.training.seed)
        try:
            return training, load(held_out[:HELD_OUT_IMAGES], (1.0,))
        except TrainingError:
            return hold_out(training)  # none of them can be read: hold out others

    sources = find_sources(places, root)
    names = "\n".join(source.name for source in sources).encode("utf-8", "surrogateescape")
    training, held_out = hold_out(sources)
    return Images(load(training, recipe.data.scales), held_out, hashlib.sha256(names).hexdigest()[:16])
