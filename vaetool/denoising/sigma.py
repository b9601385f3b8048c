"""Sigma of noise: its estimator, and maps of it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.images.picture import full_scale
from vaetool.nn.blocks import UNet
from vaetool.nn.filters import local_mean

FLAT = 0.5 / 255
"""Detail below which a place is ignored: rounding to eight bits alone leaves 0.29 / 255."""

MOSTLY_CLIPPED = 0.25  # share of the pixels of a place
CLIPPED_EVIDENCE = 1e-3  # weight of such a place: it counts only where there is nothing better

IMPULSES = 0.0005  # share of a picture's pixels that are black, and of those that are white, in salt and pepper
CONTRAST = 0.2  # of 0..1, to the pixels around them

MAX_GREYNESS = 5.0
GREY = 6 / 255
"""In a colour picture, sigma is at most the larger of `GREY` and `MAX_GREYNESS` times that of the colours alone: gravel
looks like grey noise, but camera noise has colour in it, unless it is faint and saved as JPEG. Single black and white
pixels are exempt: gravel has none.
"""


class SigmaEstimator(nn.Module):
    """Estimator of the sigma of the noise, from the noisy picture alone.

    A U-shaped network at a quarter of the resolution (`scale`), applied to the picture minus its local mean. Each place
    gives a reading and its trust, since flat areas reveal more than texture; readings are averaged by trust. A place
    flatter than rounding to eight bits would leave it (a border, a title page) is ignored, and a clipped one nearly so.
    """

    scale = 4
    blocks = 2  # residual blocks per level, each way
    mean = 17  # pixels a side: wide enough for the blotches that cameras leave

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.unet = UNet(channels * self.scale**2, 2, widths, self.blocks, bias=False)

    @property
    def stride(self) -> int:
        """The number that heights and widths must be multiples of."""
        return self.scale * self.unet.stride

    def detail(self, noisy: Tensor) -> Tensor:
        """Return pictures minus their local mean."""
        return noisy - local_mean(noisy, self.mean)

    def forward(self, noisy: Tensor, detail: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Return readings weighted by trust, the trust, and the evidence of each place, from 0 to 1.

        noisy: (batch, channels, height, width), multiples of `stride`; detail: its `detail`, if known.
        All results: (batch, 1, height / 4, width / 4).
        """
        detail = self.detail(noisy) if detail is None else detail
        clipped = ((noisy == 0) | (noisy == 1)).any(dim=1, keepdim=True).to(noisy.dtype)
        energy = F.avg_pool2d(detail.square().mean(dim=1, keepdim=True), self.scale)
        evidence = torch.where(F.avg_pool2d(clipped, self.scale) < MOSTLY_CLIPPED, 1.0, CLIPPED_EVIDENCE)
        evidence = evidence * (energy > FLAT**2)
        reading, trust = self.unet(F.pixel_unshuffle(detail, self.scale)).abs().chunk(2, dim=1)
        trust = (trust + 1e-6) * evidence
        return reading * trust, trust, evidence

    def readings(self, noisy: Tensor) -> Tensor:
        """Return `forward`'s results and the mean square difference of colours: (4, batch, 1, h / 4, w / 4)."""
        detail = self.detail(noisy)
        colours = detail - detail.mean(dim=1, keepdim=True)
        colour_power = F.avg_pool2d(colours.square().mean(dim=1, keepdim=True), self.scale)
        return torch.stack([*self(noisy, detail), colour_power])


def pool_readings(weighted: Tensor, trust: Tensor, window: int) -> Tensor:
    """Return the map of sigma, (batch, 1, h, w): a `SigmaEstimator`'s readings averaged over `window` x `window`."""
    return local_mean(weighted, window) / local_mean(trust, window).clamp_min(1e-12)


def limited_by_colours(sigma: Tensor, colour_power: Tensor, window: int) -> Tensor:
    """Limit sigma by that of the colours: see `MAX_GREYNESS`; colour_power, window: as for `pool_readings`."""
    return sigma.minimum((MAX_GREYNESS * local_mean(colour_power, window).sqrt()).clamp_min(GREY))


def has_salt_and_pepper(pixels: np.ndarray) -> bool:
    """Tell whether single pixels of a picture, (height, width, channels) of any type, are black, and others white.

    Pixels count if none of their four neighbours is nearly so. A picture smaller than 3 x 3 pixels has none. Clipped
    grey noise of sigma 50 has some, too, and resembles texture as little.
    """
    top = full_scale(pixels.dtype)
    black, white = np.all(pixels <= 0, axis=2), np.all(pixels >= top, axis=2)
    if min(black.mean(), white.mean()) < IMPULSES:
        return False  # as most pictures: nothing else to look at
    level = pixels.mean(axis=2, dtype=np.float32) / np.float32(top)
    around = np.stack([level[:-2, 1:-1], level[2:, 1:-1], level[1:-1, :-2], level[1:-1, 2:]])
    pepper = black[1:-1, 1:-1] & (around.min(axis=0) > CONTRAST)
    salt = white[1:-1, 1:-1] & (around.max(axis=0) < 1 - CONTRAST)
    return bool(min(pepper.sum(), salt.sum()) >= IMPULSES * black.size)


def constant_map(sigma: float) -> np.ndarray:
    """Return a noise map that is the same everywhere; sigma in 8-bit units, 0..255."""
    return np.full((1, 1), sigma / 255, np.float32)


def median_sigma(noise: np.ndarray) -> float:
    """Return the median of a noise map, in 8-bit units."""
    return 255 * float(np.median(noise))
