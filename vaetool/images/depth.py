"""Reading and writing colour samples of sixteen bits, which Pillow would reduce to eight."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
from PIL import Image

from vaetool.images import tiff
from vaetool.images.photometric import RGB, as_shown

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PPM_TOKEN = re.compile(rb"(?:\s|#[^\n]*\n)*+(\d+)")


def samples(data: bytes, format: str, page: int = 0, bits: int = 16) -> np.ndarray | None:  # noqa: A002
    """Return the samples of a PNG, TIFF, PPM or JPEG 2000 file, (height, width, channels); None for other formats.

    Colours come first, then alpha. page: of a TIFF file, counted from 0. bits: those stored of JPEG 2000, scaled to 16.
    """
    if format == "PNG":
        from imagecodecs import png_decode

        return np.atleast_3d(png_decode(data))
    if format == "TIFF":
        return tiff.page_samples(data, page)
    if format == "JPEG2000":
        from imagecodecs import jpeg2k_decode

        return as_shown(np.atleast_3d(jpeg2k_decode(data)), RGB, bits)
    return _ppm_samples(data) if format == "PPM" else None


def _ppm_samples(data: bytes) -> np.ndarray | None:
    if not data.startswith(b"P6"):
        return None
    numbers, end = [], len(b"P6")
    for _ in range(3):
        token = _PPM_TOKEN.match(data, end)
        if token is None:
            return None
        numbers.append(int(token[1]))
        end = token.end()
    width, height, top = numbers
    start = end + 1  # after one white space
    stored = np.frombuffer(data, ">u2", 3 * width * height, start).reshape(height, width, 3)
    return np.rint(stored * (65535 / top)).astype(np.uint16)


def encode_png(stored: np.ndarray, info: dict[str, Any]) -> bytes:
    """Encode samples, (height, width, channels) uint16, as PNG.

    info: metadata as Pillow takes it, for which the chunks that Pillow writes are used.
    """
    from imagecodecs import png_encode

    data = bytes(png_encode(stored, level=6))
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG", **info)
    carried = b"".join(chunk for chunk in png_chunks(file.getvalue()) if chunk[4:8] not in (b"IHDR", b"IDAT", b"IEND"))
    start = len(PNG_SIGNATURE) + 25  # IHDR has 13 bytes, and 12 around them
    return data[:start] + carried + data[start:]


def png_chunks(data: bytes) -> list[bytes]:
    """Return the chunks of a PNG file, each with its length, type and checksum."""
    found, start = [], len(PNG_SIGNATURE)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        found.append(data[start:end])
        start = end
    return found


def white_of_png(data: bytes, pixels: np.ndarray) -> int | None:
    """Return the largest possible value of uint16 pixels in a PNG file, None if the file does not say.

    The chunk sBIT gives the number of bits before scaling to 16 (PNG, third edition, 13.12), which leaves the lower
    bits of small values zero. If they are not zero, the writer of the file did not scale.
    """
    found = next((chunk[8:-4] for chunk in png_chunks(data) if chunk[4:8] == b"sBIT"), b"")
    bits = max(found, default=0)
    if not 8 <= bits < 16:
        return None
    is_scaled = pixels.max() >= 2**bits or not (pixels & (2 ** (16 - bits) - 1)).any()
    return 65535 if is_scaled else 2**bits - 1


def encode_ppm(pixels: np.ndarray) -> bytes:
    """Encode pixels, (height, width, 3) uint16, as PPM."""
    height, width, _ = pixels.shape
    return b"P6 %d %d 65535\n" % (width, height) + pixels.astype(">u2").tobytes()
