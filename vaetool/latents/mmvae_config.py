"""The shape of a multimodal VAE, as far as its data decides it, and how modalities become one array of planes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from vaetool.errors import ImageError, UsageError
from vaetool.images.conversion import to_unit, unpack, whole_picture
from vaetool.images.modalities import number_of_label
from vaetool.images.sources import Source
from vaetool.latents.modalities import MAX_LABELS, plane_of_label
from vaetool.latents.trunk import TrunkConfig
from vaetool.nn.base import channels_of
from vaetool.nn.sections import NotNegative

SAMPLE = 32
"""Pictures of a modality, about, that are looked at to choose its likelihood."""

EXTREME, BINARY = 0.03, 0.95
"""Distance from black or white, of 1, within which a value counts as that, and the share of such values in a mask."""


@dataclass(frozen=True)
class MMVAEConfig(TrunkConfig):
    """The shape of a multimodal VAE; `latent` counts all units of a code, private ones included."""

    private: NotNegative = 16  # units for each modality of pictures that it alone has
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
        if len(self.labels) > MAX_LABELS:
            raise UsageError(f"there are {len(self.labels)} labels; {MAX_LABELS} are possible")
        if self.shared < 1:
            raise UsageError(
                f"model.private of {self.private} for each modality leaves nothing to share of a code of {self.latent}:"
                " choose a larger --latent, or a smaller --set model.private=N"
            )

    @property
    def shared(self) -> int:
        """Units that all modalities share."""
        return self.latent - self.private * sum(planes > 0 for planes in self.planes)

    def trunk(self, channels: int) -> TrunkConfig:
        """Return the shape of the trunk of a modality of pictures."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(TrunkConfig)}
        return TrunkConfig(**{**values, "channels": channels, "latent": self.shared + self.private})


def settled(config: MMVAEConfig, sources: Sequence[Source], modalities: Sequence[str]) -> MMVAEConfig:
    """Return the configuration with the modalities that images have, their channels, likelihoods and labels."""
    readers = list(zip(*((source.read, *source.others) for source in sources), strict=True))
    planes = [config.channels or channels_of(pictures) for pictures in readers]
    likelihoods = [_fitting_likelihood(pictures) for pictures in readers]
    labels: set[str] = set()
    if len(modalities) > len(readers):
        planes, likelihoods = [*planes, 0], [*likelihoods, "bernoulli"]
        labels = {source.label for source in sources}
    found: dict[str, Any] = {"modalities": modalities, "planes": planes, "labels": sorted(labels)}
    found["likelihoods"] = config.likelihoods or likelihoods
    return dataclasses.replace(config, **found)


def _fitting_likelihood(pictures: Sequence[Callable[[], np.ndarray]]) -> str:
    """Return "bernoulli" for masks and the like, nearly all black or white, else "gaussian"."""
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
