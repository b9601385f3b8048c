"""The shape of a multimodal VAE, completed from its data, and the arrangement of modalities in one array of planes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from vaetool.errors import ImageError, UsageError
from vaetool.images.conversion import to_unit, unpack, whole_picture
from vaetool.images.modalities import number_of_label
from vaetool.images.sources import Source
from vaetool.latents.likelihoods import ELBOObjective
from vaetool.latents.modalities import MAX_LABELS, plane_of_label
from vaetool.latents.trunk import TrunkConfig
from vaetool.nn.base import ImageStore, channels_of
from vaetool.nn.sections import NotNegative, NotNegativeFloat, PositiveFloat

SAMPLE = 32
"""Approximate number of pictures of a modality examined to choose its likelihood."""

BATCH = 256
"""Number of things whose masks are examined at once."""

DEPTH_OF_PLACES = 3
"""Levels of the trunk above the places of a mask, each of which covers 8 x 8 pixels."""

EXTREME, BINARY = 0.03, 0.95
"""Distance from black or white within which a value in 0..1 counts as such, and minimum share of such values in a mask.
"""


@dataclass(frozen=True)
class MMVAEConfig(TrunkConfig):
    """The shape of a multimodal VAE; `latent` counts all units of a code at each place, private ones included."""

    private: NotNegative = 16  # private units of each modality of pictures
    # Places per side, each with a code of its own; 1: one for the whole picture. 0: chosen by the modalities, an eighth
    # of the size where one is a mask beside another picture, else 1.
    places: NotNegative = 0
    # These are found in the data if they are empty, as they should be in a recipe.
    modalities: tuple[str, ...] = ()  # names
    planes: tuple[Literal[0, 1, 3], ...] = ()  # channels of each; 0: labels
    likelihoods: tuple[Literal["bernoulli", "gaussian", "logistic"], ...] = ()  # of each; that of labels is unused
    labels: tuple[str, ...] = ()  # names
    calibration: NotNegative = 0  # good pairs that p-values of scores are based on; 0: none yet
    statistics: tuple[str, ...] = ()  # names of the components known of each

    def __post_init__(self) -> None:
        super().__post_init__()
        if not len(self.modalities) == len(self.planes) == len(self.likelihoods):
            raise UsageError("model.modalities, planes and likelihoods must have one entry for each modality")
        if self.modalities and not self.places:
            object.__setattr__(self, "places", 1)
        if self.places > 1 and self.places not in self.grids:
            raise UsageError(f"model.places must be 1, {', '.join(map(str, reversed(self.grids)))}, not {self.places}")
        if len(self.labels) > MAX_LABELS:
            raise UsageError(f"there are {len(self.labels)} labels; {MAX_LABELS} are possible")
        if self.shared < 1:
            raise UsageError(
                f"model.private of {self.private} for each modality leaves nothing of a code of {self.latent} to share:"
                " choose a larger --latent, or a smaller --set model.private=N"
            )

    @property
    def shared(self) -> int:
        """Units that all modalities share, at each place."""
        return self.latent - self.private * sum(planes > 0 for planes in self.planes)

    @property
    def numbers(self) -> int:
        """The length of a code: units of all places."""
        return self.latent * self.places**2

    @property
    def are_masks(self) -> tuple[bool, ...]:
        """For each modality, whether its pictures are like masks, nearly all black or white."""
        kinds = zip(self.planes, self.likelihoods, strict=True)
        return tuple(planes > 0 and likelihood == "bernoulli" for planes, likelihood in kinds)

    def trunk(self, channels: int) -> TrunkConfig:
        """Return the shape of the trunk of a modality of pictures."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(TrunkConfig)}
        return TrunkConfig(**{**values, "channels": channels, "latent": self.shared + self.private})


@dataclass(frozen=True)
class MMVAEObjective(ELBOObjective):
    """Objective: modifications of the bounds in training."""

    label_weight: PositiveFloat = 50.0  # of the log-probability of a label, which is small beside that of a picture
    mask_weight: PositiveFloat = 30.0  # the same for a mask, which may show only a speck
    difference: NotNegativeFloat = (
        0.0  # weight of the information of private units on shared ones, in nats: see `dependence`
    )


def resolve_config(config: MMVAEConfig, sources: Sequence[Source], modalities: Sequence[str]) -> MMVAEConfig:
    """Return the configuration with the modalities of images, their channels, likelihoods and labels."""
    readers = list(zip(*((source.read, *source.others) for source in sources), strict=True))
    planes = [config.channels or channels_of(pictures) for pictures in readers]
    likelihoods = [_fitting_likelihood(pictures) for pictures in readers]
    labels: set[str] = set()
    if len(modalities) > len(readers):
        planes, likelihoods = [*planes, 0], [*likelihoods, "bernoulli"]
        labels = {source.label for source in sources}
    found: dict[str, Any] = {"modalities": modalities, "planes": planes, "labels": sorted(labels)}
    found["likelihoods"] = config.likelihoods or likelihoods
    if not config.places:
        has_mask = len(readers) > 1 and "bernoulli" in found["likelihoods"][: len(readers)]
        found["places"] = config.grids[:DEPTH_OF_PLACES][-1] if has_mask else 1
    return dataclasses.replace(config, **found)


def sampling_weights(images: ImageStore, config: MMVAEConfig) -> Tensor | None:
    """Return the sampling weights of things in training, (things,), if some modality is a mask; else None.

    Half of the draws are uniform, half by the spread of masks: most masks of defects are nearly empty, and teach
    little.
    """
    owners = [index for index, planes in enumerate(config.planes) for _ in range(max(1, planes))]
    masks = [plane for plane, owner in enumerate(owners) if config.are_masks[owner]]
    if not masks:
        return None
    spreads = torch.cat([x[:, masks].flatten(1).std(dim=1) for x in images.batches(config.size, BATCH)])
    return 1 / len(spreads) + spreads / spreads.sum().clamp_min(1e-6)


def _fitting_likelihood(pictures: Sequence[Callable[[], np.ndarray]]) -> str:
    """Return "bernoulli" for pictures like masks, nearly all black or white, else "gaussian"."""
    sample = pictures[:: max(1, len(pictures) // SAMPLE)]
    shares = []
    for read in sample:
        try:
            values = to_unit(read())
        except ImageError:  # a warning is given where it is left out
            continue
        shares.append((np.abs(values - values.round()) < EXTREME).mean())
    return "bernoulli" if shares and np.mean(shares) >= BINARY else "gaussian"


def arranged(modalities: Sequence[Any], config: MMVAEConfig) -> np.ndarray:
    """Return the planes of modalities, images of any kind or a label, (size, size, planes) uint8."""
    if len(modalities) != len(config.planes):
        raise UsageError(f"{len(config.planes)} modalities are needed, {', '.join(config.modalities)}")
    parts = []
    for image, planes in zip(modalities, config.planes, strict=True):
        if planes:
            parts.append(whole_picture(unpack(image)[0], config.size, planes))
        else:
            parts.append(plane_of_label(number_of_label(image, config.labels), config.size))
    return np.concatenate(parts, axis=2)
