"""Base of all kinds of model: a configuration that rebuilds it, a batch, a loss, a figure of merit."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import torch
from torch import Tensor, nn

from vaetool.errors import ImageError
from vaetool.images.conversion import squeezed, whole_picture
from vaetool.images.sources import Source
from vaetool.nn.adversary import PatchDiscriminator
from vaetool.nn.sections import Section

Batch = dict[str, Tensor]
"""Tensors by name, all with the same first dimension, so that any part of a batch is a batch."""

Losses = dict[str, Tensor]
"""Scalars by name; `loss` is the one to minimise, the others are its parts."""

CLASSES: dict[str, type[Model]] = {}

SAMPLE = 32
"""Approximate number of images examined for colour."""


def stacked(tensors: Iterable[Tensor], count: int) -> Iterator[Tensor]:
    """Yield tensors of one shape in batches of `count`, the last of which may be smaller."""
    tensors = iter(tensors)
    while batch := list(itertools.islice(tensors, count)):
        yield torch.stack(batch)


def zero_of(module: nn.Module) -> Tensor:
    """Return 0 computed from all weights, for a loss without them: distributed training awaits a gradient of each."""
    return 0 * torch.stack([weight.sum() for weight in module.parameters()]).sum()


class ImageStore(Protocol):
    """Decoded images, each with its label and origin if known."""

    labels: tuple[str, ...]
    origins: tuple[Source, ...]

    def __len__(self) -> int:
        """Return the number of images."""

    def batches(self, size: int, count: int) -> Iterator[Tensor]:
        """Yield the middle of every image in 0..1, (count or fewer, channels, size, size) at a time."""

    def centre_crops(self, size: int, part: slice = ...) -> Tensor:
        """Return the middle of some images, (images, channels, size, size) in 0..1."""

    def thumbnails(self) -> Tensor:
        """Return the thumbnails by which copies are found, (images, numbers)."""

    def part(self, chosen: Sequence[int]) -> ImageStore:
        """Return some of the images."""


class TrainingImages(Protocol):
    """The images of a run: those it trains on, and sources of unseen ones for calibration."""

    @property
    def training(self) -> ImageStore:
        """The images that it trains on."""

    @property
    def unseen(self) -> Sequence[Source]:
        """The images for calibration."""


def channels_of(pictures: Sequence[Callable[[], np.ndarray]]) -> int:
    """Return the channels that pictures need: 1 if all of a sample are grey. pictures: functions that read one each."""

    def is_grey(read: Callable[[], np.ndarray]) -> bool:
        try:
            pixels = read()
        except ImageError:  # a warning is given where it is left out
            return True
        return bool((pixels == pixels[:, :, :1]).all())

    return 1 if all(map(is_grey, pictures[:: max(1, len(pictures) // SAMPLE)])) else 3


class Framing(Enum):
    """Ways in which pictures of any size become inputs of a model, in training and in use; sizes are `config.size`."""

    CROPS = "crops of any size"
    SHRUNK = "crops, of pictures that are shrunk if a side is longer"
    MIDDLE_SQUARE = "whole pictures, cut to their middle square"
    SQUEEZED = "whole pictures, squeezed into a square"

    @property
    def is_whole(self) -> bool:
        """True if an input is a whole picture of one size."""
        return self in (Framing.MIDDLE_SQUARE, Framing.SQUEEZED)


class Facts(NamedTuple):
    """Facts about a model: sentences to print, and plain values to store."""

    words: list[str]
    values: dict[str, Any]


@dataclass(frozen=True)
class Nothing(Section):
    """An empty section of a recipe, for a kind of model without such settings."""


class Model(nn.Module):
    """An autoencoder that can be trained, saved and rebuilt.

    A kind is a subclass with three sections of recipes: `Config` shapes the network, `Corruption` changes clean images
    in training, `Objective` defines the loss.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[Section]]
    Corruption: ClassVar[type[Section]] = Nothing
    Objective: ClassVar[type[Section]] = Nothing
    metric: ClassVar[str]
    """Name of the figure, among those that `validate` returns, by which weights are chosen."""

    shown: ClassVar[tuple[str, ...]] = ("before", "after", "original")
    """Names of the pictures of `example`."""

    lower_is_better: ClassVar[bool] = False
    """Whether a lower figure is better."""

    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    """Decay rates of AdamW's averages of gradients and of their squares."""
    lr_ratios: ClassVar[Mapping[str, float]] = {}
    """Learning rates of parts of the network, by attribute, as multiples of the run's."""

    defaults: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults of recipes for this kind, by section, where they differ from those of all kinds."""

    presets: ClassVar[Mapping[str, Mapping[str, Mapping[str, Any]]]] = {}
    """Recipes by name: the sections and keys that differ from the defaults."""

    framing: ClassVar[Framing] = Framing.CROPS
    """Framing of pictures as inputs."""

    turned: ClassVar[bool] = True
    """Whether crops are turned and mirrored in training, for kinds to which orientation does not matter."""

    further: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Defaults, instead of `defaults`, of recipes that start from trained weights."""

    has_modalities: ClassVar[bool] = False
    """Whether it takes several pictures of the same thing, or a picture and a label, at once."""

    learns_from_pairs: ClassVar[bool] = False
    """Whether `corrupt` takes images with their noisy versions as further channels."""

    takes_any_values: ClassVar[bool] = False
    """Whether it is trained on values of any range, each image in its own, and on all pages of TIFF files."""

    closed_form: ClassVar[bool] = False
    """Whether it is fitted in closed form, by `fit`, rather than step by step."""

    meets_adversary: ClassVar[bool] = False
    """Whether it can be trained against an adversary, for which it needs `loss_and_fakes` and `last_layer`."""

    only_adversary: ClassVar[bool] = False
    """Whether misleading an adversary is its only objective, from the first step on."""

    doubt: str | None = None
    """Reason, stored in the model's file, why training failed and results mean little; see `diagnose`."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_config(cls, values: Mapping[str, Any]) -> Self:
        """Build an untrained model from the plain values of a recipe or a model file."""
        return cls(cls.Config.from_values(values, where=f"[model] of a {cls.kind}"))

    @classmethod
    def resolve_config(cls, config: Any, sources: Sequence[Source], modalities: Sequence[str]) -> Any:
        """Return the configuration completed from the images of a run: the channels.

        modalities: names of the modalities of the images, for a kind that has them.
        """
        if config.channels:
            return config
        return replace(config, channels=channels_of([source.read for source in sources]))

    @classmethod
    def whole(cls, source: Source, config: Any) -> np.ndarray:
        """Return an image as input for a kind of whole pictures, (size, size, channels) uint8. Raises ImageError."""
        frame = squeezed if cls.framing is Framing.SQUEEZED else whole_picture
        return frame(source.read(), config.size, config.channels)

    @classmethod
    def sampling_weights(cls, images: ImageStore, config: Any) -> Tensor | None:
        """Return the sampling weights of images in training, (images,), not normalised; None: uniform."""
        return None

    def warm_start(self, other: Model) -> bool:
        """Copy useful weights of a trained model of another kind; return whether there were any."""
        return False

    def fit(self, images: ImageStore) -> str:
        """Fit a model in closed form to images; return the findings in words."""
        raise NotImplementedError

    def forget(self) -> None:
        """Drop the findings at the end of earlier training, which further training invalidates."""

    def complete(self, images: TrainingImages, held_out: Batch, corruption: Any, generator: torch.Generator) -> Facts:
        """Compute, when training has ended, what is stored in the model's file along with its weights.

        held_out: the batch that the figures were measured on. Returns the findings in words and as plain values for the
        file; no words if there are none.
        """
        return Facts([], {})

    @classmethod
    def smallest_crop(cls, corruption: Any) -> int:
        """Return the minimum side, in pixels, of crops of which a corruption leaves something."""
        return 1

    @classmethod
    def lessons(cls, corruption: Any) -> tuple[float, ...]:
        """Return the fractions of a run at which there is a `lesson`; none if images are trained on as they are."""
        return ()

    def lesson(self, images: Tensor, corruption: Any) -> tuple[Tensor, Any]:
        """Return the images, in place of the given ones, and the corruption for the next part of a run."""
        raise NotImplementedError

    def exam(self, images: Tensor, corruption: Any, generator: torch.Generator) -> Batch:
        """Return a batch for `validate` from held-out images, once the first `lesson` is over."""
        raise NotImplementedError

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Any) -> Batch:
        """Make a training batch from clean images, (batch, channels, height, width) in 0..1.

        All random numbers of a training step are drawn here, from `generator`, so that it can be repeated exactly.
        """
        raise NotImplementedError

    def loss(self, batch: Batch, objective: Any = None, fraction: float = 1.0) -> Losses:
        """Return the losses that training minimises, means over the batch.

        objective: of the kind's class `Objective`, by default with its default values. fraction: share of the run that
        is over.
        """
        raise NotImplementedError

    def frozen_parameters(self, objective: Any, fraction: float) -> Iterable[nn.Parameter]:
        """Return the parameters that stay fixed in a step, at a fraction of the run; most kinds have none."""
        return ()

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return figures on a held-out batch, including the one named by `metric`."""
        raise NotImplementedError

    def diagnose(self, figures: Mapping[str, float]) -> str | None:
        """Return advice if the held-out figures of a finished run show a well-known failure, else None."""
        return None

    def example(self, batch: Batch) -> list[Tensor]:
        """Return pictures of a held-out batch to show: before and after, each (batch, channels, height, width)."""
        raise NotImplementedError

    def loss_and_fakes(self, batch: Batch, objective: Any = None, fraction: float = 1.0) -> tuple[Losses, Tensor]:
        """Return the loss, and generated pictures that an adversary should take for real ones.

        There are about as many as in the batch; the real ones are `batch["real"]`, if it exists, or `batch["clean"]`.
        """
        raise NotImplementedError

    def discriminator(self) -> nn.Module:
        """Return an untrained adversary: a network from pictures to log-odds that they are real."""
        return PatchDiscriminator(self.config.channels)

    @property
    def last_layer(self) -> Tensor:
        """The weights of the layer that makes pictures, at which the loss and an adversary are balanced."""
        raise NotImplementedError

    def forward(
        self, batch: Batch, objective: Any = None, fraction: float = 1.0, fakes: bool = False
    ) -> tuple[Losses, Tensor | None]:
        """Return the loss, and the fakes if wanted; needed because distributed training wraps `forward`."""
        if fakes:
            return self.loss_and_fakes(batch, objective, fraction)
        return self.loss(batch, objective, fraction), None

    @property
    def stride(self) -> int:
        """The number that heights and widths of inputs must be multiples of."""
        return 1

    @property
    def device(self) -> torch.device:
        """The device that the weights are on."""
        return next(itertools.chain(self.parameters(), self.buffers())).device


def register(kind: str) -> Callable[[type[Model]], type[Model]]:
    """Return a class decorator that registers a model under the name of its kind."""

    def decorate(cls: type[Model]) -> type[Model]:
        cls.kind = kind
        CLASSES[kind] = cls
        return cls

    return decorate
