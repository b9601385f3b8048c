"""The codec's transforms: pictures to the latent y and back, and y to the hyper-latent z.

They begin as block cosine transforms, exact up to the code's width, to which residual blocks add nothing yet.
Inside, every channel is divided by the sigma that photographs have along its cosine, so that all are on one scale.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.compression.grid import STRIDE
from vaetool.compression.quality import KNOTS
from vaetool.nn.blocks import LEAK

PATCH = 8

MAX_ACTIVATION = 300.0
"""Bound of activations in units of a channel's sigma. Gates multiply: inputs unlike photographs would grow without it.
"""

MAX_SUMMED = 192
"""Maximum number of channels that a layer of the synthesis sums over at once. oneDNN splits longer sums by the number
of threads, so their last bits would depend on it.
"""


class Block(nn.Module):
    """A residual block in two halves: 1x1, depthwise 3x3, 1x1; then a gated pair of 1x1 (after Li, Li & Lu 2024)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(width, width, 1)
        self.local = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.leave = nn.Conv2d(width, width, 1)
        self.gate = nn.Conv2d(width, 2 * width, 1)
        self.close = nn.Conv2d(width, width, 1)
        for last in (self.leave, self.close):
            for parameter in last.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block to x, (batch, channels, height, width); keeps the shape."""
        x = self.leave(self.local(F.leaky_relu_(self.enter(x), LEAK))).add_(x)  # in place: memory limits a CPU
        opening, value = self.gate(x).chunk(2, dim=1)
        return self.close(torch.relu(opening) * value).add_(x).clamp(-MAX_ACTIVATION, MAX_ACTIVATION)


class Modulation(nn.Module):
    """Scaling and shifting of channels by quality."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(KNOTS, width))
        self.shift = nn.Parameter(torch.zeros(KNOTS, width))

    def forward(self, x: Tensor, knots: Tensor) -> Tensor:
        """Scale and shift x, (batch, channels, height, width), by knots, (batch, KNOTS); keeps the shape of x."""
        x = x * (1 + knots @ self.scale)[:, :, None, None]
        return x.add_((knots @ self.shift)[:, :, None, None])


class Deblocking(nn.Module):
    """A residual filter over finished pixels, in squares of 2x2, because patches know nothing beyond their edges."""

    def __init__(self, channels: int, width: int = 48) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.modulation = Modulation(width)
        self.leave = nn.Conv2d(width, 4 * channels, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, knots: Tensor) -> Tensor:
        """Filter x, (batch, channels, height, width) with even sides, by knots, (batch, KNOTS); keeps the shape."""
        hidden = self.modulation(self.enter(F.pixel_unshuffle(x, 2)), knots)
        return F.pixel_shuffle(self.leave(F.leaky_relu_(hidden, LEAK)), 2).add_(x)


