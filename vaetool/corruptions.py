"""What training does to clean images: noise of known strength. Batched, on the images' device, seeded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vaetool.errors import UsageError

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


@dataclass(frozen=True)
class Noise:
    """White Gaussian noise whose sigma is drawn for each image, uniformly, in 8-bit units.

    Shares of the images: `clean` get none, so that a clean picture comes out clean; `clipped` are clipped to 0..1 after
    the noise, as a file of eight bits is; `grey` are made grey, with the same noise in every channel.
    """

    sigma_max: float = 55.0
    clean: float = 0.05
    clipped: float = 0.3
    grey: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.sigma_max <= 255:
            raise UsageError(f"corruption.sigma_max must be above 0 and at most 255, not {self.sigma_max:g}")
        for name in ("clean", "clipped", "grey"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"corruption.{name} is a share, from 0 to 1, not {getattr(self, name):g}")


def add_noise(images: Tensor, generator: torch.Generator, noise: Noise) -> Noisy:
    """Draw noise for a batch.

    images: (batch, channels, height, width) in 0..1.
    """
    device = images.device
    draws = torch.rand((4, len(images), 1, 1, 1), generator=generator, device=device)
    strength, clean, clipped, grey = draws
    white = torch.randn(images.shape, generator=generator, device=device)
    if images.shape[1] == len(LUMA):
        luma = (images * torch.tensor(LUMA, device=device)[:, None, None]).sum(dim=1, keepdim=True)
        images = torch.where(grey < noise.grey, luma, images)
        white = torch.where(grey < noise.grey, white[:, :1], white)
    sigma = strength * (noise.sigma_max / 255) * (clean >= noise.clean)
    noisy = images + sigma * white
    return Noisy(images, torch.where(clipped < noise.clipped, noisy.clamp(0, 1), noisy), sigma)


class Noisy(NamedTuple):
    """Images before and after, (batch, channels, height, width), and the sigma of each, (batch, 1, 1, 1), in 0..1."""

    clean: Tensor
    noisy: Tensor
    sigma: Tensor
