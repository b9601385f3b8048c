"""The prior of the codec: how likely each number of the latent is, given those that came before it.

A hyper-latent z at 1/64 of the picture's size is coded first (Ballé et al. 2018). Then y, at 1/16, comes in four
passes: positions fall into four classes, rows and columns even or odd, channels into four groups, and pass k codes the
group k XOR class at every position (after Li, Li & Lu 2023). So every pass but the first knows a part of each position
and of all its neighbours, and no pass is serial. A pass yields means, in sixteenths, and indices of tables.

`Prior` learns, in real numbers. Everything that decides a symbol is computed by the `ExactPrior` made from it, in the
whole numbers of `vaetool.compression.entropy.exact`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.compression.entropy import tables
from vaetool.compression.entropy.exact import BITS, LIMIT, UNIT, FixedConv, WholeConv, to_units
from vaetool.compression.grid import QUALITIES
from vaetool.compression.quality import KNOTS, exact_hats, nominal_gain
from vaetool.errors import WeightsError

PASSES = 4
"""Number of passes, of classes of positions and of groups of channels."""

NORMALISED_LIMIT = 64.0
MAX_RAW = 2.0**15  # of the tables of z; far below what float64 holds exactly
_SIGMA_BITS, _GAIN_BITS = 16, 8


class Prior(nn.Module):
    """The networks and tables, in real numbers, for training."""

    counts: Tensor
    gain_units: Tensor
    sigma_units: Tensor

    def __init__(self, sigma: np.ndarray, hyper: int, width: int) -> None:
        """Start with fixed tables; sigma: (latent,), about the standard deviation of channels of y before gain."""
        super().__init__()
        self.latent, self.hyper, self.width = len(sigma), hyper, width
        # For the hyper-latent: mean and raw index of each channel at each knot.
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
        gains = nominal_gain(np.arange(1, QUALITIES + 1, dtype=np.float64))
        self.register_buffer("gain_units", torch.as_tensor(np.rint(gains * 2**_GAIN_BITS).astype(np.int64)))
        units = np.rint(sigma.astype(np.float64) * 2**_SIGMA_BITS).astype(np.int64)
        self.register_buffer("sigma_units", torch.as_tensor(units))

    def _begin_with_fixed_tables(self, tails: list[FixedConv], sigma: np.ndarray) -> None:
        """Make every channel start with the table of its sigma at each quality, whatever came before."""
        spread = (sigma * nominal_gain(np.linspace(1, QUALITIES, KNOTS))[:, None]).clip(0.15)
        index = (np.log(spread / (2 * tables.MIN_SCALE)) * tables.STEPS_PER_NAT - tables.COUNT // 2) / 8
        for tail in tails:
            with torch.no_grad():
                tail.weight.zero_()
                tail.bias.zero_()
                tail.weight[self.latent :, -KNOTS:, 0, 0] = torch.as_tensor(index.T, dtype=torch.float32)

    def features(self, z: Tensor, knots: Tensor) -> Tensor:
        """Return the features of z: (batch, hyper, h, w) and (batch, KNOTS) → (batch, width, 4 h, 4 w)."""
        x = torch.cat([z, _planes(knots, z)], dim=1)
        for enlarge, mix in zip(self.enlarge, self.mix, strict=True):
            x = F.pixel_shuffle(enlarge(x), 2)
            x = (x + mix(x)).clamp(-LIMIT, LIMIT)
        return x

    def step(self, number: int, features: Tensor, known: Tensor, knots: Tensor) -> tuple[Tensor, Tensor]:
        """Run one pass: return new features, and raw output, (batch, 2 · latent, height, width): means and indices.

        known: (batch, latent, height, width), divided by the normaliser, zero where not yet coded.
        """
        planes = _planes(knots, features)
        seen = torch.cat([features, known, planes, _class_planes(features)], dim=1)
        features = (features + self.spread[number](self.look[number](seen))).clamp(-LIMIT, LIMIT)
        return features, self.tail[number](torch.cat([features, planes], dim=1))


class ExactPrior:
    """A prior in whole units, for coding: made once from trained weights, and never changed.

    A pass computes only the numbers it codes, and only from those known by then.
    """

    def __init__(self, prior: Prior, device: torch.device | str = "cpu") -> None:
        """Convert a prior. Raises WeightsError if its sums could be inexact, or its tables are not valid."""
        _check(prior)
        self.latent, self.hyper, self.device = prior.latent, prior.hyper, torch.device(device)
        self._z_mean, self._z_index = (to_units(table.detach().to(device)) for table in (prior.z_mean, prior.z_index))
        self._gains, self._sigmas = prior.gain_units.to(device), prior.sigma_units.to(device)
        self._enlarge, self._mix = _whole(prior, "enlarge", device), _whole(prior, "mix", device)
        self._spread = _whole(prior, "spread", device)
        self._look = [
            [look.part(slice(None), self._inputs(number, group, prior.width)) for group in range(PASSES)]
            for number, look in enumerate(_whole(prior, "look", device))
        ]
        everything = torch.arange(prior.width + KNOTS)
        self._tail = [
            [tail.part(slice(group, None, PASSES), everything) for group in range(PASSES)]
            for tail in _whole(prior, "tail", device)
        ]

    def _inputs(self, number: int, group: int, width: int) -> Tensor:
        """Return the indices of inputs of `Prior.look` that can be nonzero for a group in a pass, as in `step`."""
        known = [torch.arange(before ^ number ^ group, self.latent, PASSES) for before in range(number)]
        constants = torch.arange(self.latent, self.latent + KNOTS + PASSES)
        return torch.cat([torch.arange(width), *(width + part for part in known), width + constants])

    def hyper_tables(self, quality: int) -> tuple[Tensor, Tensor]:
        """Return the means and raw indices of z, in units: both (hyper,) int64."""
        totals = (self._hats(quality) @ table / UNIT for table in (self._z_mean, self._z_index))
        mean, raw = (torch.floor(total + 0.5).long() for total in totals)
        return mean, raw

    def normaliser(self, quality: int) -> Tensor:
        """Return the divisor of y for the networks, in units: (latent, 1, 1) int64. See `Codec.normaliser`."""
        product = self._gains[quality - 1] * self._sigmas >> (_GAIN_BITS + _SIGMA_BITS - BITS)
        return product.clamp_min(UNIT)[:, None, None]

    def features(self, z: Tensor, quality: int) -> Tensor:
        """Return the features of z in units: (hyper, h, w) → (width, 4 h, 4 w)."""
        x = _with_constants([clamped(z)], self._hats(quality))
        for enlarge, mix in zip(self._enlarge, self._mix, strict=True):
            x = F.pixel_shuffle(enlarge(x), 2)
            x = clamped(x + mix(x))
        return x

    def step(self, number: int, features: Tensor, known: Tensor, quality: int) -> tuple[Tensor, list[Tensor]]:
        """Run one pass: return new features, and the means, then indices, of each group of channels, all in units.

        features: (width, height, width). known: (latent, height, width), divided by the normaliser.
        Each group gives (2 · latent / PASSES, rows, columns) at the positions of `place`.
        """
        hats = self._hats(quality)
        looked = torch.empty_like(features)
        here = [(slice(None), *place(number, group)[1:]) for group in range(PASSES)]
        for group, look in enumerate(self._look[number]):
            at = number ^ group
            parts = [features[here[group]], *(known[place(before, before ^ at)] for before in range(number))]
            one = UNIT * F.one_hot(torch.tensor(at), PASSES).to(hats)
            looked[here[group]] = look(_with_constants(parts, torch.cat([hats, one])))
        features = clamped(features + self._spread[number](looked))
        tails = enumerate(self._tail[number])
        return features, [tail(_with_constants([features[here[group]]], hats)) for group, tail in tails]

    def _hats(self, quality: int) -> Tensor:
        return torch.tensor(exact_hats(quality), dtype=torch.float64, device=self.device)


def table_index(raw: Tensor) -> Tensor:
    """Return the index of a table for a network's raw output: a step of one is eight tables, zero the middle one."""
    return 8 * raw + tables.COUNT // 2


