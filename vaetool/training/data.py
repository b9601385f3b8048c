"""Training images, read once, kept decoded as one flat block of bytes, and cropped in place.

A crop is a gather by index, so flips, quarter turns and a whole batch of crops cost one operation, on a CPU and on a
GPU alike.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import torch
from msgspec import Meta
from PIL import Image
from torch import Tensor

from vaetool.errors import ImageError, TrainingError
from vaetool.files.reading import in_order
from vaetool.images.conversion import shrunk
from vaetool.images.picture import as_pillow, rescale
from vaetool.images.ranges import Range, used_range
from vaetool.images.sources import Source
from vaetool.nn.sections import InnerShare, Section, ShareBelowOne, Some
from vaetool.scoring.copies import thumbnail

MAX_ENLARGEMENT = 8.0
NAMED_FAILURES = 100
"""Maximum number of unreadable files that are named; others are only counted."""


@dataclass(frozen=True)
class DataConfig(Section, name="data"):
    """Settings for making crops of training images."""

    # Each image is kept at these sizes, unless it is to stay as noisy as it is: shrinking removes the traces of JPEG.
    scales: Some[Annotated[float, Meta(gt=0, le=4)]] = (1.0,)
    # Share of the images that are never trained on: at most 32, or 1000 for models of whole pictures.
    held_out: InnerShare = 0.03
    calibration: ShareBelowOne = 0.0  # share kept apart to calibrate scores with: see `splits.set_aside`
    mirror: bool = False  # flip whole pictures left to right at random; crops are always turned and mirrored
    labels: str = ""  # a table of labels, as another modality: see `vaetool.images.modalities`
    pairs: bool = False  # each image has a noisy one of the same name, in the first of two places
    # Of decoded images in memory (3 bytes each in colour); of more images, a random part is taken.
    max_megapixels: Annotated[float, Meta(gt=0)] = 1000.0


class PixelStore:
    """Images of many sizes as one block of bytes, (pixels, channels), with the position of each.

    sources: number of files they come from; a file may be stored at several scales. labels, origins: of the images.
    sampling_weights: sampling weights, (images,), not normalised; None: uniform.
    """

    sampling_weights: Tensor | None = None

    def __init__(
        self,
        arrays: list[np.ndarray],
        device: torch.device | str = "cpu",
        sources: int | None = None,
        labels: Sequence[str] = (),
        origins: Sequence[Source] = (),
        *,
        drain: bool = False,
    ) -> None:
        """Copy arrays, (height, width, channels) uint8 each, all with the same number of channels, into one block.

        drain: take them out of the list while they are copied, so that memory never holds all of them twice.
        """
        arrays = arrays if drain else list(arrays)
        self.sources = len(arrays) if sources is None else sources
        self.labels = tuple(labels)
        self.origins = tuple(origins)
        self.sizes = torch.tensor([a.shape[:2] for a in arrays], device=device)
        ends = self.sizes.prod(dim=1).cumsum(dim=0)
        self.offsets = ends - self.sizes.prod(dim=1)
        block = np.empty((int(ends[-1]), arrays[0].shape[2]), np.uint8)
        for start in reversed(self.offsets.tolist()):
            array = arrays.pop()
            block[start : start + array.shape[0] * array.shape[1]] = array.reshape(-1, block.shape[1])
        self.pixels = torch.from_numpy(block).to(device)

    def __len__(self) -> int:
        return len(self.sizes)

    def part(self, chosen: Sequence[int]) -> PixelStore:
        """Return some of the images, in the same block of bytes."""
        other = copy(self)
        index = torch.tensor(chosen, device=self.pixels.device)
        other.sizes, other.offsets = self.sizes[index], self.offsets[index]
        other.sampling_weights = None if self.sampling_weights is None else self.sampling_weights[index]
        other.labels = tuple(self.labels[each] for each in chosen) if self.labels else ()
        other.origins = tuple(self.origins[each] for each in chosen) if self.origins else ()
        other.sources = len({source.origin for source in other.origins}) or len(chosen)
        return other

    def thumbnails(self) -> Tensor:
        """Return the thumbnails by which images are compared, (images, numbers): see `vaetool.scoring.copies`."""
        found = []
        for start, (height, width) in zip(self.offsets.tolist(), self.sizes.tolist(), strict=True):
            pixels = self.pixels[start : start + height * width].reshape(height, width, -1)
            found.append(thumbnail(pixels.permute(2, 0, 1).float() / 255))
        return torch.stack(found)

    def random_crops(
        self, count: int, size: int, generator: torch.Generator, augment: bool = True, mirror: bool = True
    ) -> Tensor:
        """Draw square crops, turned if `augment` and flipped left to right if `mirror`.

        Images are drawn by `sampling_weights`. No image may be smaller than `size`.
        Returns (count, channels, size, size) float in 0..1, laid out channels last.
        """
        device = self.pixels.device
        if self.sampling_weights is None:
            image = torch.randint(len(self), (count,), generator=generator, device=device)
        else:
            image = torch.multinomial(self.sampling_weights, count, replacement=True, generator=generator)
        corner = torch.rand((count, 2), generator=generator, device=device)
        turns = torch.randint(2, (3, count, 1, 1), generator=generator, device=device).bool()
        corner = (corner * (self.sizes[image] - size + 1)).long()
        i, j = torch.meshgrid(*[torch.arange(size, device=device)] * 2, indexing="ij")
        flip_rows, flip_columns, transpose = turns
        if augment:
            i, j = torch.where(transpose, j, i), torch.where(transpose, i, j)
            i = torch.where(flip_rows, size - 1 - i, i)
        if mirror:
            j = torch.where(flip_columns, size - 1 - j, j)
        return self._gather(image, corner[:, 0, None, None] + i, corner[:, 1, None, None] + j)

    def centre_crops(self, size: int, part: slice = slice(None)) -> Tensor:
        """Return the middle of every image, or of some, (images, channels, size, size) float in 0..1."""
        corner = (self.sizes[part] - size) // 2
        i, j = torch.meshgrid(*[torch.arange(size, device=self.pixels.device)] * 2, indexing="ij")
        image = torch.arange(len(self), device=self.pixels.device)[part]
        return self._gather(image, corner[:, 0, None, None] + i, corner[:, 1, None, None] + j)

    def batches(self, size: int, count: int) -> Iterator[Tensor]:
        """Yield the `centre_crops` of all images in order, at most `count` at a time."""
        for start in range(0, len(self), count):
            yield self.centre_crops(size, slice(start, start + count))

    def _gather(self, image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        index = self.offsets[image, None, None] + rows * self.sizes[image, 1][:, None, None] + columns
        return self.pixels[index].permute(0, 3, 1, 2).float().div_(255)


def load_store(
    sources: Sequence[Source],
    config: DataConfig,
    smallest: int,
    *,
    channels: int = 3,
    whole: Callable[[Source], np.ndarray] | None = None,
    longest: int | None = None,
    device: torch.device | str = "cpu",
    warn: Callable[[str], None] = lambda message: None,
) -> PixelStore:
    """Decode images into memory, each at every scale at which its shorter side is at least `smallest` pixels.

    whole: keep the results of this function instead (see `Model.whole`). longest: first shrink larger images to this
    many pixels; those then too small are mirrored, not enlarged.

    An image smaller than `smallest` is enlarged to it, up to `MAX_ENLARGEMENT` times. Files that cannot be read or are
    smaller still are reported to `warn` and left out. channels: 1 or 3, to which all are converted; twice as many for
    pairs, the noisy ones last.

    Raises TrainingError if none can be used.
    """

    def prepare(source: Source) -> list[np.ndarray] | str:
        try:
            if whole is not None:
                return [whole(source)]
            return _at_scales(source, config.scales, smallest, channels, longest)
        except ImageError as error:
            return str(error)

    arrays: list[np.ndarray] = []
    labels: list[str] = []
    origins: list[Source] = []
    budget = config.max_megapixels * 1e6
    order = random.Random(0).sample(sources, len(sources))
    used = failed = 0
    threads = os.cpu_count() or 1
    with closing(in_order((partial(prepare, source) for source in order), threads=threads, ahead=threads + 1)) as found:
        for source, versions in zip(order, found, strict=False):
            if isinstance(versions, str):
                failed += 1
                if failed <= NAMED_FAILURES:
                    warn(f"{source.name}: {versions}; left out")
                continue
            size = sum(version.shape[0] * version.shape[1] for version in versions)
            if used and size > budget:
                warn(
                    f"{used} of {len(sources)} images, at random, fill {config.max_megapixels:g} megapixels of memory; "
                    "the others are left out (--set data.max_megapixels=N)"
                )
                break
            budget -= size
            used += 1
            arrays += versions
            labels += [source.label] * len(versions)
            origins += [source] * len(versions)
    if failed > NAMED_FAILURES:
        warn(f"and {failed - NAMED_FAILURES} more images left out")
    if not arrays:
        raise TrainingError("none of the images can be used")
    return PixelStore(arrays, device, used, labels, origins, drain=True)


def _at_scales(
    source: Source, scales: Sequence[float], smallest: int, channels: int, longest: int | None
) -> list[np.ndarray]:
    """Return an image as `load_store` keeps it, uint8, at each scale; the channels of a noisy one of a pair come last.

    Raises ImageError if it cannot be read, or is too small.
    """
    pixels = source.read()
    if longest is not None:
        pixels = _mirrored(shrunk(pixels, longest, channels), smallest)
    if source.read_noisy is None:
        return _scaled(in_eight_bits(pixels, used_range(pixels)), scales, smallest, channels)
    noisy = source.read_noisy()
    if noisy.shape[:2] != pixels.shape[:2]:
        (height, width), (clean_height, clean_width) = noisy.shape[:2], pixels.shape[:2]
        raise ImageError(f"is {clean_width} x {clean_height} pixels, and its noisy version {width} x {height}")
    both = (in_eight_bits(image, used_range(noisy)) for image in (pixels, noisy))  # both in the range of the noisy one
    versions = (_scaled(image, scales, smallest, channels) for image in both)
    return [np.concatenate(pair, axis=2) for pair in zip(*versions, strict=True)]


def _mirrored(pixels: np.ndarray, smallest: int) -> np.ndarray:
    below, beside = (max(0, smallest - length) for length in pixels.shape[:2])
    return np.pad(pixels, ((0, below), (0, beside), (0, 0)), mode="symmetric")


def in_eight_bits(pixels: np.ndarray, values_range: Range | None) -> np.ndarray:
    """Convert pixels of any type to uint8; values_range: the values of black and white, if not the type's limits."""
    return rescale(pixels if values_range is None else values_range.to_unit(pixels), np.uint8)


def store_of(pictures: Tensor, scales: Sequence[float], smallest: int) -> PixelStore:
    """Store pictures, (number, channels, height, width) in 0..1, at several scales, as `load_store` does files."""
    levels = (pictures.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    scaled = [_scaled(pixels, scales, smallest, pixels.shape[2]) for pixels in levels]
    return PixelStore([version for versions in scaled for version in versions], pictures.device, len(pictures))


def _scaled(pixels: np.ndarray, scales: Sequence[float], smallest: int, channels: int) -> list[np.ndarray]:
    """Return pixels, uint8, at the scales at which they are large enough."""
    image = as_pillow(pixels).convert("RGB" if channels == 3 else "L")
    shortest = min(image.size)
    if smallest > MAX_ENLARGEMENT * shortest:
        raise ImageError(f"{image.width} x {image.height} pixels are too few for crops of {smallest}")
    large_enough = [scale for scale in scales if scale * shortest >= smallest] or [smallest / shortest]
    return [_resized(image, scale) for scale in large_enough]


def _resized(image: Image.Image, scale: float) -> np.ndarray:
    if scale != 1:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    array = np.asarray(image)
    return array[:, :, None] if array.ndim == 2 else array
