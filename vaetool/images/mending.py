"""Files that Pillow refuses although their picture is all there, or nearly: what can be done without is left out.

A PNG whose colour profile or text is damaged or huge, a JPEG whose last bytes are missing.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image

from vaetool.images.depth import PNG_SIGNATURE, png_chunks

JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"

MAX_LOST = 0.05
"""The share of the pixels that may be missing from the end of a JPEG file: more is a file that was not copied whole."""


MAX_CHUNKS = 1000
"""So many chunks of a PNG file are looked at, besides those of its picture."""


class Mended(NamedTuple):
    """The bytes of a file that can be read, and what was lost, as a sentence."""

    data: bytes
    note: str


def mend(data: bytes, open_image: Callable[[bytes], Image.Image]) -> Mended | None:
    """Return a file that can be read instead of one that cannot, None if its picture is damaged.

    open_image: opens the bytes of a file, within the limits for what comes with a picture.
    """
    try:
        if data.startswith(PNG_SIGNATURE):
            return _without_damaged_chunks(data, open_image)
        return _with_its_end(data, open_image) if data.startswith(JPEG_START) else None
    except Exception:  # as any decoder may raise anything
        return None


def _without_damaged_chunks(data: bytes, open_image: Callable[[bytes], Image.Image]) -> Mended | None:
    """Leave out chunks that the picture does not need, if they cannot be read on their own."""
    header, *chunks = png_chunks(data)
    beside = [chunk for chunk in chunks if chunk[4:5].islower() and chunk[4:8] != b"tRNS"]
    lost = [chunk for chunk in beside[:MAX_CHUNKS] if not _is_sound(header, chunk, open_image)]
    if not lost:
        return None
    kept = [chunk for chunk in chunks if chunk not in lost]
    names = ", ".join(dict.fromkeys(chunk[4:8].decode("latin-1") for chunk in lost))
    # Those that are not of the picture go first: Pillow is strict with what it meets behind it.
    kept.sort(key=lambda chunk: chunk[4:8] in (b"IDAT", b"IEND"))
    note = f"what is damaged or too large beside the picture is left out ({names})"
    return Mended(b"".join([PNG_SIGNATURE, header, *kept]), note)


def _is_sound(header: bytes, chunk: bytes, open_image: Callable[[bytes], Image.Image]) -> bool:
    """Tell whether a chunk can be read: in a picture of one pixel of the same kind."""
    start = header[:8] + (1).to_bytes(4, "big") * 2 + header[16:21]
    small = start + zlib.crc32(start[4:]).to_bytes(4, "big")
    end = b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4, "big")
    try:
        open_image(PNG_SIGNATURE + small + chunk + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big") + end)
    except Exception:
        return False
    return True


def _with_its_end(data: bytes, open_image: Callable[[bytes], Image.Image]) -> Mended | None:
    """Put an end to a JPEG file that has none, if hardly anything is missing.

    What the decoder puts in place of missing pixels depends on what follows: so they are found.
    """
    start = data.removesuffix(_JPEG_END[:1])
    mended = start + _JPEG_END
    found, other = (
        np.asarray(open_image(file)) for file in (mended, start + b"\x55" * (len(start) + 1024) + _JPEG_END)
    )
    lost = float((found != other).reshape(*found.shape[:2], -1).any(axis=2).mean())
    if lost > MAX_LOST:
        return None
    what = f"{max(lost, 0.0001):.2%} of its pixels are lost" if lost else "all of its pixels are there"
    return Mended(mended, f"the end of the file is missing; {what}")