def place(number: int, group: int) -> tuple[slice, slice, slice]:
    """Return the channels of a group of y, and the rows and columns where a pass codes it."""
    at = number ^ group
    return slice(group, None, PASSES), slice(at // 2, None, 2), slice(at % 2, None, 2)


def pass_mask(number: int, shape: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """Return a mask of the numbers of y that a pass codes: bool, of the given shape, (channels, height, width)."""
    mask = torch.zeros(tuple(shape), dtype=torch.bool, device=device)
    for group in range(PASSES):
        mask[place(number, group)] = True
    return mask


def clamped(units: Tensor, limit: float = LIMIT) -> Tensor:
    """Clamp whole units to ±limit, as float64."""
    return units.clamp(-int(limit) * UNIT, int(limit) * UNIT).double()


def _planes(knots: Tensor, like: Tensor) -> Tensor:
    return knots.to(like.dtype)[:, :, None, None].expand(-1, -1, *like.shape[2:])


def _class_planes(like: Tensor) -> Tensor:
    """Return one plane per class of positions: one at its positions, zero elsewhere."""
    masks = torch.stack([pass_mask(at, (1, *like.shape[2:]), like.device)[0] for at in range(PASSES)])
    return masks.to(like.dtype).expand(len(like), -1, -1, -1)


def _with_constants(parts: Sequence[Tensor], constants: Tensor) -> Tensor:
    """Concatenate channels of one height and width, then append constant channels."""
    return torch.cat([*parts, constants[:, None, None].expand(-1, *parts[0].shape[1:])])


def _whole(prior: Prior, name: str, device: torch.device | str) -> list[WholeConv]:
    layers = prior.get_submodule(name).children()
    return [WholeConv.of(cast(FixedConv, layer), f"{name}.{k}", device) for k, layer in enumerate(layers)]


def _check(prior: Prior) -> None:
    """Raise WeightsError for invalid tables or units."""
    if not all(bool((table.abs() < MAX_RAW).all()) for table in (prior.z_mean, prior.z_index)):
        raise WeightsError("the tables of its hyper-latent are damaged")
    if not tables.are_valid(prior.counts):
        raise WeightsError("its tables are damaged")
    for units, largest in ((prior.gain_units, 2**20), (prior.sigma_units, 2**24)):
        if not bool(((units > 0) & (units < largest)).all()):
            raise WeightsError("its units are damaged")
