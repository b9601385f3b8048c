"""The prior of the codec: how likely each number of the latent is, given those that came before it.

A hyper-latent z at 1/64 of the picture's size is coded first (Ballé et al. 2018). Then y, at 1/16, comes in four
passes: positions fall into four classes, rows and columns even or odd, channels into four groups, and pass k codes the
group k XOR class at every position (after Li, Li & Lu 2023). So every pass but the first knows a part of each position
and of all its neighbours, and no pass is serial. A pass gives means, in sixteenths, and the indices of tables.

Everything that decides a symbol is computed in the whole numbers of `vaetool.entropy.exact`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.entropy import tables
from vaetool.entropy.exact import BITS, LIMIT, UNIT, FixedConv
from vaetool.entropy.quality import KNOTS, QUALITIES, nominal_gain
from vaetool.errors import WeightsError

PASSES = 4
HYPER_STRIDE = 4
"""Positions of y a side for each position of z."""

NORMALISED_LIMIT = 64.0
LARGEST_RAW = 2.0**15  # of the tables of z; far below what float64 holds exactly
_SIGMA_BITS, _GAIN_BITS = 16, 8


class Prior(nn.Module):
    """The networks and tables. Real numbers in float32 for training, whole units in float64 for coding."""

    counts: Tensor
    gain_units: Tensor
    sigma_units: Tensor

    def __init__(self, sigma: Tensor, hyper: int, width: int) -> None:
        """sigma: (latent,), about the standard deviation of each channel of y before any gain."""
        super().__init__()
        self.latent, self.hyper = len(sigma), hyper
        # Of the hyper-latent: mean and raw index of each channel at each knot.
        self.z_mean = nn.Parameter(torch.zeros(KNOTS, hyper))
        self.z_index = nn.Parameter(torch.zeros(KNOTS, hyper))
        self.enlarge = nn.ModuleList([FixedConv(hyper + KNOTS, 4 * width), FixedConv(width, 4 * width)])
        self.mix = nn.ModuleList([FixedConv(width, width, 3), FixedConv(width, width, 3)])
        self.look = nn.ModuleList(FixedConv(width + self.latent + KNOTS + PASSES, width) for _ in range(PASSES))
        self.spread = nn.ModuleList(FixedConv(width, width, 3) for _ in range(PASSES))
        tails = [FixedConv(width + KNOTS, 2 * self.latent, leaky=False) for _ in range(PASSES)]
        self._begin_with_fixed_tables(tails, sigma)
        self.tail = nn.ModuleList(tails)
        self.register_buffer("counts", tables.make_counts())
        gains = nominal_gain(torch.arange(1, QUALITIES + 1, dtype=torch.float64))
        self.register_buffer("gain_units", torch.round(gains * 2**_GAIN_BITS).long())
        self.register_buffer("sigma_units", torch.round(sigma.double() * 2**_SIGMA_BITS).long())

    def _begin_with_fixed_tables(self, tails: list[FixedConv], sigma: Tensor) -> None:
        """At first every channel has the table of its sigma at each quality, whatever came before."""
        spread = (sigma * nominal_gain(torch.linspace(1, QUALITIES, KNOTS))[:, None]).clamp_min(0.15)
        index = ((spread / (2 * tables.SMALLEST)).log() * tables.STEPS_PER_NAT - tables.COUNT // 2) / 8
        for tail in tails:
            with torch.no_grad():
                tail.weight.zero_()
                tail.bias.zero_()
                tail.weight[self.latent :, -KNOTS:, 0, 0] = index.T

    def features(self, z: Tensor, knots: Tensor) -> Tensor:
        """(batch, hyper, h, w) and (batch, KNOTS) → (batch, width, 4 h, 4 w)."""
        x = torch.cat([z, _planes(knots, z)], dim=1)
        for enlarge, mix in zip(self.enlarge, self.mix, strict=True):
            x = F.pixel_shuffle(enlarge(x), 2)
            x = _clamped(x + mix(x))
        return x

    def step(self, number: int, features: Tensor, known: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
        """One pass: new features, and its raw output, (batch, 2 · latent, height, width): means and indices.

        known: (batch, latent, height, width), divided by the normaliser, zero where not yet coded.
        """
        planes = _planes(knots, features)
        seen = torch.cat([features, known, planes, _class_planes(features)], dim=1)
        features = _clamped(features + self.spread[number](self.look[number](seen)))
        return features, self.tail[number](torch.cat([features, planes], dim=1))

    def normaliser_units(self, quality: int) -> Tensor:
        """What y is divided by for the networks, in units: (latent, 1, 1) int64. See `Codec.normaliser`."""
        product = self.gain_units[quality - 1] * self.sigma_units >> (_GAIN_BITS + _SIGMA_BITS - BITS)
        return product.clamp_min(UNIT)[:, None, None]

    def check(self) -> None:
        """Raises WeightsError if its sums could be inexact, or its tables none."""
        for name, layer in self.named_modules():
            if isinstance(layer, FixedConv):
                layer.check_bounds(name)
        if not all(bool((table.abs() < LARGEST_RAW).all()) for table in (self.z_mean, self.z_index)):
            raise WeightsError("the tables of its hyper-latent are damaged")
        if not tables.are_valid(self.counts):
            raise WeightsError("its tables are damaged")
        for units, largest in ((self.gain_units, 2**20), (self.sigma_units, 2**24)):
            if not bool(((units > 0) & (units < largest)).all()):
                raise WeightsError("its units are damaged")


def table_index(raw: Tensor) -> Tensor:
    """What a network puts out for a scale, as the index of a table: eight tables to one, zero the middle one."""
    return 8 * raw + tables.COUNT // 2


def pass_mask(number: int, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Which numbers of y a pass codes, of a shape (channels, height, width): bool, of that shape."""
    channels, height, width = shape
    group = torch.arange(channels, device=device) % PASSES
    rows, columns = torch.arange(height, device=device) % 2, torch.arange(width, device=device) % 2
    return (group ^ number)[:, None, None] == (2 * rows[:, None] + columns)[None]


def _planes(knots: Tensor, like: Tensor) -> Tensor:
    return knots.to(like.dtype)[:, :, None, None].expand(-1, -1, *like.shape[2:])


def _class_planes(like: Tensor) -> Tensor:
    """One plane per class of positions: one (in units where `like` is) at its positions."""
    one = UNIT if like.dtype == torch.float64 else 1.0
    masks = torch.stack([pass_mask(k, (1, *like.shape[2:]), like.device)[0] for k in range(PASSES)])
    return (masks.to(like.dtype) * one).expand(len(like), -1, -1, -1)


def _clamped(x: Tensor) -> Tensor:
    limit = LIMIT * UNIT if x.dtype == torch.float64 else LIMIT
    return x.clamp(-limit, limit)
