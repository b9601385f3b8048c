"""Corrections of a decoded picture, which bound its errors: a lossless picture of whole steps to add.

It is zero in most places, so picture and correction together take fewer bytes than a lossless form whose values are
rounded to the same error.
"""

from __future__ import annotations

import numpy as np

from vaetool.compression import lossless
from vaetool.compression.fields import Reader, number
from vaetool.errors import ImageError


def tolerance(depth: int) -> int:
    """Return the levels by which decoders on two machines may differ, at a depth of 8 or 16 bits, with some margin."""
    return 1 if depth == 8 else 8


def encode(decoded: np.ndarray, pixels: np.ndarray, max_error: int) -> bytes:
    """Return the correction after which no sample is off by more than `max_error` levels, whatever machine decodes.

    decoded, pixels: same shape, (height, width, channels), and type, uint8 or uint16. max_error: more than the
    `tolerance`. Empty where nothing is to be corrected.
    """
    step = 2 * (max_error - tolerance(8 * pixels.itemsize)) + 1
    errors = pixels.astype(np.int32) - decoded
    steps = np.sign(errors) * ((np.abs(errors) + step // 2) // step)
    if not steps.any():
        return b""
    dtype = np.uint8 if np.abs(steps).max() < 128 else np.uint16
    return number(step) + bytes([dtype().itemsize]) + lossless.encode((steps + _zero(dtype)).astype(dtype))


def apply(data: bytes, decoded: np.ndarray) -> np.ndarray:
    """Apply a correction to decoded pixels, (height, width, channels) uint8 or uint16. Raises ImageError."""
    file = Reader(data)
    step, size = file.number(), file.byte()
    if not 1 <= step < 2**17 or size not in (1, 2):
        raise ImageError("damaged: its correction is of the wrong kind")
    height, width, channels = decoded.shape
    stored = lossless.decode(bytes(file.take(file.left)), height, width, channels, 8 * size)
    steps = stored.astype(np.int64) - _zero(stored.dtype)
    return (decoded + step * steps).clip(0, np.iinfo(decoded.dtype).max).astype(decoded.dtype)


def _zero(dtype: np.dtype | type[np.integer]) -> int:
    """Return the sample that stands for no correction."""
    return (np.iinfo(dtype).max + 1) // 2
