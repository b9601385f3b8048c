"""Targets that a compressed file has to meet."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaetool.compression.grid import QUALITIES
from vaetool.errors import UsageError

QUALITY = 70
"""Default quality: the lowest, in steps of ten, without a visible difference at half size: see docs/compression.md."""

OPTIONS = {
    "quality": "--quality",
    "bpp": "--bpp",
    "size": "--target-size",
    "psnr": "--target-psnr",
    "max_error": "--max-error",
}
"""Command-line option of each field of a `Target`."""


@dataclass(frozen=True)
class Target:
    """Target of a file: one of these, by default a quality of 70.

    quality: 1..100; bpp: bits per pixel of the whole file, at most; size: bytes of the whole file, at most;
    psnr: dB over all visible pixels, at least; max_error: levels that a visible sample is off by, at most.
    Raises UsageError for more than one, and for numbers out of range.
    """

    quality: int | None = None
    bpp: float | None = None
    size: int | None = None
    psnr: float | None = None
    max_error: int | None = None

    def __post_init__(self) -> None:
        given = {name: value for name, value in vars(self).items() if value is not None}
        if len(given) > 1:
            options = OPTIONS | ({"max_error": "--lossless"} if self.max_error == 0 else {})
            raise UsageError(f"one target at a time: {' or '.join(options[name] for name in given)}?")
        if self.quality is not None and not 1 <= self.quality <= QUALITIES:
            raise UsageError(f"{OPTIONS['quality']} must be 1..{QUALITIES}, not {self.quality}")
        for name, value in given.items():
            least = 0 if name == "max_error" else math.nextafter(0, 1)
            if not least <= value < math.inf:
                raise UsageError(f"{OPTIONS[name]} must be {'0 or more' if not least else 'above 0'}, not {value}")

    def limit(self, pixels: int) -> int | None:
        """Return the largest number of bytes that a picture of so many pixels may take, None if there is no limit."""
        return self.size if self.bpp is None else int(self.bpp * pixels / 8)


def error_bound(lossless: bool, max_error: int | None) -> int | None:
    """Return the `Target.max_error` that two options ask for. Raises UsageError if they contradict each other."""
    if lossless and max_error:
        raise UsageError(f"one target at a time: --lossless or {OPTIONS['max_error']}?")
    return 0 if lossless else max_error