class Analysis(nn.Module):
    """The transform of pictures to y, in pixels' units: (batch, 3, 16 h, 16 w) in 0..1 → (batch, latent, h, w)."""

    spread: Tensor
    coarse_spread: Tensor

    def __init__(self, latent: int, blocks: int) -> None:
        super().__init__()
        basis, spread = cosine_basis(PATCH)
        coarse, coarse_spread = cosine_basis(STRIDE, latent)
        width = len(basis)
        self.head = nn.Conv2d(width, width, 1)
        self.modulation = Modulation(width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.shrink = nn.Conv2d(width, latent, 2, 2)
        self.register_buffer("spread", torch.as_tensor(spread))
        self.register_buffer("coarse_spread", torch.as_tensor(coarse_spread))
        change = change_of_basis(coarse, basis) * spread[:, None, None] / coarse_spread[:, None, None, None]
        _set(self.head, basis.reshape(width, width, 1, 1))
        _set(self.shrink, change)

    def forward(self, x: Tensor, knots: Tensor) -> Tensor:
        """Transform pictures to y, see the class; knots: (batch, KNOTS)."""
        x = self.head(F.pixel_unshuffle(x - 0.5, PATCH)) / self.spread[:, None, None]
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number == 0:
                x = self.modulation(x, knots)
        return self.shrink(x) * self.coarse_spread[:, None, None]


class Synthesis(nn.Module):
    """The reverse of `Analysis`: y in pixels' units to pictures."""

    spread: Tensor
    coarse_spread: Tensor

    def __init__(self, latent: int, blocks: int) -> None:
        super().__init__()
        basis, spread = cosine_basis(PATCH)
        coarse, coarse_spread = cosine_basis(STRIDE, latent)
        width = len(basis)
        self.grow = nn.Conv2d(latent, 4 * width, 1)
        self.modulation = Modulation(width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.tail = nn.Conv2d(width, width, 1)
        self.deblocking = Deblocking(3)
        self.register_buffer("spread", torch.as_tensor(spread))
        self.register_buffer("coarse_spread", torch.as_tensor(coarse_spread))
        change = change_of_basis(coarse, basis) / spread[:, None, None] * coarse_spread[:, None, None, None]
        _set(self.grow, change.transpose(1, 2, 3, 0).reshape(4 * width, latent, 1, 1))
        _set(self.tail, basis.T.reshape(width, width, 1, 1))

    def forward(self, y: Tensor, knots: Tensor, reduction: int = 1) -> Tensor:
        """Transform y to pictures, see the class; knots: (batch, KNOTS).

        reduction: 2, 4 or 8 yields nearly the same pictures, that many times smaller, for a fraction of the work.
        """
        x = self.modulation(F.pixel_shuffle(self._grown(y / self.coarse_spread[:, None, None]), 2), knots)
        if reduction > 1:
            return self._averaged(x * self.spread[:, None, None], reduction).add_(0.5)
        for block in self.blocks:
            x = block(x)
        x = F.pixel_shuffle(self.tail(x * self.spread[:, None, None]), PATCH)
        return self.deblocking(x, knots).add_(0.5)

    def _grown(self, y: Tensor) -> Tensor:
        """Apply `grow` so that a machine computes the same numbers with any number of threads: see `MAX_SUMMED`."""
        first, *others = zip(y.split(MAX_SUMMED, dim=1), self.grow.weight.split(MAX_SUMMED, dim=1), strict=True)
        x = F.conv2d(*first, self.grow.bias)
        for part in others:
            x = x + F.conv2d(*part)
        return x

    def _averaged(self, x: Tensor, reduction: int) -> Tensor:
        """Return the output of `tail` averaged over squares, by averaging its weights.

        Residual blocks and deblocking are left out: they mostly change details, which hardly affect means.
        """
        side = PATCH // reduction
        squares = (3, side, reduction, side, reduction)
        weight, bias = (
            values.unflatten(0, squares).mean(dim=(2, 4)).flatten(0, 2) for values in self.tail.parameters()
        )
        return F.pixel_shuffle(F.conv2d(x, weight, bias), side)


class HyperAnalysis(nn.Sequential):
    """The transform of normalised y to z: (batch, latent, 4 h, 4 w) → (batch, hyper, h, w)."""

    def __init__(self, latent: int, hyper: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(latent, width, 1),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(width, width, 2, 2),
            nn.LeakyReLU(LEAK),
            nn.Conv2d(width, hyper, 2, 2),
        )


def cosine_basis(size: int, keep: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return the `keep` strongest vectors of an orthonormal cosine transform of square colour patches, and their sigma.

    Returns (vectors, 3 · size²), each over (channel, row, column), and (vectors,): the standard deviation of pictures
    in 0..1 along each, by the rule that amplitude falls with frequency, as measured on photographs. Both float32.
    """
    frequency, place = np.mgrid[:size, :size].astype(np.float64)
    cosines = np.cos(math.pi * (2 * place + 1) * frequency / (2 * size)) * math.sqrt(2 / size)
    cosines[0] /= math.sqrt(2)
    colours = np.array([[1, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]])
    colours /= np.linalg.norm(colours, axis=1, keepdims=True)
    vectors = np.einsum("kc,ui,vj->kuvcij", colours, cosines, cosines).reshape(3 * size**2, -1)
    sums = frequency + frequency.T
    rise = 1 / sums.clip(0.25) * (size / 16)
    sigma = np.stack([rise, 0.35 * rise / sums.clip(1) ** 0.2, 0.18 * rise / sums.clip(1) ** 0.2]).ravel()
    order = np.argsort(-sigma, kind="stable")[:keep] if keep else np.arange(3 * size**2)
    return vectors[order].astype(np.float32), sigma[order].astype(np.float32)


def change_of_basis(coarse: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Express vectors over patches in those over the four half-sized patches within: (vectors, fine, 2, 2)."""
    size = math.isqrt(fine.shape[1] // 3)
    patches = coarse.reshape(-1, 3, 2, size, 2, size).transpose(0, 2, 4, 1, 3, 5).reshape(len(coarse), 2, 2, -1)
    return np.moveaxis(patches @ fine.T, 3, 1)


def _set(layer: nn.Conv2d, weight: np.ndarray) -> None:
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight.copy_(torch.as_tensor(weight))
