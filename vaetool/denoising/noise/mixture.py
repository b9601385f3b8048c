"""The noise that a denoiser is trained on: how much of which kind."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np
import torch
from msgspec import Meta
from torch import Tensor

from vaetool.denoising.noise import drawn, jpeg, plain
from vaetool.denoising.noise.camera import draw_cameras, take, through_lens
from vaetool.denoising.noise.draws import chance, uniform
from vaetool.denoising.noise.finishing import MIN_SCALE, enlarged, finish, reduce_noise, resized
from vaetool.errors import UsageError
from vaetool.nn.filters import local_mean, luma
from vaetool.nn.sections import Section, Share

RESIZED = 0.4  # share of the camera's pictures that were resized afterwards

BRIGHTNESS = 33
"""Side, in pixels, of the squares whose mean is brightness, not noise: noise darkens what is developed from it, and
gives light to what is black, but no one can tell that from the scene, and a picture should keep its brightness.
"""


@dataclass(frozen=True)
class Noise(Section, name="corruption"):
    """Shares of the images that get each kind of noise; the rest gets white Gaussian noise.

    `camera` are taken through a camera; `compressed` are saved as JPEG at a quality so low that its traces are to
    be removed; `plain` get noise that is not white: correlated, shot noise, in colours, film grain, single pixels;
    `clean` get none, so that a clean picture comes out clean. Of each of these:
    `jpeg` of the camera's pictures are saved as JPEG, and of all others half as many; `clipped` are clipped and
    rounded, as a file of eight bits is; `grey` are grey, noise and all; `drawn` of the clean ones are text, drawings,
    foliage and dithered pictures instead of photographs, and `documents` of all others are text and drawings.
    """

    camera: Share = 0.4
    compressed: Share = 0.06
    plain: Share = 0.15
    clean: Share = 0.1
    sigma_max: Annotated[float, Meta(gt=0, le=255)] = 55.0  # of white noise, in 8-bit units; sigma is uniform from 0 on
    jpeg: Share = 0.8
    clipped: Share = 0.3
    grey: Share = 0.05
    drawn: Share = 0.6
    documents: Share = 0.15
    noisy_only: bool = False  # the images are noisy themselves: all of the above is ignored for the noise they have

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.camera + self.compressed + self.plain + self.clean > 1:
            raise UsageError(
                "corruption.camera, compressed, plain and clean are shares of the same images: at most 1 together"
            )

    def add_to(self, images: Tensor, generator: torch.Generator) -> Noisy:
        """Add noise to a batch: see `add_noise`."""
        return add_noise(images, generator, self)


class Noisy(NamedTuple):
    """Images as they should be and with noise, (batch, channels, height, width)."""

    clean: Tensor
    noisy: Tensor


def add_noise(images: Tensor, generator: torch.Generator, noise: Noise) -> Noisy:
    """Add noise to a batch, of the kinds and in the shares of `noise`.

    images: (batch, channels, height, width) in 0..1; height and width are even. What counts as clean is not always the
    image itself: for one that a camera took it is the same without noise, and the traces of a good JPEG belong to it
    where there is hardly any other noise.
    """
    counts = _counts(generator, len(images), noise)
    by_camera, compressed, by_formula, clean, rest = images.split(counts)
    by_camera, compressed, by_formula, rest = (
        _drawn(group, generator, noise.documents, drawn.DOCUMENTS)
        for group in (by_camera, compressed, by_formula, rest)
    )
    clean = _drawn(clean, generator, noise.drawn, drawn.KINDS)
    developed, taken = _through_camera(by_camera, generator)
    target = torch.cat([developed, compressed, by_formula, clean, rest])
    added = torch.cat(
        [
            taken - developed,
            torch.zeros_like(compressed),
            _plain(by_formula, generator),
            torch.zeros_like(clean),
            plain.white(rest, generator, noise.sigma_max / 255),
        ]
    )
    is_grey = chance(generator, len(images), noise.grey)
    target = torch.where(is_grey, luma(target), target)
    noisy = target + torch.where(is_grey, added[:, :1], added)  # the file of a grey picture has one channel
    sizes = [counts[0], counts[1], sum(counts[2:])]
    settings = [(noise.jpeg, jpeg.QUALITIES), (1.0, jpeg.LOW_QUALITIES), (noise.jpeg / 2, jpeg.QUALITIES)]
    parts = zip(target.split(sizes), noisy.split(sizes), settings, strict=True)
    pairs = [jpeg.save(clean, noisy, generator, *how) for clean, noisy, how in parts]
    target, noisy = (torch.cat(part) for part in zip(*pairs, strict=True))
    eight_bits = (noisy.clamp(0, 1) * 255).round() / 255
    return Noisy(target, torch.where(chance(generator, len(noisy), noise.clipped), eight_bits, noisy))


def _counts(generator: torch.Generator, count: int, noise: Noise) -> list[int]:
    """Return the numbers of images for the camera, and to be compressed, plain, clean and white.

    On average these are their shares, whatever `count` is.
    """
    offset = float(uniform(generator, 1, 0, 1))
    shares = np.cumsum([noise.camera, noise.compressed, noise.plain, noise.clean])
    ends = [min(count, int(share * count + offset)) for share in shares]
    return np.diff([0, *ends, count]).tolist()


def _through_camera(images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return images as a camera takes them, without noise and with it; the first few at a larger size, resized."""
    if not len(images):
        return images, images
    channels, size = images.shape[1], images.shape[2:]
    small, native = images.expand(-1, 3, -1, -1).tensor_split([_rounded(RESIZED * len(images), generator)])
    pairs = []
    if len(small):
        large = enlarged(small, float(uniform(generator, 1, MIN_SCALE, 1)))
        # The detail that is lost by enlarging a picture and shrinking it again is put back: real ones have it.
        detail = small - resized(large, size)
        pairs.append([(resized(x, size) + detail).clamp(0, 1) for x in _photographed(large, generator)])
    if len(native):
        pairs.append(_photographed(through_lens(native, generator), generator))
    target, noisy = (torch.cat(part) for part in zip(*pairs, strict=True))
    return (target, noisy) if channels == 3 else (luma(target), luma(noisy))


