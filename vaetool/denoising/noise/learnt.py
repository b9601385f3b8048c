"""Noise learnt from noisy pictures alone: how strong it is at each level of brightness, and its spectrum.

What is learnt are the second moments, from flat places, where a picture minus its cleaned and blurred version is noise
alone: its variance as a function of the level, per channel (Foi et al. 2008), and its spectrum and correlation between
channels, taken to be the same everywhere. What is drawn is Gaussian with these (Galerne, Gousseau & Morel 2011).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from vaetool.denoising.noise.mixture import Noisy
from vaetool.errors import TrainingError
from vaetool.nn.filters import blurred

PATCH = 24  # pixels a side of the places that are looked at
BLUR = 3.0  # sigma, in pixels, of the blur of the cleaned picture that stands for the clean one on flat ground
MAX_CLIPPED = 0.02  # share of clipped values in a place that is used
FLATTEST = 0.2  # share of the places of a level that is used
LEVELS = 12  # at which the variance is measured
MIN_PLACES = 8  # at each level
LEAST = 1 / 9  # of the variance of the darkest level measured: what is darker still has at least this


@dataclass(frozen=True)
class LearntNoise:
    """Noise with a variance that depends on the level, and one spectrum.

    levels, variances: (channels, number), from 0 to 1, of each channel's own. covariance: of noise of variance 1,
    between channels, at each offset, (channels, channels, 2 * `PATCH`, 2 * `PATCH`), negative offsets last.
    """

    levels: Tensor
    variances: Tensor
    covariance: Tensor

    @classmethod
    def fit(cls, noisy: Tensor, clean: Tensor) -> Self:
        """Learn from noisy pictures, (batch, channels, height, width), and what they are like without noise.

        Raises TrainingError if they have too few places that are neither clipped nor of one colour.
        """
        base = blurred(clean, torch.full((len(clean), 1, 1, 1), BLUR, device=clean.device))
        noise, stored = _places(noisy - base), _places(noisy)
        level, detail = _places(base).mean(dim=(2, 3)), _places(clean).var(dim=(2, 3))
        variance = noise.var(dim=(2, 3))
        clipped = ((stored <= 0) | (stored >= 1)).float().mean(dim=(2, 3))
        usable = (clipped < MAX_CLIPPED) & (variance > 0)
        if usable.sum() < LEVELS * MIN_PLACES:
            raise TrainingError(
                f"too little to learn noise from: {int(usable.sum())} places of {PATCH} x {PATCH} pixels are neither "
                f"clipped nor of one colour, and {LEVELS * MIN_PLACES} are needed"
            )
        curves = []
        for channel in range(usable.shape[1]):
            own = torch.zeros_like(usable)
            own[:, channel] = usable[:, channel]
            chosen = own if own.sum() >= LEVELS * MIN_PLACES else usable  # a dark channel is like the others
            curves.append(_curve(level[chosen], variance[chosen], detail[chosen]))
        levels, variances = (torch.stack(part) for part in zip(*curves, strict=True))
        whole = usable.all(dim=1)
        whole = whole if whole.sum() >= LEVELS * MIN_PLACES else usable.any(dim=1)
        noise, level, detail = (values[whole] for values in (noise, level, detail))
        flat = torch.cat(_by_level(level.mean(dim=1), detail.mean(dim=1)))
        patches = noise[flat] - noise[flat].mean(dim=(2, 3), keepdim=True)
        patches = patches / patches.square().mean(dim=(2, 3), keepdim=True).sqrt().clamp_min(1e-6)
        spectrum = torch.fft.rfft2(patches, s=(2 * PATCH, 2 * PATCH))
        spectrum = torch.einsum("nihw,njhw->ijhw", spectrum, spectrum.conj()) / (len(patches) * PATCH**2)
        return cls(levels, variances, torch.fft.irfft2(spectrum, s=(2 * PATCH, 2 * PATCH)))

    def variance(self, clean: Tensor) -> Tensor:
        """Return the variance of the noise on clean pictures, (batch, channels, height, width)."""
        columns = zip(clean.unbind(dim=1), self.levels, self.variances, strict=True)
        return torch.stack([_interpolated(*values) for values in columns], dim=1)

    def draw(self, clean: Tensor, generator: torch.Generator) -> Tensor:
        """Return noise for clean pictures, (batch, channels, height, width)."""
        white = torch.randn(clean.shape, generator=generator, device=clean.device)
        mixed = torch.einsum("hwij,njhw->nihw", self._root(*clean.shape[2:]), torch.fft.rfft2(white))
        return torch.fft.irfft2(mixed, s=clean.shape[2:]) * self.variance(clean).sqrt()

    def add_to(self, images: Tensor, generator: torch.Generator) -> Noisy:
        """Return clean images, (batch, channels, height, width) in 0..1, and the same with noise, clipped to 0..1."""
        return Noisy(images, (images + self.draw(images, generator)).clamp(0, 1))

    def _root(self, height: int, width: int) -> Tensor:
        """Return the filters that give white noise the spectrum, (height, width // 2 + 1, channels, channels)."""
        reach = torch.arange(2 * PATCH, device=self.covariance.device)
        reach = torch.where(reach < PATCH, reach, reach - 2 * PATCH)
        rows, columns = torch.meshgrid(reach % height, reach % width, indexing="ij")
        placed = torch.zeros((*self.covariance.shape[:2], height * width), device=self.covariance.device)
        placed.index_add_(2, (rows * width + columns).flatten(), self.covariance.flatten(2))
        spectrum = torch.fft.rfft2(placed.unflatten(2, (height, width))).permute(2, 3, 0, 1)
        values, vectors = torch.linalg.eigh((spectrum + spectrum.mH) / 2)
        return (vectors * values.clamp_min(0).sqrt()[..., None, :]) @ vectors.mH


def _places(pictures: Tensor) -> Tensor:
    """Return all places of pictures, (places, channels, `PATCH`, `PATCH`)."""
    found = pictures.unfold(2, PATCH, PATCH).unfold(3, PATCH, PATCH)
    return found.permute(0, 2, 3, 1, 4, 5).flatten(0, 2)


def _curve(level: Tensor, variance: Tensor, detail: Tensor) -> tuple[Tensor, Tensor]:
    """Return levels from 0 to 1 and the variance of the noise there, of places with these; ends by a straight line."""
    groups = [(level[group].median(), variance[group].median()) for group in _by_level(level, detail)]
    levels, variances = (torch.stack(part) for part in zip(*groups, strict=True))
    spread = levels - levels.mean()
    slope = ((spread * variances).sum() / spread.square().sum().clamp_min(1e-6)).clamp_min(0)
    first = (variances[:1] - slope * levels[:1]).maximum(LEAST * variances[:1])
    last = variances[-1:] + slope * (1 - levels[-1:])
    ends = torch.tensor([0.0, 1.0], device=level.device).split(1)
    return torch.cat([ends[0], levels, ends[1]]), torch.cat([first, variances, last])


def _by_level(level: Tensor, detail: Tensor) -> list[Tensor]:
    """Return the indices of the flattest places of each level, of levels with about as many places each."""
    groups = level.argsort().tensor_split(LEVELS)
    return [group[detail[group].argsort()[: max(MIN_PLACES, int(FLATTEST * len(group)))]] for group in groups]


def _interpolated(x: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Return a piecewise linear function at x; constant beyond its first and last place."""
    index = torch.searchsorted(places, x.contiguous()).clamp(1, len(places) - 1)
    low, high = places[index - 1], places[index]
    share = ((x - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return values[index - 1] + share * (values[index] - values[index - 1])
