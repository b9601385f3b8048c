"""Training of a denoiser on noisy pictures alone, whose noise is learnt again and again as they become cleaner."""

from __future__ import annotations

import torch
from torch import Tensor

from vaetool.denoising.noise.learnt import LearntNoise
from vaetool.denoising.noise.mixture import Noise
from vaetool.nn.base import Batch, Model

LESSONS = (0.0, 0.25, 0.5, 0.75)  # fractions of a run on noisy images at which they begin
AT_ONCE = 8  # images that it cleans together
RECORRUPTION = 0.7  # noise added to held-out images, relative to their own


class LearnsFromNoise(Model):
    """A denoiser that can be trained on noisy pictures alone; see docs/denoising.md."""

    def estimate(self, noisy: Tensor) -> Tensor:
        """Return the estimated sigma of the noise."""
        raise NotImplementedError

    def true_sigma(self, noise: Tensor) -> Tensor:
        """Return the root mean square of noise, the target of `estimate`."""
        raise NotImplementedError

    def restore(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Return the clean pictures behind noisy ones."""
        raise NotImplementedError

    @classmethod
    def lessons(cls, corruption: Noise) -> tuple[float, ...]:
        """Return the fractions of training at which noisy images are cleaned anew and their noise is learnt."""
        return LESSONS if corruption.noisy_only else ()

    def lesson(self, images: Tensor, corruption: Noise | LearntNoise) -> tuple[Tensor, LearntNoise]:
        """Return images, (batch, channels, height, width), without their noise, and that noise.

        The network's results now count as clean, so its mistakes stay; but it sees exactly this noise, on detail like
        this, and its results are cleaner each time. Raises TrainingError as `LearntNoise.fit`.
        """
        if not isinstance(corruption, LearntNoise):
            corruption = LearntNoise.fit(images, self._cleaned(images, None))
        clean = self._cleaned(images, corruption)
        return clean, LearntNoise.fit(images, clean)

    def exam(self, images: Tensor, corruption: LearntNoise, generator: torch.Generator) -> Batch:
        """Return noisy images with more noise, and as clean ones the same images with independent noise.

        The noise in y + a z is independent of that in y - z / a if z is drawn like the noise in y (Pang et al. 2021).
        So the cleaned first image differs from the second by the error of cleaning and the noise of the second, which
        is always the same. (Its power is known too roughly to be subtracted: hardly any error may remain.)
        """
        clean = self._cleaned(images, corruption)
        noise, power = corruption.draw(clean, generator), corruption.variance(clean)
        noisy, target = images + RECORRUPTION * noise, images - noise / RECORRUPTION
        sigma = self.true_sigma((power * (1 + RECORRUPTION**2)).sqrt())
        return {"clean": target, "noisy": noisy, "sigma": sigma}

    @torch.inference_mode()
    def _cleaned(self, noisy: Tensor, noise: LearntNoise | None) -> Tensor:
        """Return any number of images without noise; noise: the noise they have, if known."""
        parts = []
        for part in noisy.split(AT_ONCE):
            clean = self.restore(part, self.estimate(part)).clamp(0, 1)
            if noise is not None:
                clean = self.restore(part, self.true_sigma(noise.variance(clean).sqrt())).clamp(0, 1)
            parts.append(clean)
        return torch.cat(parts)
