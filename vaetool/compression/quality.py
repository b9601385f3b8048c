"""The meaning of a quality from 1 to 100: a weight of the distortion, a rounding step, and a position between knots."""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from vaetool.compression.entropy.exact import UNIT
from vaetool.compression.grid import QUALITIES

LAMBDAS = (0.0004, 0.4)
"""Lambda at qualities 1 and 100: bits per pixel for a mean squared error of one 8-bit level."""

KNOTS = 8
"""Number of evenly spaced knots, between which everything that depends on quality is linear."""


Values = TypeVar("Values", Tensor, np.ndarray)


def lagrangian(quality: Values) -> Values:
    """Return the lambda of a quality: `LAMBDAS` at 1 and 100, geometric between them."""
    low, high = LAMBDAS
    return low * (high / low) ** ((quality - 1) / (QUALITIES - 1))


def nominal_gain(quality: Values) -> Values:
    """Return the factor of a picture in 0..1 before rounding that is optimal at high rates.

    A step of d costs d²/12 in each of three channels, of which the distortion is the mean, and half a bit more divides
    that by two: at the optimum d² = 18 / (lambda · ln 2), in 8-bit levels.
    """
    return 255 * (lagrangian(quality) * (math.log(2) / 18)) ** 0.5


def hats(quality: Tensor) -> Tensor:
    """Return the weights of the knots at qualities, (batch,): (batch, KNOTS), at most two nonzero, summing to one."""
    place = (quality - 1) * ((KNOTS - 1) / (QUALITIES - 1))
    knots = torch.arange(KNOTS, device=quality.device, dtype=quality.dtype)
    return (1 - (place[:, None] - knots).abs()).clamp_min(0)


def exact_hats(quality: int) -> list[int]:
    """Return `hats` of a whole quality in the whole units of `vaetool.compression.entropy.exact`, in integers only.

    >>> exact_hats(1), exact_hats(99)
    ([4096, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 290, 3806])
    """
    knot, rest = divmod((quality - 1) * (KNOTS - 1), QUALITIES - 1)
    upper = (2 * rest * UNIT + QUALITIES - 1) // (2 * (QUALITIES - 1))
    weights = [0] * (KNOTS + 1)
    weights[knot], weights[knot + 1] = UNIT - upper, upper
    return weights[:KNOTS]
