"""The trunk of `ae`, `vae` and `gan`: an encoder from pictures of a fixed size, and a decoder to pictures.

Level k works at 1/2^(k+1) of the size with `widths[k]` channels: a convolution with stride 2, then `blocks[k]`
residual blocks. The decoder is the encoder in reverse. Sizes that are not multiples of 2^levels are padded inside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Annotated, Literal

from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.errors import UsageError
from vaetool.nn.sections import NotNegative, Positive, Section, ShareBelowOne

Upsampling = Literal["resize", "transpose", "shuffle"]
Norm = Literal["none", "group", "batch"]
GROUPS = 8
MIN_SIZE, MAX_SIZE = 16, 256
MAX_GRID = 4  # positions per side left for the dense layer, at most, where widths follow from the size
WIDEST, NARROWEST = 192, 16


@dataclass(frozen=True)
class TrunkConfig(Section, name="model"):
    """The shape of a trunk."""

    channels: Literal[0, 1, 3] = 3  # 1: grey, 3: colour; 0 in a recipe: as many as the pictures need
    size: Annotated[int, Meta(ge=MIN_SIZE, le=MAX_SIZE)] = 64  # of the pictures, height and width
    latent: Annotated[int, Meta(ge=1, le=4096)] = 64
    widths: tuple[Positive, ...] = ()  # per level; each halves the resolution. Empty: chosen by the size
    blocks: tuple[NotNegative, ...] = ()  # residual blocks per level, each way; empty: one at each of the two lowest
    decoder_widths: tuple[Positive, ...] = ()  # after each doubling; empty: the encoder's in reverse
    norm: Norm = "group"
    dropout: ShareBelowOne = 0.0
    upsample: Upsampling = "resize"  # "transpose" leaves checkerboards
    mixture: NotNegative = 0  # components of the prior fitted to the codes; 0: none yet
    directions: tuple[str, ...] = ()  # names of the directions found in the codes

    def __post_init__(self) -> None:
        super().__post_init__()
        # What was left open becomes explicit, so that a model file records everything that shapes its network.
        widths = self.widths or widths_for(self.size)
        object.__setattr__(self, "widths", widths)
        object.__setattr__(self, "blocks", self.blocks or blocks_for(len(widths)))
        object.__setattr__(self, "decoder_widths", self.decoder_widths or mirrored(widths))
        if not len(self.widths) == len(self.blocks) == len(self.decoder_widths) > 0:
            raise UsageError("model.widths, blocks and decoder_widths must have one number for each level")
        if 2 ** len(self.widths) > self.size:
            raise UsageError(f"model.widths: {len(self.widths)} levels are too many for {self.size} pixels")

    @property
    def numbers(self) -> int:
        """The length of a code."""
        return self.latent

    @property
    def grid(self) -> int:
        """Positions per side at the lowest level."""
        return math.ceil(self.size / 2 ** len(self.widths))

    @property
    def grids(self) -> tuple[int, ...]:
        """Positions per side after each level of the encoder."""
        return tuple(self.grid * 2**level for level in reversed(range(len(self.widths))))

    @property
    def padding(self) -> tuple[int, int]:
        """Pixels to add before and after, in both directions, to reach a multiple of 2^levels."""
        missing = self.grid * 2 ** len(self.widths) - self.size
        return missing // 2, missing - missing // 2


def widths_for(size: int) -> tuple[int, ...]:
    """Return the widths for a picture size: levels down to at most 4 x 4 positions, 192 wide there and halving upwards.

    >>> widths_for(28), widths_for(64), widths_for(256)
    ((48, 96, 192), (24, 48, 96, 192), (16, 16, 24, 48, 96, 192))
    """
    levels = math.ceil(math.log2(size / MAX_GRID))
    return tuple(max(NARROWEST, WIDEST >> level) for level in reversed(range(levels)))


def blocks_for(levels: int) -> tuple[int, ...]:
    """Return one residual block for each of the two lowest levels, where blocks cost least and see most."""
    return (0,) * (levels - 2) + (1,) * min(2, levels)


def mirrored(widths: tuple[int, ...]) -> tuple[int, ...]:
    """Return the widths of a decoder that mirrors an encoder.

    >>> mirrored((24, 48, 96, 192))
    (96, 48, 24, 12)
    """
    return (*reversed(widths[:-1]), max(1, widths[0] // 2))


class Residual(nn.Module):
    """x + conv(unit(norm(conv(unit(norm(x)))))), the last layer initially zero (He et al. 2016)."""

    def __init__(self, width: int, config: TrunkConfig) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_activation(width, config),
            nn.Conv2d(width, width, 3, padding=1),
            *_activation(width, config),
            nn.Conv2d(width, width, 3, padding=1),
        )
        for parameter in self.layers[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block: any (batch, width, height, width) → the same shape."""
        return x + self.layers(x)


