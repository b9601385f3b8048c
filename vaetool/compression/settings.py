"""What can be chosen about a codec: its size, what training does to pictures, what distortion is."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaetool.compression.entropy.prior import PASSES
from vaetool.compression.grid import QUALITIES
from vaetool.errors import UsageError
from vaetool.nn.base import NotNegative, Positive


@dataclass(frozen=True)
class CodecConfig:
    """The size of a codec."""

    channels: int = 3
    latent: Positive = 320  # channels of y, at 1/16 of the picture's size
    hyper: Positive = 64  # channels of z, at 1/64
    encoder_blocks: NotNegative = 3
    decoder_blocks: NotNegative = 6
    prior_width: Positive = 128

    def __post_init__(self) -> None:
        if self.channels != 3:
            raise UsageError(f"model.channels must be 3, not {self.channels}: grey pictures are coded as colour")
        if self.latent % PASSES:
            raise UsageError(f"model.latent must be a multiple of {PASSES}, not {self.latent}")


@dataclass(frozen=True)
class Qualities:
    """The qualities that a codec is trained for, one at random for each image, and how many images are odd.

    odd: the share of the images that is made unlike photographs, see `vaetool.compression.oddities`.
    """

    quality_min: float = 1.0
    quality_max: float = 100.0
    odd: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.quality_min <= self.quality_max <= QUALITIES:
            raise UsageError(f"corruption.quality_min and quality_max must be from 1 to {QUALITIES}, in this order")
        if not 0 <= self.odd <= 1:
            raise UsageError(f"corruption.odd is a share, from 0 to 1, not {self.odd:g}")


@dataclass(frozen=True)
class CodecObjective:
    """What the distortion is made of."""

    structure: float = 0.0  # weight of 1 − MS-SSIM next to the squared error; at 1, it counts `SIMILARITY` times

    def __post_init__(self) -> None:
        if not 0 <= self.structure < math.inf:
            raise UsageError(f"objective.structure must be 0 or more, not {self.structure:g}")
