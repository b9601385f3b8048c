"""The components of scores: numbers that measure in different ways how unusual a picture is.

For a VAE, with a code z drawn from the posterior q(z given x), they are:

- `recon`: −log p(x given z), in nats per dimension of the picture (a pixel's value in one channel);
- `kl`: the KL of the posterior to the prior, in nats;
- `elbo`: log p(x given z) − kl, in nats;
- `top`: the mean of the largest 1 % of |x − reconstruction|, in which small defects show;
- `code`: −log density of the posterior's mean, in nats, under the mixture fitted to the codes of training;
- `bits`: the length of the picture in a simple lossless code, in bits per dimension: its complexity;
- `complexity`: −elbo in bits per dimension, minus `bits` (Serrà et al. 2020, equation 3);
- `iwae`: the importance-weighted bound on log p(x), in nats;
- `pmi`, of a pair: how much likelier one is given the other than by itself, in nats: see `vaetool.latents.mmvae`;
- `regret`: the gain of the ELBO when the posterior of this picture is optimised, in nats.
"""

from __future__ import annotations

import numpy as np

TYPICAL = ("recon", "kl", "top", "bits")
"""Two-sided components, unusual if large or small, the most informative first."""

TYPICAL_IF_SMALL = ("code",)
"""One-sided components, unusual only if large."""

LIKELIER = ("elbo", "iwae", "pmi")
"""Methods whose components are larger for usual pictures; all others are larger for unusual ones."""

TOP_SHARE = 0.01
_CLASSES = 17
"""Classes of signed residuals: 0; 1; 2 and 3; 4 to 7; ... 128."""

_RESIDUALS = (np.arange(256) + 128) % 256 - 128
_RAW_BITS = np.log2(np.abs(_RESIDUALS).clip(1)).astype(np.int64)
_CLASS = (np.sign(_RESIDUALS) * (_RAW_BITS + 1) + _CLASSES // 2).astype(np.int64)
_ACTIVITY = np.digitize(np.arange(257), (1, 6, 24))
"""Contexts, by the sum of the two preceding residuals."""


def mean_of_largest(values: np.ndarray, share: float = TOP_SHARE) -> np.ndarray:
    """Return the mean of the largest `share`, at least one number, of each row of (rows, numbers): (rows,)."""
    count = max(1, round(share * values.shape[1]))
    return np.partition(values, -count, axis=1)[:, -count:].mean(axis=1, dtype=np.float64)


def lossless_bits(pixels: np.ndarray) -> np.ndarray:
    """Return the bits per dimension, (pictures,), of pictures in a simple lossless code.

    pixels: (pictures, height, width, 1 or 3) uint8. They are predicted as in a PNG by Paeth (W3C PNG Recommendation,
    section 9.4), red and blue as differences from green; residuals are coded in classes by their counts so far
    (Krichevsky & Trofimov 1981), in four contexts, and with raw bits within a class. The length is known without
    coding. The size of a PNG, which this stands for, depends on the encoder.
    """
    if pixels.shape[3] == 3:
        green = pixels[..., 1:2]
        pixels = np.concatenate([green, pixels[..., ::2] - green], axis=3)
    planes = pixels.transpose(0, 3, 1, 2)
    residuals = _paeth_residuals(planes)
    size = np.abs(_RESIDUALS).astype(np.int16)[residuals]
    left, above, _ = _neighbours(size)
    context = _ACTIVITY[left + above]
    count, contexts = len(pixels), _ACTIVITY[-1] + 1
    cell = (np.arange(count)[:, None, None, None] * contexts + context) * _CLASSES + _CLASS[residuals]
    counts = np.bincount(cell.ravel(), minlength=count * contexts * _CLASSES).reshape(count, contexts, _CLASSES)
    return (_adaptive_bits(counts) + _RAW_BITS[residuals].sum(axis=(1, 2, 3))) / planes[0].size


def _neighbours(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the neighbours to the left, above, and above to the left; zero outside."""
    padded = np.pad(planes, ((0, 0), (0, 0), (1, 0), (1, 0)))
    return padded[:, :, 1:, :-1], padded[:, :, :-1, 1:], padded[:, :, :-1, :-1]


def _paeth_residuals(planes: np.ndarray) -> np.ndarray:
    """Return pixels minus the neighbour nearest to left + above − corner, modulo 256."""
    left, above, corner = _neighbours(planes.astype(np.int16))
    to_left, to_above = np.abs(above - corner), np.abs(left - corner)
    to_corner = np.abs(left + above - 2 * corner)
    others = np.where(to_above <= to_corner, above, corner)
    nearest = np.where((to_left <= to_above) & (to_left <= to_corner), left, others)
    return (planes - nearest).astype(np.uint8)


def _adaptive_bits(counts: np.ndarray) -> np.ndarray:
    """Return the bits of symbols with these counts, (..., contexts, symbols), coded by the counts so far plus ½."""
    totals = counts.sum(axis=2)
    numbers = np.arange(totals.max(initial=0))
    seen = np.log2(np.append(1.0, numbers + 0.5)).cumsum()
    coded = np.log2(np.append(1.0, numbers + counts.shape[2] / 2)).cumsum()
    return coded[totals].sum(axis=1) - seen[counts].sum(axis=(1, 2))
