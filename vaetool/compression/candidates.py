"""The files that a picture can become, and the choice of the one that meets a target best."""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vaetool.compression import container, corrections, lossless
from vaetool.compression.container import Container
from vaetool.compression.grid import QUALITIES
from vaetool.compression.restoring import learned_pixels, restore
from vaetool.compression.targets import QUALITY, Target
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.metrics import psnr
from vaetool.images.ranges import extremes

if TYPE_CHECKING:
    from vaetool.compression.codec import Codec

LEARNED, LOSSLESS = "learned", "lossless"

# Effect of one step of quality, for first guesses: on the logarithm of the size, and in dB.
SIZE_STEP, PSNR_STEP = 0.035, 0.14
GUESSES = 5

SMALL = 128 * 128  # pixels of the largest picture whose lossless form is always tried
BANDS, BAND_ROWS = 8, 16
PESSIMISM = 4
"""The lossless form is tried if a rough estimate of its size is at most this many times the size it has to beat.

Pages of text take a fifth to a tenth of the estimate. For photographs it is at least six times the size of the learned
form.
"""

LOWER_QUALITIES = (1, 10, 20, 35, 50, 65, 80, 90)
"""Lower qualities tried where a higher one may lose more."""
HARDLY_BETTER = 1.0  # dB
SAMPLE = 64
"""Side, in pixels, of the four parts of a picture that this is decided by."""

CORRECTED_QUALITIES = (20, 35, 50, 65, 80, 100)
"""Qualities tried where errors are bounded, on a part of the picture of at most `PART` pixels a side."""
PART = 512


@dataclass(frozen=True)
class File:
    """A file and its contents."""

    container: Container
    data: bytes

    @property
    def quality(self) -> int | None:
        """The quality of the learned form."""
        return self.container.coded.quality if self.container.coded else None

    @property
    def form(self) -> str:
        """`LEARNED` or `LOSSLESS`."""
        return LEARNED if self.container.coded else LOSSLESS