class Encoder(nn.Module):
    """(batch, channels, size, size) in 0..1 → (batch, outputs)."""

    def __init__(self, config: TrunkConfig, outputs: int) -> None:
        super().__init__()
        self.config = config
        widths = (config.channels, *config.widths)
        self.levels = nn.Sequential()
        for (before, width), blocks in zip(pairwise(widths), config.blocks, strict=True):
            layers: list[nn.Module] = [nn.Conv2d(before, width, 3, stride=2, padding=1)]
            layers += [Residual(width, config) for _ in range(blocks)]
            self.levels.append(nn.Sequential(*layers, *_activation(width, config)))
        self.tail = self.make_tail(outputs)

    def make_tail(self, outputs: int) -> nn.Module:
        """Return the layer after the lowest level."""
        return nn.Linear(self.config.widths[-1] * self.config.grid**2, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Encode pictures; shapes are those of the class."""
        return self.tail(self.features(x).flatten(1))

    def features(self, x: Tensor, depth: int | None = None) -> Tensor:
        """Return the output of the first `depth` levels, or all: (batch, widths[depth − 1], grid, grid)."""
        before, after = self.config.padding
        x = F.pad(x, (before, after, before, after))
        for level in islice(self.levels, depth):
            x = level(x)
        return x


class Decoder(nn.Module):
    """(batch, latent) → (batch, outputs, size, size)."""

    def __init__(self, config: TrunkConfig, outputs: int, depth: int | None = None) -> None:
        """Create a decoder; depth: number of its last levels to create, by default all."""
        super().__init__()
        self.config = config
        depth = depth or len(config.widths)
        widths = (config.widths[-1], *config.decoder_widths)[-depth - 1 :]
        self.head = self.make_head(widths[0])
        self.levels = nn.Sequential()
        for (before, width), blocks in zip(pairwise(widths), reversed(config.blocks[:depth]), strict=True):
            layers: list[nn.Module] = [Residual(before, config) for _ in range(blocks)]
            layers.append(_doubling(before, width, config.upsample))
            self.levels.append(nn.Sequential(*layers, *_activation(width, config)))
        self.tail = nn.Conv2d(widths[-1], outputs, 3, padding=1)

    def make_head(self, width: int) -> nn.Module:
        """Return the layer before the lowest level."""
        return nn.Linear(self.config.latent, width * self.config.grid**2)

    def forward(self, z: Tensor) -> Tensor:
        """Decode codes; shapes are those of the class."""
        grid = self.config.grid
        return self.paint(self.head(z).unflatten(1, (-1, grid, grid)))

    def paint(self, features: Tensor, depth: int | None = None) -> Tensor:
        """Return the output of the last `depth` levels, or all, for features of that depth (see `Encoder.features`)."""
        for level in islice(self.levels, len(self.levels) - (depth or len(self.levels)), None):
            features = level(features)
        before, _ = self.config.padding
        end = before + self.config.size
        return self.tail(features)[:, :, before:end, before:end]


class PlacesEncoder(Encoder):
    """(batch, channels, size, size) in 0..1 → (batch, outputs · places · places), in this order, fully convolutional.

    The features of a place get those of lower levels around it added (compare Lin et al. 2017, section 3).
    """

    def __init__(self, config: TrunkConfig, outputs: int, places: int) -> None:
        super().__init__(config, outputs)
        self.depth = config.grids.index(places) + 1
        self.near = nn.Conv2d(config.widths[self.depth - 1], outputs, 1)

    def make_tail(self, outputs: int) -> nn.Module:
        """Return the layer after the lowest level."""
        return nn.Conv2d(self.config.widths[-1], outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Encode pictures; shapes are those of the class."""
        features = self.features(x, self.depth)
        near = self.near(features)
        for level in islice(self.levels, self.depth, None):
            features = level(features)
        around = F.interpolate(self.tail(features), scale_factor=2.0 ** (len(self.levels) - self.depth))
        return (near + around).flatten(1)


class PlacesDecoder(Decoder):
    """(batch, latent · places · places), in this order → (batch, outputs, size, size), fully convolutional."""

    def __init__(self, config: TrunkConfig, outputs: int, places: int) -> None:
        super().__init__(config, outputs, config.grids.index(places) + 1)
        self.places = places

    def make_head(self, width: int) -> nn.Module:
        """Return the layer before the lowest level."""
        return nn.Conv2d(self.config.latent, width, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """Decode codes; shapes are those of the class."""
        return self.paint(self.head(z.unflatten(1, (-1, self.places, self.places))))


def _activation(width: int, config: TrunkConfig) -> list[nn.Module]:
    """Return the layers after a convolution: normalisation, non-linearity and dropout."""
    layers: list[nn.Module] = []
    if config.norm == "group":
        layers.append(nn.GroupNorm(math.gcd(GROUPS, width), width))
    elif config.norm == "batch":
        layers.append(nn.BatchNorm2d(width))
    layers.append(nn.SiLU() if config.norm == "group" else nn.LeakyReLU(0.1))
    if config.dropout:
        layers.append(nn.Dropout2d(config.dropout))
    return layers


def _doubling(before: int, width: int, upsample: str) -> nn.Module:
    """Return a layer that doubles the resolution and changes the number of channels."""
    if upsample == "transpose":
        return nn.ConvTranspose2d(before, width, 3, stride=2, padding=1, output_padding=1)
    if upsample == "shuffle":
        return nn.Sequential(nn.Conv2d(before, 4 * width, 3, padding=1), nn.PixelShuffle(2))
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(before, width, 3, padding=1))
