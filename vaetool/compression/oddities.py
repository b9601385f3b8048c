"""Training pictures unlike photographs, so that a codec copes with them: noise, pages, posters, coarse pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NOISE = 0.25  # largest sigma
COARSE = 8  # pixels a side
CONTRAST = 4.0


def make_odd(clean: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Turn about a share of the pictures into noisy, black-and-white, few-coloured, coarse, harsh ones or pure noise.

    clean: (batch, channels, height, width) in 0..1, sides multiples of 8. Returns the same, rounded to eight bits.
    """
    count, _, height, width = clean.shape

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=clean.device)

    levels = 2 + (6 * uniform(count, 1, 1, 1)).floor()
    noise = torch.randn(clean.shape, generator=generator, device=clean.device)
    kinds = (
        clean + NOISE * uniform(count, 1, 1, 1) * noise,
        (clean.mean(dim=1, keepdim=True) > 0.2 + 0.6 * uniform(count, 1, 1, 1)).to(clean.dtype).expand_as(clean),
        (clean * levels).round() / levels,
        F.interpolate(clean[:, :, ::COARSE, ::COARSE], (height, width), mode="nearest"),
        0.5 + (uniform(*clean.shape) - 0.5) * uniform(count, clean.shape[1], 1, 1),
        (clean - 0.5) * (1 + CONTRAST * uniform(count, 1, 1, 1)) + 0.5,
    )
    chosen = uniform(count)
    for number, odd in enumerate(kinds):
        begin, end = share * number / len(kinds), share * (number + 1) / len(kinds)
        here = (begin <= chosen) & (chosen < end)
        clean = torch.where(here[:, None, None, None], odd, clean)
    return (clean.clamp(0, 1) * 255).round() / 255
