"""Pixels as a lossless image file, where no model codes them: a PNG or, if that is smaller, a WebP.

The file that holds such pixels states their shape and depth. The image file's own header has to agree before it is
decoded, so that decoding costs no more than was announced.
"""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from vaetool import images
from vaetool.errors import ImageError
from vaetool.images import Picture

MAX_FOR_WEBP = 8_000_000  # pixels: its encoder takes minutes and gigabytes for larger ones

_PNG = b"\x89PNG\r\n\x1a\n"


def encode(pixels: np.ndarray) -> bytes:
    """Return the smaller of a PNG and a lossless WebP; 16 bits are always a PNG.

    pixels: (height, width, 1 or 3), uint8 or uint16.
    """
    if pixels.dtype == np.uint16 and pixels.shape[2] == 3:  # Pillow cannot write that: stack the planes
        pixels = pixels.transpose(2, 0, 1).reshape(-1, pixels.shape[1], 1)
    candidates = [images.encode(Picture(pixels), "PNG")]
    if pixels.shape[0] * pixels.shape[1] <= MAX_FOR_WEBP:
        with suppress(ImageError):  # sides over 16383, 16 bits
            candidates.append(images.encode(Picture(pixels), "WEBP"))
    return min((data for data in candidates if _claimed_size(data) == pixels.shape[:2]), key=len)


def decode(data: bytes, height: int, width: int, channels: int, depth: int) -> np.ndarray:
    """Decode pixels from `encode`: (height, width, channels), uint8 for a depth of 8, uint16 for 16.

    Raises ImageError if the image file claims another size, before anything is decoded, or if it is damaged or of
    a kind other than announced.
    """
    in_planes = depth == 16 and channels == 3
    rows = height * channels if in_planes else height
    if _claimed_size(data) != (rows, width):
        raise ImageError("damaged: a lossless picture in it has the wrong size")
    try:
        picture = images.read(data, max_pixels=rows * width)
    except ImageError as error:
        raise ImageError(f"damaged: a lossless picture in it is {error}") from error
    pixels = picture.pixels
    if channels == 1 and (pixels == pixels[..., :1]).all():
        pixels = pixels[..., :1]  # WebP has no grey
    if in_planes and pixels.shape == (rows, width, 1):
        pixels = pixels.reshape(channels, height, width).transpose(1, 2, 0)
    if pixels.shape != (height, width, channels) or pixels.itemsize * 8 != depth or picture.alpha is not None:
        raise ImageError("damaged: a lossless picture in it is of the wrong kind")
    return np.ascontiguousarray(pixels)


def _claimed_size(data: bytes) -> tuple[int, int] | None:
    """Return the height and width in the header of a PNG or a lossless WebP, None if it is neither.

    PNG: W3C Recommendation, section 11.2.1. WebP: RFC 9649, sections 2.6, 2.7 and 3.4.
    """
    if data[:8] == _PNG and data[12:16] == b"IHDR" and len(data) >= 24:
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data[:4] == b"RIFF" and data[8:16] == b"WEBPVP8L" and data[20:21] == b"\x2f" and len(data) >= 25:
        sides = int.from_bytes(data[21:25], "little")
        return (sides >> 14 & 0x3FFF) + 1, (sides & 0x3FFF) + 1
    return None