class Candidates:
    """The files that a picture can become, each made on demand and kept."""

    def __init__(self, codec: Codec, picture: Picture, strip: bool) -> None:
        self.codec = codec
        self.picture = picture.without() if strip else picture
        self.pixels = picture.visible_pixels()
        self.range = extremes(self.pixels) if self.pixels.dtype == np.uint16 else None
        self.files: dict[int, File] = {}
        self.psnrs: dict[int, float] = {}
        self.frame = container.without_pixels(self.picture)
        self.chunks = container.pack_chunks(self.frame)

    def choose(self, target: Target) -> File:
        """Return the best file for a target. Raises ImageError when there is none."""
        if target.max_error is not None:
            return self.bounded(target.max_error)
        limit = target.limit(self.picture.height * self.picture.width)
        if limit is not None:
            return self.lossless_within(limit) or self.within(limit)
        quality = target.quality or QUALITY
        if target.psnr is not None:
            # One more than the last quality that falls short.
            quality = 1 + _last_quality(self.psnr, math.nextafter(target.psnr, 0), PSNR_STEP)
            if quality > QUALITIES:
                return self.lossless
        return self.best(quality)

    def best(self, quality: int, limit: int = sys.maxsize) -> File:
        """Return the file for a quality: the lossless form if it is not larger than the learned one, else the latter.

        Pictures unlike photographs, such as noise or fine stripes, can lose more at a higher quality, in a larger file,
        or even more than all that is not their mean colour. A sample is decoded to find out: then a lower quality is
        taken, or the mean colour alone.
        limit: largest size in bytes, provided that the learned form at this quality keeps to it.
        """
        files = [self.coded(quality)]
        if self.sample.psnr(quality) < rounding_psnr(quality):
            files += [self.coded(other) for other in [self.sample.best_quality(quality)] if other != quality]
            if self.sample.is_hopeless(quality):
                files.append(self.flat)
        stored = self.lossless_within(min(limit, max(len(file.data) for file in files)))
        if stored or len(files) == 1:
            return stored or files[0]
        return max((file for file in files if len(file.data) <= limit), key=self.psnr_of)

    def best_quality(self, quality: int) -> int:
        """Return the quality, at most the given one, at which the picture loses least."""
        lower = [other for other in LOWER_QUALITIES if other < quality]
        tried = lower if self.is_hopeless(quality) else lower[-1:]
        return max((quality, *reversed(tried)), key=self.psnr)

    def is_hopeless(self, quality: int) -> bool:
        """Tell whether the picture at a quality is hardly better than its mean colour alone."""
        return self.psnr(quality) < self.psnr_of(self.flat) + HARDLY_BETTER

    @cached_property
    def sample(self) -> Candidates:
        """The candidates for the middles of the four quarters, side by side, or for the whole of a small picture."""
        height, width = self.pixels.shape[:2]
        if min(height, width) < SAMPLE or max(height, width) <= 2 * SAMPLE:
            return self.middle
        tops, lefts = ([side // 4 - SAMPLE // 4, 3 * side // 4 - 3 * SAMPLE // 4] for side in (height, width))
        rows, columns = (np.concatenate([np.arange(at, at + SAMPLE) for at in starts]) for starts in (tops, lefts))
        alpha = None if self.picture.alpha is None else self.picture.alpha[np.ix_(rows, columns)]
        return Candidates(self.codec, Picture(self.picture.pixels[np.ix_(rows, columns)], alpha), strip=True)

    @cached_property
    def flat(self) -> File:
        """The file, in the learned form, of the picture's mean colour."""
        visible = self.pixels if self.picture.alpha is None else self.pixels[self.picture.alpha > 0]
        mean = visible.reshape(-1, self.pixels.shape[2]).mean(axis=0) if visible.size else 0
        return self._coded(np.broadcast_to(np.rint(mean).astype(self.pixels.dtype), self.pixels.shape), QUALITY)

    def coded(self, quality: int) -> File:
        """Return the file in the learned form, at a quality."""
        if quality not in self.files:
            self.files[quality] = self._coded(self.pixels, quality)
        return self.files[quality]

    def _coded(self, pixels: np.ndarray, quality: int) -> File:
        pixels = pixels if self.range is None else self.range.to_unit(pixels)
        streams, _ = self.codec.encode_pixels(pixels, quality)
        return self.file(coded=streams, range=self.range, has_checksums=len(streams.streams) > 1)

    def file(self, **form: Any) -> File:
        """Return the file with the given fields of a `Container` and everything else that belongs to the picture."""
        content = replace(self.frame, **form)
        return File(content, container.pack(content, self.chunks))

    def within(self, limit: int) -> File:
        """Return the best file within so many bytes, usually in the learned form."""
        if limit > 0 and (quality := _last_quality(self.log_size, math.log(limit), SIZE_STEP)):
            return self.best(quality, limit)
        smallest = min(self.coded(1), self.flat, key=lambda file: len(file.data))
        if len(smallest.data) <= limit:
            return smallest
        smallest = self.lossless_within(len(smallest.data)) or smallest
        raise ImageError(f"cannot be made smaller than {len(smallest.data)} bytes; {limit} were asked for")

    def log_size(self, quality: int) -> float:
        """Return the logarithm of the file's size at a quality: nearly a straight line."""
        return math.log(len(self.coded(quality).data))

    def psnr(self, quality: int) -> float:
        """Return the PSNR in dB of the decompressed picture at a quality, over the visible pixels."""
        return self.psnr_of(self.coded(quality))

    def psnr_of(self, file: File) -> float:
        """Return the PSNR in dB of a file, as `psnr`, relative to the range of a picture of 16 bits."""
        key = hash(file.data)
        if key not in self.psnrs:
            decoded, original = restore(file.container, self.codec).pixels, self.pixels
            if self.picture.alpha is not None:
                decoded, original = (pixels[self.picture.alpha > 0] for pixels in (decoded, original))
            peak = np.iinfo(original.dtype).max if self.range is None else self.range.high - self.range.low
            self.psnrs[key] = psnr(decoded, original, peak) if original.size else math.inf
        return self.psnrs[key]

    @cached_property
    def lossless(self) -> File:
        """The file in the lossless form."""
        return self.file(stored=container.encode_stored(self.picture))

    def bounded(self, max_error: int) -> File:
        """Return the smallest file in which no visible sample is off by more than so many levels.

        The codec's results may differ slightly between machines, so only a lossless form can keep the smallest bounds.
        """
        if max_error == 0:
            return self.lossless
        files = [self.lossless, self.rounded(max_error)]
        if max_error > corrections.tolerance(self.frame.depth):
            quality = min(CORRECTED_QUALITIES, key=lambda quality: len(self.middle.corrected(quality, max_error).data))
            files.append(self.corrected(quality, max_error))
        return min(files, key=lambda file: len(file.data))

    @cached_property
    def middle(self) -> Candidates:
        """The candidates for the middle part of the picture, or for the whole of a small one."""
        if max(self.pixels.shape[:2]) <= PART:
            return self
        rows, columns = (
            slice(max(0, side - PART) // 2, max(0, side - PART) // 2 + PART) for side in self.pixels.shape[:2]
        )
        alpha = None if self.picture.alpha is None else self.picture.alpha[rows, columns]
        return Candidates(self.codec, Picture(self.picture.pixels[rows, columns], alpha), strip=True)

    def rounded(self, max_error: int) -> File:
        """Return the lossless file of values rounded as coarsely as a maximum error allows."""
        step, top = 2 * max_error + 1, np.iinfo(self.pixels.dtype).max
        values = (self.pixels.astype(np.int32) + max_error) // step * step
        return self.file(stored=lossless.encode(values.clip(0, top).astype(self.pixels.dtype)))

    def corrected(self, quality: int, max_error: int) -> File:
        """Return the file in the learned form with the correction that bounds its errors."""
        coded = self.coded(quality).container
        decoded = learned_pixels(coded, self.codec)
        if self.picture.alpha is not None:
            decoded = np.where(self.picture.alpha[..., None] > 0, decoded, self.pixels)
        return self.file(
            coded=coded.coded,
            range=coded.range,
            has_checksums=coded.has_checksums,
            correction=corrections.encode(decoded, self.pixels, max_error),
        )

    def lossless_within(self, limit: int) -> File | None:
        """Return the file in the lossless form, or None if it takes more bytes than the limit."""
        if not _could_be_stored(self.picture.pixels, limit):
            return None
        return self.lossless if len(self.lossless.data) <= limit else None


def rounding_psnr(quality: int) -> float:
    """Return the PSNR in dB of a picture whose values are rounded in the nominal steps of a quality.

    Coded photographs exceed it: most of their code is nearly zero and takes fewer bits.
    """
    from vaetool.compression.quality import nominal_gain  # imports torch, which describing a file does not need

    return float(20 * np.log10(nominal_gain(np.array(float(quality)))) + 10 * math.log10(12))


def _could_be_stored(pixels: np.ndarray, limit: int) -> bool:
    """Tell from a few bands of rows whether it is worth trying to store pixels without loss in so many bytes."""
    height, width = pixels.shape[:2]
    if height * width <= SMALL:
        return True
    starts = np.linspace(0, max(0, height - BAND_ROWS), BANDS).astype(int)
    bands = [pixels[start : start + BAND_ROWS] for start in starts]
    # A drawing repeats itself, a gradient differs little from pixel to pixel, stripes not at all from row to row.
    plain = sum(len(zlib.compress(band.tobytes(), 1)) for band in bands)
    differences = (sum(len(zlib.compress(np.diff(band, axis=axis).tobytes(), 1)) for band in bands) for axis in (0, 1))
    estimate = min(plain, *differences) * height / sum(map(len, bands))
    return bool(estimate <= PESSIMISM * limit)


def _last_quality(value: Callable[[int], float], limit: float, step: float) -> int:
    """Return the largest quality whose `value` is at most `limit`, 0 if there is none.

    value: rises with quality, about `step` at a time, so that guesses along a straight line soon hit the limit; if they
    do not, bisection does. However it behaves, the quality returned was seen to be within the limit, and the next not.
    """
    low, high = 0, QUALITIES + 1  # as if these had been seen: within the limit, and beyond it
    seen: dict[int, float] = {}
    guess = (low + high) // 2
    while high - low > 1:
        seen[guess] = value(guess)
        low, high = (guess, high) if seen[guess] <= limit else (low, guess)
        guess = (low + high) // 2
        known = [quality for quality in (low, high) if math.isfinite(seen.get(quality, math.inf))]
        if known and len(seen) < GUESSES:
            slope = (seen[high] - seen[low]) / (high - low) if len(known) == 2 else step
            place = known[0] + (limit - seen[known[0]]) / slope
            guess = int(min(max(place, low + 1), high - 1))
    return low
