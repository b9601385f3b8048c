"""Comparison of two pictures of the same thing: how close they are, and where they differ."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from vaetool.errors import ImageError
from vaetool.images.filling import fill_hidden
from vaetool.images.metrics import MS_SSIM_SIDE, WINDOW, max_difference, psnr, ssim, ssim_and_ms_ssim
from vaetool.images.picture import Picture, rescale
from vaetool.images.ranges import Range, used_range

MID_GREY = 128


@dataclass(frozen=True)
class Comparison:
    """Measures of how close a picture is to its reference, on all pages.

    psnr: in dB, of the mean squared error of the pages; infinite if no visible colour differs.
    ssim, ms_ssim: 1 for equal pictures, the mean of the pages; None if one, or its visible part, is too small.
    max_difference: largest difference in one channel of a pixel.
    peak: 255, 65535 if either picture has 16 bits, or 1 if either is of floating point; if both are, the width of the
    range that the reference uses (`vaetool.images.ranges.used_range`).
    identical: no visible colour differs, and no transparency.
    """

    psnr: float
    ssim: float | None
    ms_ssim: float | None
    max_difference: float
    peak: float
    identical: bool
    pages: int = 1


class Pair:
    """A picture and its reference, of one depth and one number of channels.

    The depth is the larger one: 8 bits are scaled up to 16, and integers to 0..1 if either picture is of floating
    point. Grey is compared with colour as RGB with equal channels. Pixels count that are visible in both pictures.
    used: the range of all pages, if these are pages of floating point.
    Raises ImageError if sizes or numbers of pages differ, and if no pixel of a page is visible in both.
    """

    def __init__(self, picture: Picture, reference: Picture, used: Range | None = None) -> None:
        both = (picture, reference)
        pages, reference_pages = (len(each.pages) + 1 for each in both)
        if pages != reference_pages:
            raise ImageError(f"has {pages} pages but its reference has {reference_pages}: the numbers must match")
        size, reference_size = (f"{each.width} x {each.height}" for each in both)
        if size != reference_size:
            raise ImageError(f"is {size} pixels but its reference is {reference_size}: the sizes must match")
        dtype = np.result_type(picture.pixels, reference.pixels)
        if picture.pixels.dtype == reference.pixels.dtype == np.float32:
            values = [page.pixels.ravel() for page in (reference, *reference.pages)]
            self._range = used or used_range(np.concatenate(values)) or Range(0, 1)
        else:
            self._range = Range(0, int(np.iinfo(dtype).max) if np.issubdtype(dtype, np.integer) else 1)
        self.peak = self._range.high - self._range.low
        self._others = list(self._later_pages(picture, reference))
        alpha, reference_alpha = (
            np.array(self.peak) if a is None else _scaled(a, dtype) for a in (p.alpha for p in both)
        )
        visible = (alpha > 0) & (reference_alpha > 0)
        if not visible.any():
            raise ImageError("shares no visible pixel with its reference")
        self._visible = None if visible.all() else visible
        self._depths = tuple(each.pixels.dtype for each in both)
        self._same_alpha = bool((alpha == reference_alpha).all())
        self._same_profile = len({each.icc_profile for each in both} - {None}) < 2
        channels = max(each.pixels.shape[2] for each in both)
        self._pixels, self._reference = (self._prepared(each.pixels, dtype, channels) for each in both)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on differences other than in colours."""
        alpha = "its transparency differs from its reference's: only pixels visible in both are compared"
        profile = "its colour profile differs from its reference's: values are compared as they are"
        one, other = (
            f"{8 * dtype.itemsize} bits{' of floating point' * (dtype.kind == 'f')}" for dtype in self._depths
        )
        depth = f"it has {one}, its reference {other}: both are compared in 0..{self.peak:g}"
        told = ((alpha, self._same_alpha), (profile, self._same_profile), (depth, one == other))
        others = (text for page in self._others for text in page.warnings)
        return tuple(dict.fromkeys((*(text for text, is_same in told if not is_same), *others)))

    def compare(self) -> Comparison:
        """Compare the picture with its reference."""
        pages = [self, *self._others]
        psnrs = [psnr(*page._visible_values(), page.peak) for page in pages]
        error = fmean(10 ** (-value / 10) for value in psnrs)
        largest = max(max_difference(*page._visible_values()) for page in pages)
        structure = (fmean(values) for values in zip(*(page._structure() for page in pages), strict=True))
        one_scale, all_scales = (None if math.isnan(value) else value for value in structure)
        return Comparison(
            psnrs[0] if len(pages) == 1 else -10 * math.log10(error) if error else math.inf,
            one_scale,
            all_scales,
            max_difference=largest if self._pixels.dtype == np.float32 else int(largest),
            peak=self.peak,
            identical=largest == 0 and all(page._same_alpha for page in pages),
            pages=len(pages),
        )

    def difference(self, gain: float = 8.0) -> Picture:
        """Return the picture minus its reference, times `gain`, on mid-grey, in 8 bits (clipped), all pages.

        It is grey if both are. Pixels not visible in both are mid-grey.
        """
        scale = gain * 255 / self.peak
        shown = np.empty(self._pixels.shape, np.uint8)
        for row, pixels, reference in zip(shown, self._pixels, self._reference, strict=True):
            difference = np.subtract(pixels, reference, dtype=np.float64)
            row[:] = np.rint(MID_GREY + scale * difference).clip(0, 255)
        if self._visible is not None:
            shown[~self._visible] = MID_GREY
        return Picture(shown, pages=tuple(page.difference(gain) for page in self._others))

    def _later_pages(self, picture: Picture, reference: Picture) -> Iterator[Pair]:
        for number, page in enumerate(zip(picture.pages, reference.pages, strict=True), start=2):
            try:
                yield Pair(*page, self._range)
            except ImageError as error:
                raise ImageError(f"page {number} {error}") from error

    def _visible_values(self) -> tuple[np.ndarray, np.ndarray]:
        shown = ... if self._visible is None else self._visible
        return self._pixels[shown], self._reference[shown]

    def _structure(self) -> tuple[float, float]:
        """Return SSIM and MS-SSIM of this page, nan where no window fits."""
        pixels, reference = self._pixels, self._reference
        if low := np.float32(self._range.low):
            pixels, reference = pixels - low, reference - low
        pair = pixels, reference, self.peak, self._visible
        side = min(pixels.shape[:2])
        if side >= MS_SSIM_SIDE:
            return ssim_and_ms_ssim(*pair)
        return ssim(*pair) if side >= WINDOW else math.nan, math.nan

    def _prepared(self, pixels: np.ndarray, dtype: np.dtype, channels: int) -> np.ndarray:
        scaled = _scaled(pixels, dtype)
        if self._visible is not None:
            scaled = fill_hidden(scaled, self._visible)  # for windows that reach beyond visible pixels
        return np.broadcast_to(scaled, (*scaled.shape[:2], channels))


def _scaled(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Scale values to the range of `dtype`, at least as deep as their own type: 0..1 for floating point."""
    if np.issubdtype(dtype, np.floating) and np.issubdtype(values.dtype, np.integer):
        return np.divide(values, np.iinfo(values.dtype).max, dtype=np.float32)
    return rescale(values, dtype)
