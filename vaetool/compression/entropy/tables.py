"""Distributions of rounded numbers as tables of whole numbers: 64 widths, each a fixed list of counts.

Index i stands for a logistic distribution about zero with the scale MIN_SCALE · e^(i / STEPS_PER_NAT), over the whole
numbers from −reach to reach, with an escape for all others. The counts of a table sum to 2^24. They are computed once,
when a model is created, and stored with its weights: a decoder never computes a probability.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

COUNT = 64
MIN_SCALE = 0.04
STEPS_PER_NAT = 8
PRECISION = 24
TOTAL = 2**PRECISION

_TAIL = 14.0  # scales on either side: an escape is rarer than one in a million


def log_scale(index: Tensor) -> Tensor:
    """Return the logarithm of the scale of an index, (…); fractional indices work, too."""
    return index / STEPS_PER_NAT + math.log(MIN_SCALE)


def interval_bits(distance: Tensor, index: Tensor) -> Tensor:
    """Return the bits of the interval [x − ½, x + ½], given the `distance` of x from the mean, under scale `index`.

    Both (…). For the logistic function S, S(a) − S(b) = S(a) S(−b) (1 − e^(b − a)), so no digits are lost in the tails.
    """
    inverse = torch.exp(-log_scale(index))
    nats = F.softplus((distance - 0.5) * inverse) + F.softplus((-0.5 - distance) * inverse)
    return (nats - torch.log(-torch.expm1(-inverse))) / math.log(2)


def reaches() -> list[int]:
    """Return the largest number of each table; its entries are those from −reach to reach, then the escape."""
    scales = MIN_SCALE * np.exp(np.arange(COUNT) / STEPS_PER_NAT)
    return [max(1, math.ceil(_TAIL * scale)) for scale in scales]


def make_counts() -> Tensor:
    """Return all tables concatenated, (entries,) int32: logistic distributions in parts of TOTAL, at least one each."""
    return torch.from_numpy(np.concatenate([_logistic_counts(index, reach) for index, reach in enumerate(reaches())]))


def split(counts: Tensor) -> list[np.ndarray]:
    """Split the counts of `make_counts` into tables, one array each."""
    return np.split(counts.cpu().numpy(), np.cumsum([2 * reach + 2 for reach in reaches()])[:-1])


def are_valid(counts: Tensor) -> bool:
    """Tell whether each table has positive counts that sum to TOTAL, as the range coder needs them."""
    parts = split(counts)
    return all(part.min() > 0 and int(part.sum(dtype=np.int64)) == TOTAL for part in parts)


def _logistic_counts(index: int, reach: int) -> np.ndarray:
    scale = MIN_SCALE * math.exp(index / STEPS_PER_NAT)
    edges = (np.arange(-reach, reach + 2) - 0.5) / scale
    below = 1 / (1 + np.exp(-edges))
    probabilities = np.append(np.diff(below), 2 * below[0])
    counts = np.floor(probabilities / probabilities.sum() * (TOTAL - len(probabilities))).astype(np.int32) + 1
    counts[reach] += TOTAL - counts.sum()
    return counts
