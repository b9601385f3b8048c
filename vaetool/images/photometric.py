"""Conversion of TIFF samples to grey or RGB: white may be zero, colours may be CIELab, and bits may be few."""

from __future__ import annotations

import numpy as np

from vaetool.errors import ImageError
from vaetool.images.picture import rescale

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CIE_LAB, ICC_LAB = 0, 1, 2, 8, 9
"""Values of the tag of photometric interpretation (TIFF 6.0; ICCLab: TIFF technical note of 2002)."""

LAB = (CIE_LAB, ICC_LAB)


def as_shown(samples: np.ndarray, photometric: int, bits: int) -> np.ndarray:
    """Return samples, (height, width, channels), as grey or RGB, and perhaps alpha, that use all bits of their type.

    bits: number of bits that the file stores. Integers of more than 16 bits, and values that are not integers, stay as
    they are. Raises ImageError for other colour models, and for inverted values without a defined white.
    """
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, *LAB):
        raise ImageError(f"stores its colours as {getattr(photometric, 'name', photometric)}; convert it to RGB first")
    if samples.dtype == np.bool_:
        samples = samples.astype(np.uint8) * np.uint8(255)
    is_plain = samples.dtype in (np.uint8, np.uint16)
    if is_plain and 1 < bits < 8 * samples.itemsize:
        scaled = samples * (np.iinfo(samples.dtype).max / np.float32(2**bits - 1))
        samples = np.rint(scaled).astype(samples.dtype)
    if photometric in (BLACK_IS_ZERO, RGB):
        return samples
    if not is_plain:
        raise ImageError(
            f"holds {samples.dtype} values of which white is zero, or CIELab: convert it to grey or RGB first"
        )
    channels = 1 if photometric == WHITE_IS_ZERO else 3
    colours, alpha = samples[:, :, :channels], samples[:, :, channels:]
    shown = np.iinfo(samples.dtype).max - colours if photometric == WHITE_IS_ZERO else _from_lab(colours, photometric)
    return np.dstack([shown, alpha])


def _from_lab(samples: np.ndarray, photometric: int) -> np.ndarray:
    """Return L*, a* and b*, (height, width, 3), as sRGB of the same type.

    In CIELab, a* and b* have a sign, and the highest value of L* is white. In ICCLab they are around the middle of the
    range, and 16 bits are 256 times 8 bits, for L* as well.
    """
    from imagecodecs import cms_profile, cms_transform

    step = 2 ** (8 * samples.itemsize - 8)
    white = 255 * step if photometric == ICC_LAB else np.iinfo(samples.dtype).max
    lab = samples.astype(np.float32)
    lab[:, :, 0] *= 100 / white
    lab[:, :, 1:] /= step
    if photometric == ICC_LAB:
        lab[:, :, 1:] -= 128
    else:
        lab[:, :, 1:] -= 256 * (lab[:, :, 1:] >= 128)
    # In floating point: of integers, this would be a table, and off by up to 16 levels.
    profiles = cms_profile("lab4"), cms_profile("srgb")
    shown = cms_transform(lab, *profiles, colorspace="lab", outcolorspace="rgb", outdtype="f4")
    return rescale(shown, samples.dtype)
