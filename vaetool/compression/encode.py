"""The task behind `vaetool compress`: a picture to the bytes of a .vae file, at a quality or as small as is asked for.

Any codec that turns pixels into streams and back will do; `vaetool.compression.decode` finds the one that a file
needs.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vaetool.compression import container
from vaetool.compression.container import Container
from vaetool.compression.grid import QUALITIES
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.images.metrics import psnr
from vaetool.store.weights import as_model

if TYPE_CHECKING:
    from vaetool.compression.codec import Codec

QUALITY = 50
LEARNED, LOSSLESS = "learned", "lossless"
OPTIONS = {"quality": "--quality", "bpp": "--bpp", "size": "--target-size", "psnr": "--target-psnr"}
"""What people type for each field of a `Target`."""

# What one step of quality is worth, for first guesses: in the logarithm of the size, and in dB.
SIZE_STEP, PSNR_STEP = 0.035, 0.14
GUESSES = 5

SMALL = 128 * 128  # pixels of the largest picture whose lossless form is always tried
BANDS, BAND_ROWS = 8, 16
PESSIMISM = 2
"""The lossless form is tried if a rough estimate of its size is at most this many times the size it has to beat."""


@dataclass(frozen=True)
class Target:
    """What a file has to meet: one of these, or by default a quality of 50.

    quality: 1..100; bpp: bits per pixel of the whole file, at most; size: bytes of the whole file, at most;
    psnr: dB over all visible pixels, at least.
    Raises UsageError for more than one, and for numbers that make no sense.
    """

    quality: int | None = None
    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None

    def __post_init__(self) -> None:
        given = {OPTIONS[name]: value for name, value in vars(self).items() if value is not None}
        if len(given) > 1:
            raise UsageError(f"one target at a time: {' or '.join(given)}?")
        if self.quality is not None and not 1 <= self.quality <= QUALITIES:
            raise UsageError(f"{OPTIONS['quality']} must be 1..{QUALITIES}, not {self.quality}")
        for option, value in given.items():
            if not 0 < value < math.inf:
                raise UsageError(f"{option} must be above 0, not {value}")

    def limit(self, pixels: int) -> int | None:
        """Return the largest number of bytes that a picture of so many pixels may take, None if there is no limit."""
        return self.size if self.bpp is None else int(self.bpp * pixels / 8)


def compress(
    image: Any,
    model: str | os.PathLike[str] | Codec = "photo-codec",
    *,
    quality: int | None = None,
    bpp: float | None = None,
    target_size: int | None = None,
    target_psnr: float | None = None,
    strip: bool = False,
    device: str = "auto",
) -> bytes:
    """Return an image as the bytes of a .vae file, which `vaetool.decompress` reads.

    image: a `Picture`, a Pillow image, a path, or an array or tensor as in `vaetool.images.conversion.unpack`; floating
    point is rounded to 8 bits.
    quality: 1..100, by default 50; or one of bpp, target_size (bytes) and target_psnr (dB): see `Target`.
    model: a codec, or the name or path of one, to load on `device`. strip: leave out ICC profile, EXIF, XMP and
        texts.
    Raises ImageError for files that cannot be read and targets out of reach, and UsageError.
    """
    from vaetool.images.conversion import as_picture  # imports torch, which describing a file does not need

    target = Target(quality, bpp, target_size, target_psnr)
    codec = as_model(model, device=device, kind=("codec",))
    return compress_picture(codec, as_picture(image), target, strip=strip)[0]


def compress_picture(
    codec: Codec, picture: Picture, target: Target | None = None, *, strip: bool = False
) -> tuple[bytes, dict[str, Any]]:
    """Return the bytes of a .vae file, and facts for a report.

    A picture whose lossless form is not larger than what the target asks for is stored in that form; so is one that
    does not reach its PSNR at any quality. A photograph's lossless form is many times larger than the learned one:
    it is not even tried where a few rows of the picture, deflated, show as much. For small pictures it always is.
    Facts: `form`, `quality` where it is not lossless, `psnr` where it was a target, and those of `sizes_of`.
    Raises ImageError, naming the smallest size possible, when the target is too small.
    """
    candidates = _Candidates(codec, picture, strip)
    chosen = candidates.choose(target or Target())
    facts: dict[str, Any] = {"form": chosen.form}
    if chosen.quality is not None:
        facts["quality"] = chosen.quality
        if chosen.quality in candidates.psnrs:
            facts["psnr"] = round(candidates.psnrs[chosen.quality], 2)
    return chosen.data, facts | sizes_of(chosen.container, len(chosen.data))


def restore(content: Container, codec: Codec | None) -> Picture:
    """Return the picture in a container; the codec is that of its streams, None where it has none.

    Raises ImageError when streams are damaged.
    """
    if content.coded is None:
        return container.decode_stored(content)
    assert codec is not None
    shape = content.height, content.width, content.channels
    pixels = codec.decode_pixels(content.coded, *shape, dtype=np.uint8 if content.depth == 8 else np.uint16)
    return container.with_pixels(content, pixels)


def sizes_of(content: Container, size: int) -> dict[str, Any]:
    """Return facts about a file of `size` bytes: `bytes`, `bpp`, `ratio`, `bits` by part.

    ratio: the bytes of its pixels over its own.
    """
    pixels = content.height * content.width
    bits = {part: 8 * count for part, count in container.sizes(content, size).items()}
    streams, stored = bits.pop("streams"), bits.pop("stored")
    if content.coded is None:
        bits["lossless"] = stored
    else:
        z = min(content.coded.hyper_bits, streams)  # nothing checks what the file claims
        bits |= {"z": z, "y": streams - z}
    return {
        "bytes": size,
        "bpp": round(8 * size / pixels, 4),
        "ratio": round(pixels * content.channels * content.depth / (8 * size), 2),
        "bits": bits,
    }


@dataclass(frozen=True)
class _File:
    container: Container
    data: bytes

    @property
    def quality(self) -> int | None:
        return self.container.coded.quality if self.container.coded else None

    @property
    def form(self) -> str:
        return LEARNED if self.container.coded else LOSSLESS


class _Candidates:
    """The files that a picture can become, each made on demand and kept."""

    def __init__(self, codec: Codec, picture: Picture, strip: bool) -> None:
        self.codec = codec
        self.picture = picture.without() if strip else picture
        self.pixels = picture.visible_pixels()
        self.files: dict[int, _File] = {}
        self.psnrs: dict[int, float] = {}
        self.frame = container.without_pixels(self.picture)
        self.chunks = container.pack_chunks(self.frame)

    def choose(self, target: Target) -> _File:
        """Return the best file for a target. Raises ImageError when there is none."""
        limit = target.limit(self.picture.height * self.picture.width)
        if limit is not None:
            return self.lossless_within(limit) or self.coded_within(limit)
        quality = target.quality or QUALITY
        if target.psnr is not None:
            # One more than the last quality that falls short.
            quality = 1 + _last_quality(self.psnr, math.nextafter(target.psnr, 0), PSNR_STEP)
            if quality > QUALITIES:
                return self.lossless
        coded = self.coded(quality)
        return self.lossless_within(len(coded.data)) or coded

    def coded(self, quality: int) -> _File:
        """Return the file in the learned form, at a quality."""
        if quality not in self.files:
            streams, _ = self.codec.encode_pixels(self.pixels, quality)
            self.files[quality] = self.file(coded=streams)
        return self.files[quality]

    def file(self, **form: Any) -> _File:
        """Return the file with `coded` or `stored`, as in a `Container`."""
        content = replace(self.frame, **form)
        return _File(content, container.pack(content, self.chunks))

    def coded_within(self, limit: int) -> _File:
        """Return the file in the learned form, as good as so many bytes allow."""
        if limit > 0 and (quality := _last_quality(self.log_size, math.log(limit), SIZE_STEP)):
            return self.coded(quality)
        smallest = self.coded(1)
        smallest = self.lossless_within(len(smallest.data)) or smallest
        raise ImageError(f"cannot be made smaller than {len(smallest.data)} bytes; {limit} were asked for")

    def log_size(self, quality: int) -> float:
        """Return the logarithm of the file's size at a quality: nearly a straight line."""
        return math.log(len(self.coded(quality).data))

    def psnr(self, quality: int) -> float:
        """Return the PSNR in dB at a quality, over the visible pixels, of what decompressing will give."""
        if quality not in self.psnrs:
            streams, original = self.coded(quality).container.coded, self.pixels
            assert streams is not None
            height, width, channels = original.shape
            decoded = self.codec.decode_pixels(streams, height, width, channels, original.dtype)
            if self.picture.alpha is not None:
                decoded, original = (pixels[self.picture.alpha > 0] for pixels in (decoded, original))
            peak = np.iinfo(original.dtype).max
            self.psnrs[quality] = psnr(decoded, original, peak) if original.size else math.inf
        return self.psnrs[quality]

    @cached_property
    def lossless(self) -> _File:
        """The file in the lossless form."""
        return self.file(stored=container.encode_stored(self.picture))

    def lossless_within(self, limit: int) -> _File | None:
        """Return the file in the lossless form, if it takes at most so many bytes."""
        if not _could_be_stored(self.picture.pixels, limit):
            return None
        return self.lossless if len(self.lossless.data) <= limit else None


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
    guess = QUALITY
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
