"""Latents to the range coder and back: one walk through the prior, the same in both directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from vaetool.compression.entropy import tables
from vaetool.compression.entropy.coder import Decoder, Encoder, Tables
from vaetool.compression.entropy.exact import BITS, UNIT
from vaetool.compression.entropy.prior import NORMALISED_LIMIT, PASSES, ExactPrior, clamped, place
from vaetool.compression.grid import hyper_positions

MEAN_BITS = 4
"""Fractional bits of means, and so of all latents: sixteenths."""

MAX_LATENT = 2**15 - 1  # in sixteenths

Exchange = Callable[[Tensor, Tensor, int | None], Tensor]
"""Means in sixteenths and indices, both (count,), and their pass of y, if any → whole numbers, (count,)."""


def encode_latents(prior: ExactPrior, z: Tensor, y: Tensor, quality: int, encoder: Encoder) -> float:
    """Encode real latents; return the bits of z.

    z: (hyper, ⌈h / 4⌉, ⌈w / 4⌉), y: (latent, h, w), both of any floating-point type.
    """
    z_bits = 0.0

    def exchange(mean: Tensor, index: Tensor, number: int | None) -> Tensor:
        nonlocal z_bits
        values = z.flatten() if number is None else _joined([y[place(number, group)] for group in range(PASSES)])
        wanted = values.double() - mean.double() / 2**MEAN_BITS
        wanted = wanted.clamp(-MAX_LATENT >> MEAN_BITS, MAX_LATENT >> MEAN_BITS).cpu().numpy()
        indices = _array(index)
        numbers = np.rint(wanted).astype(np.int32) if number is None else encoder.tables.rdo_quantise(wanted, indices)
        encoder.encode(numbers, indices)
        z_bits = z_bits if number is not None else encoder.bits
        return torch.from_numpy(numbers).to(mean)

    _walk(prior, quality, y.shape[1], y.shape[2], exchange)
    return z_bits


def decode_latents(prior: ExactPrior, quality: int, height: int, width: int, decoder: Decoder) -> Tensor:
    """Decode y, in sixteenths: (latent, height, width) int16.

    Raises ImageError for bytes that no encoder writes.
    """

    def exchange(mean: Tensor, index: Tensor, number: int | None) -> Tensor:
        return torch.from_numpy(decoder.decode(_array(index))).to(mean)

    return _walk(prior, quality, height, width, exchange).short()


def least_hyper_bits(prior: ExactPrior, quality: int, shared: Tables) -> float:
    """Return the fewest bits that a position of z can cost, in any picture, since its tables are fixed.

    y may cost next to nothing.
    """
    return float(shared.least_bits[_array(_table(prior.hyper_tables(quality)[1]))].sum())


def _walk(prior: ExactPrior, quality: int, height: int, width: int, exchange: Exchange) -> Tensor:
    """Walk through z, then the passes of y; `exchange` encodes or decodes each.

    Returns y in sixteenths, (latent, h, w) int64.
    """

    def coded(mean: Tensor, raw: Tensor, number: int | None = None) -> Tensor:
        numbers = exchange(mean, _table(raw), number)
        return ((numbers << MEAN_BITS) + mean).clamp(-MAX_LATENT, MAX_LATENT)

    low = (prior.hyper, hyper_positions(height), hyper_positions(width))
    z_mean, z_raw = (table[:, None, None].expand(low).flatten() for table in prior.hyper_tables(quality))
    z = coded(z_mean + 2 ** (BITS - MEAN_BITS - 1) >> BITS - MEAN_BITS, z_raw).reshape(low)
    features = prior.features(z << BITS - MEAN_BITS, quality)[:, :height, :width]
    scale = prior.normaliser(quality)
    y = torch.zeros((prior.latent, height, width), dtype=torch.int64, device=z.device)
    known = torch.zeros(y.shape, dtype=torch.float64, device=z.device)
    for number in range(PASSES):
        features, raw = prior.step(number, features, known, quality)
        places = [place(number, group) for group in range(PASSES)]
        raw_means, indices = zip(*(part.long().chunk(2) for part in raw), strict=True)
        means = [_mean(mean, scale[at[0]]) for mean, at in zip(raw_means, places, strict=True)]
        values = coded(_joined(means), _joined(indices), number).reshape(prior.latent // PASSES, -1)
        for at, part in zip(places, values.split([mean[0].numel() for mean in means], dim=1), strict=True):
            y[at] = part.reshape(y[at].shape)
            known[at] = _normalised(y[at], scale[at[0]])
    return y


def _table(raw: Tensor) -> Tensor:
    """Convert raw indices of tables, in units, to whole ones."""
    return ((8 * raw + UNIT // 2 >> BITS) + tables.COUNT // 2).clamp(0, tables.COUNT - 1)


def _mean(raw: Tensor, scale: Tensor) -> Tensor:
    """Convert a mean of normalised y in units to sixteenths of y."""
    mean = raw * scale + 2 ** (2 * BITS - MEAN_BITS - 1) >> 2 * BITS - MEAN_BITS
    return mean.clamp(-MAX_LATENT, MAX_LATENT)


def _normalised(y: Tensor, scale: Tensor) -> Tensor:
    """Convert y in sixteenths to normalised y in units."""
    units = torch.div((y << 2 * BITS - MEAN_BITS + 1) + scale, 2 * scale, rounding_mode="floor")
    return clamped(units, NORMALISED_LIMIT)


def _joined(parts: Sequence[Tensor]) -> Tensor:
    """Join the parts of a pass, one per group, (latent / PASSES, rows, columns), in order of channel, row, column."""
    return torch.cat([part.flatten(1) for part in parts], dim=1).flatten()


def _array(numbers: Tensor) -> np.ndarray:
    return numbers.to("cpu", torch.int32).numpy()
