"""Denoising autoencoder: noisy picture in, clean picture out (Vincent et al. 2008).

A bias-free U-shaped network at half resolution (Mohan et al. 2020), conditioned on the sigma of the noise, which a
small second network estimates from the noisy picture itself. Sigma is the root mean square of what is to be removed,
whatever its spectrum, around each place. Bias-free means f(a·x, a·sigma) = a·f(x, sigma) for both: they keep working
above the noise they were trained on, and a constant picture has a sigma of exactly zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.denoising.cleaning import DEFAULT, Cleaning
from vaetool.denoising.impulses import without_impulses
from vaetool.denoising.lessons import LearnsFromNoise
from vaetool.denoising.margins import cut_off, margins_of, mirrored
from vaetool.denoising.noise.learnt import LearntNoise
from vaetool.denoising.noise.mixture import Noise
from vaetool.denoising.sigma import (
    SigmaEstimator,
    constant_map,
    has_salt_and_pepper,
    limited_by_colours,
    median_sigma,
    pool_readings,
)
from vaetool.errors import UsageError
from vaetool.images.conversion import from_unit, network_input, to_unit, unpack
from vaetool.images.metrics import mean_psnr
from vaetool.images.palette import has_few_colours
from vaetool.images.ranges import Range, used_range
from vaetool.images.tiling import Tile, pad_to_multiple, tiles
from vaetool.nn.base import Batch, Losses, Model, register, zero_of
from vaetool.nn.blocks import UNet
from vaetool.nn.filters import local_mean
from vaetool.nn.memory import give_back
from vaetool.nn.sections import Positive, Section, Some
from vaetool.progress import tracked

VISIBLE = 1 / 255
"""Sigma below which noise is left alone: it cannot be told from clean texture, nor seen in eight bits."""

FADING = 0.5
"""Excess of sigma, relative to `VISIBLE`, from which noise is removed in full; below, it is removed in part."""

TOO_LOW = 2.0  # ratio of the cost of an estimate that is too low to that of one that is too high
FAINT = 5 / 255  # added to the sigma that errors are divided by, to limit their weight
BLIND = 0.75  # share of the crops that training cleans by the estimated sigma, not by the true one

FURTHER = {"optimizer": "muon", "lr": 3e-4, "crops": (128,), "batch": 8, "clip": 0.25, "warmup_steps": 20}
FURTHER |= {"constant": 0.3, "ema": 0.99, "bf16": True}
"""Preset for fine-tuning trained weights within minutes."""

TILE = 768
HALO = 80  # at sigma 50 tiles then differ from the whole by at most 0.7 of an 8-bit level
ESTIMATOR_HALO = 128  # sigma then differs by less than a hundredth; a reading sees up to 176 pixels

Image = TypeVar("Image")


@dataclass(frozen=True)
class DAEConfig(Section, name="model"):
    """The architecture of a DAE."""

    channels: Literal[1, 3] = 3
    widths: Some[Positive] = (32, 64, 128, 192)  # per level; each halves the resolution
    blocks: Positive | Some[Positive] = 2  # residual blocks each way, at all levels or per level
    estimator_widths: Some[Positive] = (32, 48, 64)  # the same for the network that estimates sigma
    # Places of 4 pixels a side, an odd number, over which readings of sigma are averaged.
    pooling: Annotated[int, Meta(ge=1, le=1025)] = 17
    uniform: bool = False  # one sigma for the whole picture, or one for every place

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling % 2 == 0:
            raise UsageError(f"model.pooling must be odd, not {self.pooling}")
        if isinstance(self.blocks, tuple) and len(self.blocks) != len(self.widths):
            raise UsageError(f"model.blocks must be a number, or {len(self.widths)} as model.widths are")


@dataclass(frozen=True)
class DAEObjective(Section, name="objective"):
    """The parts of a DAE that training changes."""

    estimator_alone: bool = False  # the U-Net, which takes most of the time, stays as it is


@register("dae")
class DAE(LearnsFromNoise):
    """The denoiser. See the module's docstring."""

    Config = DAEConfig
    Corruption = Noise
    Objective = DAEObjective
    metric = "psnr"
    learns_from_pairs = takes_any_values = True
    lr_ratios: ClassVar[dict[str, float]] = {"estimator": 2.0}
    further: ClassVar[dict[str, dict[str, Any]]] = {"training": FURTHER}
    config: DAEConfig

    def __init__(self, config: DAEConfig) -> None:
        super().__init__(config)
        self.estimator = SigmaEstimator(config.channels, config.estimator_widths)
        self.unet = UNet(4 * config.channels + 1, 4 * config.channels, config.widths, config.blocks, bias=False)

    @property
    def stride(self) -> int:
        """The number that heights and widths must be multiples of."""
        return max(2 * self.unet.stride, self.estimator.stride)  # both are powers of 2

    def pool_if_uniform(self, sigma: Tensor, evidence: Tensor) -> Tensor:
        """Return the sigma for cleaning: the map itself, (batch, 1, h, w), or one per picture if noise is uniform.

        The latter, (batch, 1, 1, 1), is the lower quartile of sigma, weighted by evidence: texture can be mistaken for
        noise, but not the reverse, and the smooth parts of a picture show how much noise it has.
        """
        if not self.config.uniform:
            return sigma
        places, order = sigma.flatten(1).sort(dim=1)
        share = evidence.flatten(1).gather(1, order).cumsum(dim=1)
        quartile = (share < share[:, -1:] / 4).sum(dim=1, keepdim=True)
        return places.gather(1, quartile)[:, :, None, None]

    def restore(self, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Return the clean pictures behind noisy ones.

        noisy: (batch, channels, height, width), around 0..1, sizes multiples of `stride`. sigma: in the same units,
        (batch, 1, h, w) of any smaller size, resized to the picture's. Where it is below `VISIBLE` nothing changes.
        """
        sigma = sigma.expand(len(noisy), -1, -1, -1)
        half = F.interpolate(sigma, (noisy.shape[2] // 2, noisy.shape[3] // 2), mode="bilinear", align_corners=False)
        residual = self.unet(torch.cat([F.pixel_unshuffle(noisy, 2), half], dim=1))
        gate = ((half / VISIBLE - 1) / FADING).clamp(0, 1)
        return noisy - F.pixel_shuffle(residual * gate, 2)

    def warm_start(self, other: Model) -> bool:
        """Copy the networks that have the same shape in another denoiser; return whether there were any."""
        if not isinstance(other, DAE):
            return False
        taken = False
        for ours, theirs in ((self.unet, other.unet), (self.estimator, other.estimator)):
            shapes = [{name: values.shape for name, values in part.state_dict().items()} for part in (ours, theirs)]
            if shapes[0] == shapes[1]:
                ours.load_state_dict(theirs.state_dict())
                taken = True
        return taken

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Noise | LearntNoise) -> Batch:
        """Return clean and noisy images, the sigma of what is to be removed, and which of them to clean blind.

        Images whose noisy versions follow as further channels get no noise.
        """
        if clean.shape[1] > self.config.channels:
            target, noisy = clean.chunk(2, dim=1)
        else:
            target, noisy = corruption.add_to(clean, generator)
        blind = torch.rand((len(clean), 1, 1, 1), generator=generator, device=clean.device) < BLIND
        return {"clean": target, "noisy": noisy, "sigma": self.true_sigma(noisy - target), "blind": blind}

    def true_sigma(self, noise: Tensor) -> Tensor:
        """Return the root mean square of noise, (batch, channels, height, width), the target of `estimate`.

        It is taken over `pooling` x `pooling` places around each, (batch, 1, height / 4, width / 4), or over the whole
        picture where noise is uniform, (batch, 1, 1, 1).
        """
        power = noise.square().mean(dim=1, keepdim=True)
        if self.config.uniform:
            return power.mean(dim=(2, 3), keepdim=True).sqrt()
        return local_mean(F.avg_pool2d(power, self.estimator.scale), self.config.pooling).sqrt()

    def frozen_parameters(self, objective: DAEObjective, fraction: float) -> list[nn.Parameter]:
        """Return the weights of the U-Net if the estimator is trained alone, else none."""
        return list(self.unet.parameters()) if objective.estimator_alone else []

    def loss(self, batch: Batch, objective: DAEObjective | None = None, fraction: float = 1.0) -> Losses:
        """Return the L1 distance to clean pictures, mostly by blind cleaning, and the error of the estimated sigma.

        Where the estimator is trained alone, nothing is cleaned.
        """
        noisy, sigma = batch["noisy"], batch["sigma"]
        weighted, trust, evidence = self.estimator(noisy)
        estimate = pool_readings(weighted, trust, self.config.pooling)
        # Relative to sigma, and harder on an estimate that is too low: the noise that it leaves is visible.
        error = (estimate - sigma) / (sigma + 2 * VISIBLE)
        known = local_mean(evidence, self.config.pooling) > 0
        estimation = (torch.where(error < 0, -TOO_LOW * error, error) * known).mean()
        if objective is not None and objective.estimator_alone:
            return {"loss": estimation + zero_of(self.unet), "estimation": estimation}
        given = torch.where(batch["blind"], self.pool_if_uniform(estimate.detach(), evidence), sigma)
        restored = (self.restore(noisy, given) - batch["clean"]).abs().mean(dim=(1, 2, 3))
        # Relative to the noise, so that a little noise counts as much as a lot, as it does in decibels.
        restoration = (restored / (sigma.mean(dim=(1, 2, 3)) + FAINT)).mean()
        return {"loss": 0.1 * (restoration + 0.1 * estimation), "l1": restored.mean(), "estimation": estimation}

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the mean PSNR in dB, blind (`mean_psnr`), and the mean error of the estimated sigma in 8-bit units."""
        estimate = self.estimate(batch["noisy"])
        clean = self.restore(batch["noisy"], estimate).clamp(0, 1)
        errors = (clean - batch["clean"]).square().mean(dim=(1, 2, 3))
        sigma_error = (estimate - batch["sigma"]).abs().mean()
        return {"psnr": mean_psnr(errors.detach().cpu().numpy()), "sigma_error": 255 * sigma_error.item()}

    def example(self, batch: Batch) -> list[Tensor]:
        """Return the noisy, the cleaned and the clean pictures."""
        noisy = batch["noisy"]
        shown = [noisy, self.restore(noisy, self.estimate(noisy))]
        return [*shown, batch["clean"]] if "blind" in batch else shown  # in an exam nothing is clean

    def estimate(self, noisy: Tensor) -> Tensor:
        """Return the estimated sigma of the noise, (batch, 1, h, w) or (batch, 1, 1, 1): see `pool_if_uniform`."""
        weighted, trust, evidence = self.estimator(noisy)
        return self.pool_if_uniform(pool_readings(weighted, trust, self.config.pooling), evidence)

    def denoise(
        self,
        image: Image,
        sigma: float | None = None,
        strength: float = 1.0,
        *,
        grain: float = 0.0,
        colour_noise: float = 0.0,
        tile: int | None = None,
    ) -> Image:
        """Return the picture without its noise, as the same kind of image (see `vaetool.images.conversion.unpack`).

        The parameters are those of `Cleaning`.
        Raises UsageError for values out of range, ImageError for colours in a model of grey pictures.
        """
        cleaning = Cleaning(sigma, strength, grain, colour_noise, tile)
        pixels, repack = unpack(image)
        values_range = used_range(pixels) if pixels.dtype == np.uint16 else None  # an array of floats is in 0..1
        return repack(self.clean(pixels, values_range, cleaning)[0])

    def clean(
        self, pixels: np.ndarray, values_range: Range | None, cleaning: Cleaning
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return pixels, (height, width, channels) of any type, without noise, and the map of the noise's sigma.

        values_range: the values of black and white, if not those of the type. If no sigma is given, salt and pepper is
        removed first, of which nothing is kept as grain.
        """
        values = pixels if values_range is None else values_range.to_unit(pixels)
        blind = cleaning.sigma is None and cleaning.strength > 0 and not has_few_colours(values)
        noisy = without_impulses(values) if blind else values
        noise = self.noise_map(noisy, cleaning.tile) if cleaning.sigma is None else constant_map(cleaning.sigma)
        clean = self.denoise_pixels(noisy, noise, cleaning)
        if noisy is not values and cleaning.strength < 1:
            kept = (1 - cleaning.strength) * (to_unit(values) - to_unit(noisy))
            clean = from_unit(to_unit(clean) + kept, clean.dtype)
        return clean if values_range is None else values_range.changed(pixels, clean - values), noise

    def estimate_sigma(self, image: Any) -> float:
        """Return the standard deviation of an image's noise in 8-bit units: the median over all places."""
        return median_sigma(self.noise_map(unpack(image)[0]))

    @torch.inference_mode()
    def noise_map(self, pixels: np.ndarray, tile: int | None = None) -> np.ndarray:
        """Return the sigma of the noise at every place, in 0..1, for pixels (height, width, channels) of any type.

        float32, (height / 4, width / 4), rounded up, or (1, 1) where noise is uniform; a single 0 for a picture of few
        colours, which is no photo.
        """
        if has_few_colours(pixels):
            return constant_map(0)
        height, width = pixels.shape[:2]
        scale = self.estimator.scale
        if any(margins := margins_of(pixels, scale)):
            return cut_off(self.noise_map(mirrored(pixels, margins), tile), margins, scale)
        found = torch.empty((4, 1, 1, -(-height // scale), -(-width // scale)))
        for part in tracked(self._tiles(pixels, tile, ESTIMATOR_HALO), "finding noise"):
            readings = self.estimator.readings(self._window(pixels[part.window()]))
            found[(..., *part.kept(scale))] = readings[(..., *part.middle(scale))].cpu()
            give_back()
        weighted, trust, evidence, colour = found
        sigma = pool_readings(weighted, trust, self.config.pooling)
        is_grey = (pixels == pixels[:, :, :1]).all()
        if not (self.config.uniform or is_grey or has_salt_and_pepper(pixels)):
            sigma = limited_by_colours(sigma, colour, self.config.pooling)
        return self.pool_if_uniform(sigma, evidence)[0, 0].numpy()

    @torch.inference_mode()
    def denoise_pixels(self, pixels: np.ndarray, noise: np.ndarray, cleaning: Cleaning = DEFAULT) -> np.ndarray:
        """Return pixels, (height, width, channels), without noise, given its map from `noise_map` or `constant_map`."""
        if any(margins := margins_of(pixels, self.estimator.scale)):
            noise = mirrored(noise, margins, self.estimator.scale)
            return cut_off(self.denoise_pixels(mirrored(pixels, margins), noise, cleaning), margins)
        clean = np.empty_like(pixels)
        for part in tracked(self._tiles(pixels, cleaning.tile, HALO), "cleaning"):
            clean[part.kept()] = self._cleaned_tile(pixels, noise, part, cleaning)
            give_back()
        return clean

    def _cleaned_tile(self, pixels: np.ndarray, noise: np.ndarray, part: Tile, cleaning: Cleaning) -> np.ndarray:
        kept = pixels[part.kept()]
        sigma = self._noise_window(noise, part) * max(cleaning.strength, 1.0)
        if (sigma <= VISIBLE).all():
            return kept
        noisy = self._window(pixels[part.window()])
        change = self.restore(noisy, sigma) - noisy
        if pixels.shape[2] == 1:
            change = change.mean(dim=1, keepdim=True)
        middle = cleaning.applied(change)[0].permute(1, 2, 0)[part.middle()].cpu().numpy()
        # Added to the pixels themselves, so that unchanged ones are returned exactly, in any type.
        return from_unit(to_unit(kept) + middle, pixels.dtype)

    def _tiles(self, pixels: np.ndarray, tile: int | None, halo: int) -> Iterator[Tile]:
        height, width = pixels.shape[:2]
        return tiles(height, width, TILE if tile is None else tile, -(-halo // self.stride) * self.stride, self.stride)

    def _window(self, pixels: np.ndarray) -> Tensor:
        return network_input(pixels, self.config.channels, self.stride, self.device)

    def _noise_window(self, noise: np.ndarray, part: Tile) -> Tensor:
        """Return a noise map's part in a `_window`, padded like it: (1, 1, height / 4, width / 4), or (1, 1, 1, 1)."""
        if noise.size > 1:
            scale = self.estimator.scale
            noise = pad_to_multiple(noise[part.window(scale)][..., None], self.stride // scale)[..., 0]
        return torch.from_numpy(noise).to(self.device)[None, None]
