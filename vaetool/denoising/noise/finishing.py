"""Finishing of developed pictures by cameras and web sites: noise reduction, sharpening, smooth colours, resizing."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.denoising.noise.draws import chance, uniform
from vaetool.nn.filters import blurred, local_mean, luma

# Tuned on real noisy photographs: how much stronger noise is in means over 2 to 16 pixels (docs/denoising.md).
REDUCED = 0.9  # share of the cameras that reduce noise
MAX_KEPT = 0.35  # share of the fine noise that they leave, at most
LUMA_GRAIN, LUMA_GAIN = (0.4, 2.2), 1.6  # sigma, in pixels, of what noise reduction leaves of the luma's noise
CHROMA_GRAIN, CHROMA_GAIN = (1.0, 4.5), 0.5  # a gain of 3.5 per pixel of sigma would keep the strength of white noise
CHROMA_LEFT = (0.3, 0.9)  # how strong it leaves the chroma's noise
COLOURLESS = 0.12  # share of those cameras that leave none of it
BLOTCHES, BLOTCHINESS = (3.0, 9.0), (0.0, 5.0)  # sigma, in pixels, of the coarsest part, and its strength
DETAIL = 0.02  # contrast within five pixels at which noise reduction holds back by half

SHARPENED, SHARPENING = 0.4, (0.2, 1.2)
SMOOTHED = 0.3  # share of the cameras that smooth colours

MIN_SCALE = 0.5


def reduce_noise(target: Tensor, noisy: Tensor, generator: torch.Generator) -> Tensor:
    """Return noisy pictures after a camera's own noise reduction, which removes the fine part and leaves the coarse.

    It smooths the noise alone, `noisy` − `target`, luma and chroma apart; less where there is detail, as cameras do.
    Some are left as they are. All (batch, channels, height, width).
    """
    count = len(target)
    noise = noisy - target
    grey = luma(noise)
    chroma = noise - grey
    held_back = _detail(target)
    keep = uniform(generator, count, 0, MAX_KEPT)
    keep = keep + (1 - keep) * held_back * uniform(generator, count, 0, 1)
    grey = keep * grey + (1 - keep) * _smoothed(grey, generator, LUMA_GRAIN, LUMA_GAIN)
    keep = keep * uniform(generator, count, 0, 0.6)
    chroma = keep * chroma + (1 - keep) * _smoothed(chroma, generator, CHROMA_GRAIN, CHROMA_GAIN)
    chroma = chroma * uniform(generator, count, *CHROMA_LEFT) * ~chance(generator, count, COLOURLESS)
    return torch.where(chance(generator, count, REDUCED), target + grey + chroma, noisy)


def _smoothed(noise: Tensor, generator: torch.Generator, sigmas: tuple[float, float], gain: float) -> Tensor:
    """Smooth noise, amplify it at random by up to 1 + gain · sigma, and add a coarser version of it."""
    count = len(noise)
    sigma = uniform(generator, count, *sigmas)
    fine = blurred(noise, sigma) * (1 + gain * sigma * uniform(generator, count, 0, 1))
    # At a quarter of the size; part of the strength that smoothing takes away is given back.
    coarse = blurred(F.avg_pool2d(noise, 4), uniform(generator, count, *BLOTCHES) / 4)
    coarse = F.interpolate(coarse, noise.shape[2:], mode="bilinear", align_corners=False)
    return fine + coarse * uniform(generator, count, *BLOTCHINESS)


def _detail(target: Tensor) -> Tensor:
    """Return the amount of detail at every place, (batch, 1, height, width) in 0..1."""
    grey = luma(target)
    variance = local_mean((grey - local_mean(grey, 5)).square(), 5)
    return variance / (variance + DETAIL**2)


def finish(pictures: Tensor, generator: torch.Generator, copies: int = 1) -> Tensor:
    """Sharpen pictures, smooth their colours, or leave them as they are, in 0..1.

    pictures: (copies · batch, channels, height, width): the same is done to all copies of a picture.
    """
    count = len(pictures) // copies
    kind = uniform(generator, count, 0, 1).repeat(copies, 1, 1, 1)
    amount = uniform(generator, count, *SHARPENING).repeat(copies, 1, 1, 1) * (kind < SHARPENED)
    share = uniform(generator, count, 0.3, 1).repeat(copies, 1, 1, 1) * (kind > 1 - SMOOTHED)
    sharp = (pictures + amount * (pictures - local_mean(pictures, 3))).clamp(0, 1)
    grey = luma(sharp)
    chroma = sharp - grey
    return (grey + chroma + share * (local_mean(chroma, 5) - chroma)).clamp(0, 1)


def enlarged(pictures: Tensor, scale: float) -> Tensor:
    """Return pictures as large as they were before they were resized by `scale`, of even height and width."""
    size = [2 * round(length / scale / 2) for length in pictures.shape[2:]]
    return F.interpolate(pictures, size, mode="bicubic", align_corners=False).clamp(0, 1)


def resized(pictures: Tensor, size: torch.Size) -> Tensor:
    """Resize pictures to a smaller size, (height, width), in 0..1, as web sites do: cubic, with antialiasing."""
    return F.interpolate(pictures, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