def _rounded(count: float, generator: torch.Generator) -> int:
    """Round `count` up or down, at random, so that the average is exact."""
    return int(count + float(uniform(generator, 1, 0, 1)))


def _photographed(images: Tensor, generator: torch.Generator) -> list[Tensor]:
    target, noisy = take(images, generator, draw_cameras(generator, len(images)))
    target = (target + local_mean(noisy - target, BRIGHTNESS)).clamp(0, 1)
    noisy = reduce_noise(target, noisy, generator)
    both = finish(torch.cat([target, noisy]), generator, copies=2)
    return list(both.chunk(2))


def _plain(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return noise of one of `plain.KINDS` for each image, all kinds being equally likely."""
    kinds = torch.randint(len(plain.KINDS), (len(images),), generator=generator, device=images.device)
    noise = torch.zeros_like(images)
    for number, kind in enumerate(plain.KINDS):
        chosen = kinds == number
        if chosen.any():
            noise[chosen] = kind(images[chosen], generator)
    return noise


def _drawn(images: Tensor, generator: torch.Generator, share: float, kinds: tuple[drawn.Drawing, ...]) -> Tensor:
    """Replace about a share of the images with drawn ones, all kinds being equally likely."""
    if not share:
        return images
    results = images.clone()
    seeds = torch.randint(2**31, (len(images),), generator=generator, device=images.device).tolist()
    for number, seed in enumerate(seeds):
        rng = random.Random(seed)
        if rng.random() < share:
            levels = (images[number] * 255).round().byte().permute(1, 2, 0).cpu().numpy()
            colours = np.ascontiguousarray(np.broadcast_to(levels, (*levels.shape[:2], 3)))
            pixels = torch.tensor(rng.choice(kinds)(colours, rng), device=images.device).permute(2, 0, 1) / 255
            results[number] = pixels if len(images[number]) == 3 else luma(pixels[None])[0]
    return results
