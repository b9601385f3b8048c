"""From latents to the range coder and back: one walk through the prior, the same for both ways."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from vaetool.entropy import tables
from vaetool.entropy.coder import Decoder, Encoder
from vaetool.entropy.exact import BITS, LIMIT, UNIT
from vaetool.entropy.prior import HYPER_STRIDE, NORMALISED_LIMIT, PASSES, Prior, pass_mask
from vaetool.entropy.quality import exact_hats

MEAN_BITS = 4
"""Means, and with them all latents, are in sixteenths."""

LARGEST_LATENT = 2**15 - 1  # in sixteenths

Exchange = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Means in sixteenths and indices, both (count,), and which places of y they belong to → latents in sixteenths."""


def encode_latents(prior: Prior, z: Tensor, y: Tensor, quality: int, encoder: Encoder) -> float:
    """Code real latents; returns the bits of z.

    z: (hyper, ⌈h / 4⌉, ⌈w / 4⌉), y: (latent, h, w), both any float.
    """
    z_bits = 0.0

    def exchange(mean: Tensor, index: Tensor, mask: Tensor | None) -> Tensor:
        nonlocal z_bits
        values = (z.flatten() if mask is None else y[mask]).double() - mean.double() / 2**MEAN_BITS
        wanted = values.clamp(-LARGEST_LATENT >> MEAN_BITS, LARGEST_LATENT >> MEAN_BITS).cpu().numpy()
        places = _array(index)
        numbers = np.rint(wanted).astype(np.int32) if mask is None else encoder.tables.thrifty(wanted, places)
        encoder.encode(numbers, places)
        z_bits = z_bits if mask is not None else encoder.bits
        return torch.from_numpy(numbers).to(mean)

    _walk(prior, quality, y.shape[1], y.shape[2], exchange)
    return z_bits


def decode_latents(prior: Prior, quality: int, height: int, width: int, decoder: Decoder) -> Tensor:
    """What was coded as y, in sixteenths: (latent, height, width) int16.

    Raises ImageError for bytes that no encoder writes.
    """

    def exchange(mean: Tensor, index: Tensor, mask: Tensor | None) -> Tensor:
        return torch.from_numpy(decoder.decode(_array(index))).to(mean)

    return _walk(prior, quality, height, width, exchange).short()


def _walk(prior: Prior, quality: int, height: int, width: int, exchange: Exchange) -> Tensor:
    """z, then the passes of y; `exchange` codes each or decodes it. Returns y in sixteenths, (latent, h, w) int64."""

    def coded(mean: Tensor, raw: Tensor, mask: Tensor | None = None) -> Tensor:
        index = (8 * raw + UNIT // 2 >> BITS) + tables.COUNT // 2
        numbers = exchange(mean, index.clamp(0, tables.COUNT - 1), mask)
        return ((numbers << MEAN_BITS) + mean).clamp(-LARGEST_LATENT, LARGEST_LATENT)

    device = prior.counts.device
    hats = torch.tensor(exact_hats(quality), dtype=torch.float64, device=device)
    low = (prior.hyper, -(-height // HYPER_STRIDE), -(-width // HYPER_STRIDE))
    z_mean, z_raw = (_interpolated(hats, table)[:, None, None] for table in (prior.z_mean, prior.z_index))
    z_mean = (z_mean + 2 ** (BITS - MEAN_BITS - 1) >> BITS - MEAN_BITS).expand(low)
    z = coded(z_mean.flatten(), z_raw.expand(low).flatten()).reshape(low)
    knots = hats[None]
    features = prior.features(_clamped(z << BITS - MEAN_BITS, LIMIT), knots)[:, :, :height, :width]
    scale = prior.normaliser_units(quality)
    y = torch.zeros((prior.latent, height, width), dtype=torch.int64, device=device)
    for number in range(PASSES):
        known = torch.div((y << 2 * BITS - MEAN_BITS + 1) + scale, 2 * scale, rounding_mode="floor")
        features, raw = prior.step(number, features, _clamped(known, NORMALISED_LIMIT), knots)
        mean, index = raw[0].long().chunk(2)
        mean = mean * scale + 2 ** (2 * BITS - MEAN_BITS - 1) >> 2 * BITS - MEAN_BITS
        mask = pass_mask(number, y.shape, device)
        y[mask] = coded(mean.clamp(-LARGEST_LATENT, LARGEST_LATENT)[mask], index[mask], mask)
    return y


def _interpolated(hats: Tensor, table: Tensor) -> Tensor:
    """A table of the knots at a quality, in units, (channels,) int64."""
    total = hats @ torch.round(table.double() * UNIT)
    return torch.floor(total / UNIT + 0.5).long()


def _clamped(units: Tensor, limit: float) -> Tensor:
    return units.clamp(-int(limit) * UNIT, int(limit) * UNIT).double()[None]


def _array(numbers: Tensor) -> np.ndarray:
    return numbers.to("cpu", torch.int32).numpy()
