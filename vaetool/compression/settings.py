"""Settings of a codec: its size, what training does to pictures, and the distortion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from vaetool.compression.entropy.prior import PASSES
from vaetool.compression.grid import QUALITIES
from vaetool.errors import UsageError
from vaetool.nn.sections import NotNegative, NotNegativeFloat, Positive, Section, Share

Quality = Annotated[float, Meta(ge=1, le=QUALITIES)]


@dataclass(frozen=True)
class CodecConfig(Section, name="model"):
    """The size of a codec."""

    channels: Literal[3] = 3  # grey pictures are coded as colour
    latent: Annotated[int, Meta(gt=0, multiple_of=PASSES)] = 320  # channels of y, at 1/16 of the picture's size
    hyper: Positive = 64  # channels of z, at 1/64
    encoder_blocks: NotNegative = 3
    decoder_blocks: NotNegative = 6
    prior_width: Positive = 128


@dataclass(frozen=True)
class Qualities(Section, name="corruption"):
    """The qualities that a codec is trained for, one at random per image, and the share of odd images.

    odd: share of the images made unlike photographs, see `vaetool.compression.oddities`.
    """

    quality_min: Quality = 1.0
    quality_max: Quality = 100.0
    odd: Share = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quality_min > self.quality_max:
            raise UsageError(
                f"corruption.quality_min must be at most quality_max, {self.quality_max:g}, not {self.quality_min:g}"
            )


@dataclass(frozen=True)
class CodecObjective(Section, name="objective"):
    """Composition of the distortion."""

    # Weight of 1 − MS-SSIM next to the squared error; at 1, it counts `SIMILARITY` times.
    structure: NotNegativeFloat = 0.0
