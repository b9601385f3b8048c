"""Two pictures of the same thing: how close one is to the other, and where they differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vaetool.errors import ImageError
from vaetool.images.filling import fill_hidden
from vaetool.images.metrics import MS_SSIM_SIDE, WINDOW, max_difference, psnr, ssim, ssim_and_ms_ssim
from vaetool.images.picture import Picture, rescale

MID_GREY = 128


@dataclass(frozen=True)
class Comparison:
    """How close a picture is to its reference.

    psnr: in dB; infinite if no visible colour differs.
    ssim, ms_ssim: 1 for equal pictures; None if the pictures, or their visible parts, are too small for a window.
    max_difference: the largest difference of one channel of a pixel, in 0..peak.
    peak: 255, 65535 if either picture has 16 bits, or 1 if either is of floating point.
    identical: no visible colour differs, and no transparency.
    """

    psnr: float
    ssim: float | None
    ms_ssim: float | None
    max_difference: float
    peak: int
    identical: bool


class Pair:
    """A picture and its reference, of one depth and one number of channels.

    The depth is the larger one: 8 bits are scaled up to 16, and integers to 0..1 if either picture is of floating
    point. Grey is compared with colour as RGB with equal channels. Pixels count that are visible in both pictures.
    Raises ImageError if sizes differ, and if no pixel is visible in both.
    """

    def __init__(self, picture: Picture, reference: Picture) -> None:
        both = (picture, reference)
        size, reference_size = (f"{each.width} x {each.height}" for each in both)
        if size != reference_size:
            raise ImageError(f"is {size} pixels, its reference {reference_size}: only pictures of one size compare")
        dtype = np.result_type(picture.pixels, reference.pixels)
        self.peak = int(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1
        alpha, reference_alpha = (
            np.array(self.peak) if a is None else _scaled(a, dtype) for a in (p.alpha for p in both)
        )
        visible = (alpha > 0) & (reference_alpha > 0)
        if not visible.any():
            raise ImageError("has no pixel that is visible both in it and in its reference")
        self._visible = None if visible.all() else visible
        self._depths = tuple(each.pixels.dtype for each in both)
        self._same_alpha = bool((alpha == reference_alpha).all())
        self._same_profile = len({each.icc_profile for each in both} - {None}) < 2
        channels = max(each.pixels.shape[2] for each in both)
        self._pixels, self._reference = (self._prepared(each.pixels, dtype, channels) for each in both)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What differs besides the colours, a sentence each."""
        alpha = "its transparency is not that of its reference: only what is visible in both is compared"
        profile = "its colour profile is not that of its reference: values are compared as they are"
        one, other = (
            f"{8 * dtype.itemsize} bits{' of floating point' * (dtype.kind == 'f')}" for dtype in self._depths
        )
        depth = f"it has {one}, its reference {other}: both are compared in 0..{self.peak}"
        told = ((alpha, self._same_alpha), (profile, self._same_profile), (depth, one == other))
        return tuple(text for text, is_same in told if not is_same)

    def compare(self) -> Comparison:
        """Return how close the picture is to its reference."""
        pixels, reference = self._pixels, self._reference
        if self._visible is not None:
            pixels, reference = pixels[self._visible], reference[self._visible]
        largest = max_difference(pixels, reference)
        return Comparison(
            psnr(pixels, reference, self.peak),
            *self._structure(),
            max_difference=largest if self.peak == 1 else int(largest),
            peak=self.peak,
            identical=largest == 0 and self._same_alpha,
        )

    def difference(self, gain: float = 8.0) -> Picture:
        """Return the picture minus its reference, times `gain`, on mid-grey, in 8 bits (clipped).

        It is grey if both are. What is not visible in both is mid-grey.
        """
        scale = gain * 255 / self.peak
        shown = np.empty(self._pixels.shape, np.uint8)
        for row, pixels, reference in zip(shown, self._pixels, self._reference, strict=True):
            difference = np.subtract(pixels, reference, dtype=np.float64)
            row[:] = np.rint(MID_GREY + scale * difference).clip(0, 255)
        if self._visible is not None:
            shown[~self._visible] = MID_GREY
        return Picture(shown)

    def _structure(self) -> tuple[float | None, float | None]:
        """Return SSIM and MS-SSIM, None where no window fits."""
        pair = self._pixels, self._reference, self.peak, self._visible
        side = min(self._pixels.shape[:2])
        found = (math.nan, math.nan)
        if side >= MS_SSIM_SIDE:
            found = ssim_and_ms_ssim(*pair)
        elif side >= WINDOW:
            found = ssim(*pair), math.nan
        one_scale, all_scales = (None if math.isnan(value) else value for value in found)
        return one_scale, all_scales

    def _prepared(self, pixels: np.ndarray, dtype: np.dtype, channels: int) -> np.ndarray:
        scaled = _scaled(pixels, dtype)
        if self._visible is not None:
            scaled = fill_hidden(scaled, self._visible)  # for windows that reach beyond what is visible
        return np.broadcast_to(scaled, (*scaled.shape[:2], channels))


def _scaled(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return values of a type that is at most as deep as `dtype` in the range of that: 0..1 if it is floating point."""
    if np.issubdtype(dtype, np.floating) and np.issubdtype(values.dtype, np.integer):
        return np.divide(values, np.iinfo(values.dtype).max, dtype=np.float32)
    return rescale(values, dtype)
