"""Random numbers, one for each picture of a batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def uniform(generator: torch.Generator, count: int, low: float, high: float) -> Tensor:
    """Draw a uniform number for each picture, (count, 1, 1, 1)."""
    return low + (high - low) * torch.rand((count, 1, 1, 1), generator=generator, device=generator.device)


def log_uniform(generator: torch.Generator, count: int, low: float, high: float) -> Tensor:
    """Draw a number whose logarithm is uniform for each picture, (count, 1, 1, 1)."""
    return uniform(generator, count, math.log(low), math.log(high)).exp()


def chance(generator: torch.Generator, count: int, share: float) -> Tensor:
    """Draw true for about a share of the pictures, (count, 1, 1, 1) bool."""
    return uniform(generator, count, 0, 1) < share


def normal(generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw white noise of sigma 1 in the shape of a batch."""
    return torch.randn(like.shape, generator=generator, device=like.device)
