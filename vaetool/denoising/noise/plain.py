"""Noise by formula: white, correlated, shot noise, in colours, film grain, single pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from vaetool.denoising.noise.draws import chance, log_uniform, normal, uniform
from vaetool.nn.filters import blurred, luma

MAX_CORRELATED = 30 / 255  # sigma
CORRELATION = (0.4, 2.5)  # sigma of the blur, in pixels
PHOTONS = (8.0, 2000.0)  # counted by a white pixel
MAX_READ = 10 / 255
MAX_GRAIN = 25 / 255
MAX_CHROMA = 30 / 255
IMPULSES = (0.001, 0.1)  # share of the pixels


def white(clean: Tensor, generator: torch.Generator, sigma_max: float) -> Tensor:
    """Return white Gaussian noise, its sigma uniform up to `sigma_max` in 0..1."""
    return uniform(generator, len(clean), 0, sigma_max) * normal(generator, clean)


def correlated(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return noise that is smooth over a few pixels, as after enlarging or filtering a picture."""
    sigma = uniform(generator, len(clean), 0, MAX_CORRELATED)
    return sigma * _unit(blurred(normal(generator, clean), uniform(generator, len(clean), *CORRELATION)))


def shot_noise(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return shot noise, whose variance grows with the light, and read noise (Foi et al. 2008)."""
    photons = log_uniform(generator, len(clean), *PHOTONS)
    read = uniform(generator, len(clean), 0, MAX_READ)
    return (clean.clamp_min(0) / photons + read.square()).sqrt() * normal(generator, clean)


def chroma_noise(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return noise that is mostly in the colours, and smooth there; for pictures of one channel it is white."""
    count = len(clean)
    noise = normal(generator, clean)
    grey = luma(noise)
    chroma = noise - grey
    if clean.shape[1] > 1:
        chroma = _unit(blurred(chroma, uniform(generator, count, 0.5, 4)))
    share = uniform(generator, count, 0, 0.5) if clean.shape[1] > 1 else 1.0
    return uniform(generator, count, 0, MAX_CHROMA) * (share * grey + chroma)


def grain(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return the grain of film: the same in all colours, soft, strongest in the middle greys."""
    count = len(clean)
    noise = normal(generator, clean[:, :1])
    noise = _unit(blurred(noise, uniform(generator, count, 0.4, 1.5)))
    light = luma(clean).clamp(0, 1)
    return uniform(generator, count, 0, MAX_GRAIN) * (0.3 + 2.8 * light * (1 - light)) * noise.expand_as(clean)


def impulses(clean: Tensor, generator: torch.Generator) -> Tensor:
    """Return noise that makes single pixels black or white, as dead ones and dust do, in all colours or in one."""
    share = log_uniform(generator, len(clean), *IMPULSES)
    hit, light = torch.rand((2, *clean.shape), generator=generator, device=generator.device)
    together = chance(generator, len(clean), 0.5)
    hit, light = (torch.where(together, x[:, :1], x) for x in (hit, light))
    return (hit < share) * ((light < 0.5).to(clean.dtype) - clean)


KINDS = (correlated, shot_noise, chroma_noise, grain, impulses)


def _unit(noise: Tensor) -> Tensor:
    """Scale noise to a sigma of 1 for each picture."""
    return noise / noise.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
