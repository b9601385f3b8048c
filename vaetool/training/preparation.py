"""Preparation of a run: an untrained model, and its images, some of them held out for measurements."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import torch

from vaetool.errors import TrainingError, UsageError, WrongKindError
from vaetool.images.modalities import Modalities, find_modalities
from vaetool.images.sources import Source, find_pairs, find_sources
from vaetool.nn.base import Framing, Model
from vaetool.store import weights
from vaetool.training.config import Recipe, TrainingConfig
from vaetool.training.data import PixelStore, load_store
from vaetool.training.splits import set_aside, split

HELD_OUT_CROPS = 32
HELD_OUT_PICTURES = 1000
"""Maximum number of images for measurements: a crop of each, or the whole of small ones."""

MAX_TENSORS, MAX_WEIGHTS = 10_000, 2**30
"""Limits of a model to train, of which each weight takes 20 bytes."""
FEWEST, MOST = 16, 128
BATCHES = 8
BATCH_PER_MINUTE = 32
"""Minimum and maximum of crops per step chosen by default; minimum of batches per pass; maximum of crops per step for
each minute.

A VAE collapses after too few steps: 39 of 128 pictures, half a minute's, left none of 64 units active; 155 of 16 did.
"""


def batch_size(config: TrainingConfig, crop: int) -> int:
    """Return the number of crops per step at a crop size: larger crops, later in a run, are fewer."""
    return max(1, round((config.batch or FEWEST) * config.crops[0] ** 2 / crop**2))


def new_model(recipe: Recipe) -> Model:
    """Create an untrained model, determined by the seed, without changing the caller's random state.

    Raises UsageError if the recipe is invalid for its kind, or the model far too large.
    """
    cls = weights.model_class(recipe.kind)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(recipe.training.seed)
        try:
            with torch.device("meta"), weights.blueprint(MAX_TENSORS, "it has too many layers"):
                count = sum(tensor.numel() for tensor in cls(recipe.model).state_dict().values())
            if count > MAX_WEIGHTS:
                raise ValueError(f"it has {count:,} weights; {MAX_WEIGHTS:,} are possible")
            model = cls(recipe.model)
        except (ValueError, TypeError, RuntimeError, OverflowError) as error:
            raise UsageError(f"[model] is not valid: {str(error).splitlines()[0]}") from error
    wrong = [size for size in recipe.training.crops if size % model.stride]
    if wrong:
        raise UsageError(f"training.crops of {wrong[0]}: this model needs multiples of {model.stride}")
    smallest = min(recipe.training.crops)
    if smallest < model.smallest_crop(recipe.corruption):
        raise UsageError(f"training.crops of {smallest}: nothing of them would be left; make [corruption] weaker")
    return model


def take_over(model: Model, name: str | Path) -> None:
    """Copy the weights of a model of the same shape, or useful ones of a model of another kind, into a model.

    name: of the other model, or its path. Raises WrongKindError if it has no useful weights.
    """
    other = weights.load(name, device="cpu")
    other.forget()
    if other.kind == model.kind and other.config == model.config:
        model.load_state_dict(other.state_dict())
    elif not model.warm_start(other):
        raise WrongKindError(
            f"{name}: its [model] differs from that of the recipe ({other.kind}: {asdict(other.config)})"
        )


@dataclass(frozen=True)
class Images:
    """The images of a run: to train on, and held out; `fingerprint` depends on their names alone.

    `unseen` are further ones, for calibrating scores.
    """

    training: PixelStore
    held_out: PixelStore
    unseen: tuple[Source, ...]
    fingerprint: str


def find_images(recipe: Recipe, places: Sequence[str], root: str | Path) -> Modalities:
    """Find the images for a recipe. Raises UsageError if its kind cannot learn from them."""
    cls, data = weights.model_class(recipe.kind), recipe.data
    if data.pairs and not cls.learns_from_pairs:
        raise UsageError(f"a {recipe.kind} does not learn from pairs: a dae does")
    if cls.has_modalities:
        return find_modalities(places, data.labels or None, root)
    if data.labels:
        raise UsageError(f"a {recipe.kind} does not learn from --labels: an mmvae does")
    find = find_pairs if data.pairs else find_sources
    return Modalities(find(places, root, whole=cls.takes_any_values))


def resolve(recipe: Recipe, images: Modalities) -> Recipe:
    """Return the recipe completed from its images: the configuration, see `Model.resolve_config`, and the batch.

    Few images or minutes get small batches, so that there are enough steps.
    """
    model = weights.model_class(recipe.kind).resolve_config(recipe.model, images.sources, images.names)
    return replace(recipe, model=model).with_batch(fitting_batch(len(images.sources), recipe.training.minutes))


def fitting_batch(images: int, minutes: float) -> int:
    """Return a batch size, a power of two, for a number of images and minutes; 0 minutes: unlimited.

    >>> fitting_batch(60_000, 20), fitting_batch(60_000, 0.5), fitting_batch(200, 0), fitting_batch(600, 60)
    (128, 16, 16, 64)
    """
    wanted = min(images / BATCHES, BATCH_PER_MINUTE * (minutes or math.inf))
    return int(2 ** math.floor(math.log2(min(max(wanted, FEWEST), MOST))))


def read_images(
    sources: Sequence[Source],
    recipe: Recipe,
    device: torch.device | str,
    warn: Callable[[str], None],
) -> Images:
    """Split and decode images.

    Raises UsageError if there are too few, TrainingError if too few can be read.
    """
    if len(sources) < 2:
        raise UsageError("training needs at least two images: one is held out to measure on")
    crop = max(recipe.training.crops)
    cls = weights.model_class(recipe.kind)
    most = HELD_OUT_PICTURES if cls.framing.is_whole else HELD_OUT_CROPS
    longest = recipe.model.size if cls.framing is Framing.SHRUNK else None

    def load(sources: list[Source], scales: tuple[float, ...]) -> PixelStore:
        config = replace(recipe.data, scales=scales)
        return load_store(
            sources,
            config,
            crop,
            channels=recipe.model.channels,
            whole=partial(cls.whole, config=recipe.model) if cls.framing.is_whole else None,
            longest=longest,
            device=device,
            warn=warn,
        )

    def hold_out(sources: list[Source]) -> tuple[list[Source], PixelStore]:
        training, held_out = split(sources, recipe.data.held_out, recipe.training.seed, most)
        try:
            return training, load(held_out, (1.0,))
        except TrainingError:
            return hold_out(training)  # none of them can be read: hold out others

    names = "\n".join(source.name for source in sources).encode("utf-8", "surrogateescape")
    training, held_out = hold_out(list(sources))
    fingerprint = hashlib.sha256(names).hexdigest()[:16]
    scales = (1.0,) if cls.lessons(recipe.corruption) else recipe.data.scales  # shrinking changes noise
    found = set_aside(load(training, scales), recipe.data.calibration, recipe.training.seed)
    if found.words is not None:
        warn(found.words)
    found.training.sampling_weights = cls.sampling_weights(found.training, recipe.model)
    return Images(found.training, held_out, found.unseen, fingerprint)
