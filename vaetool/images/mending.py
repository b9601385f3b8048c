"""Mending of files that Pillow refuses although their picture is nearly complete, by leaving out dispensable parts.

Examples are a PNG whose colour profile or text is damaged or huge, and a JPEG whose last bytes are missing.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFile

from vaetool.images.depth import PNG_SIGNATURE, png_chunks

JPEG_START, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_START_OF_SCAN = 0xDA
_MARKER = re.compile(rb"\xff[\x01-\xcf\xda-\xfe]")  # of those that are followed by a length

MAX_LOST = 0.05
"""Share of the pixels that may be missing at the end of a JPEG file: more means an incomplete copy."""

_UNDRAWN_ROWS = 18
"""Rows that a decoder holds back: those of a block with subsampled colours, and two for smoothing."""

_FILLER = 4 * _UNDRAWN_ROWS  # bytes for each pixel of a row: they reach further than the rows that are kept back

_COEFFICIENTS = 64

MAX_CHUNKS = 1000
"""Maximum number of chunks of a PNG file that are examined, besides those of its picture."""


class Mended(NamedTuple):
    """The bytes of a readable file, and a sentence on what was lost."""

    data: bytes
    note: str


def mend(data: bytes, open_image: Callable[[bytes], Image.Image]) -> Mended | None:
    """Return a readable version of an unreadable file, None if its picture is damaged.

    open_image: opens the bytes of a file, within the limits for metadata.
    """
    try:
        if data.startswith(PNG_SIGNATURE):
            return _without_damaged_chunks(data, open_image)
        return _with_its_end(data, open_image) if data.startswith(JPEG_START) else None
    except Exception:  # as any decoder may raise anything
        return None


def _without_damaged_chunks(data: bytes, open_image: Callable[[bytes], Image.Image]) -> Mended | None:
    """Leave out unreadable chunks that the picture does not need."""
    header, *chunks = png_chunks(data)
    beside = [chunk for chunk in chunks if chunk[4:5].islower() and chunk[4:8] != b"tRNS"]
    lost = [chunk for chunk in beside[:MAX_CHUNKS] if not _is_sound(header, chunk, open_image)]
    if not lost:
        return None
    kept = [chunk for chunk in chunks if chunk not in lost]
    names = ", ".join(dict.fromkeys(chunk[4:8].decode("latin-1") for chunk in lost))
    # Chunks before the picture first: Pillow is strict with those after it.
    kept.sort(key=lambda chunk: chunk[4:8] in (b"IDAT", b"IEND"))
    note = f"damaged or too large metadata is left out ({names})"
    return Mended(b"".join([PNG_SIGNATURE, header, *kept]), note)


def _is_sound(header: bytes, chunk: bytes, open_image: Callable[[bytes], Image.Image]) -> bool:
    """Tell whether a chunk can be read, by putting it in a picture of one pixel of the same kind."""
    start = header[:8] + (1).to_bytes(4, "big") * 2 + header[16:21]
    small = start + zlib.crc32(start[4:]).to_bytes(4, "big")
    end = b"\0\0\0\0IEND" + zlib.crc32(b"IEND").to_bytes(4, "big")
    try:
        open_image(PNG_SIGNATURE + small + chunk + b"\0\0\0\0IDAT" + zlib.crc32(b"IDAT").to_bytes(4, "big") + end)
    except Exception:
        return False
    return True


def _with_its_end(data: bytes, open_image: Callable[[bytes], Image.Image]) -> Mended | None:
    """Complete a JPEG file that lacks its end, if hardly anything is missing."""
    start = data.removesuffix(_JPEG_END[:1])
    mended = start + _JPEG_END
    found = np.asarray(open_image(mended))
    missing = _missing_blocks(start, found, open_image)
    image = open_image(start)
    if image.info.get("progressive"):  # all rows are there from early on, but coarsely
        missing |= not _has_all_scans(start)
    else:
        missing[_rows_drawn(image, found) + _UNDRAWN_ROWS :] = True
    lost = float(missing.mean())
    if lost > MAX_LOST:
        return None
    what = f"{max(lost, 0.0001):.2%} of its pixels are lost" if lost else "all of its pixels are there"
    return Mended(mended, f"the end of the file is missing; {what}")


def _missing_blocks(start: bytes, found: np.ndarray, open_image: Callable[[bytes], Image.Image]) -> np.ndarray:
    """Return a mask of the pixels that depend on what follows the start of a file, (height, width) bool.

    found: the picture of the start alone. Beyond the data that follow, and beyond a missing restart marker, the decoder
    puts the same grey in both.
    """
    filler = b"\x55" * max(len(start) + 1024, _FILLER * found.shape[1])
    other = np.asarray(open_image(start + filler + _JPEG_END))
    return (found != other).reshape(*found.shape[:2], -1).any(axis=2)


def _rows_drawn(image: Image.Image, found: np.ndarray) -> int:
    """Return the number of rows that a decoder draws while it waits for the rest of the file.

    found: the same picture, with anything in place of the rest.
    """
    try:
        image.load()
    except OSError:
        assert isinstance(image, ImageFile.ImageFile)
        image.tile = []  # or it would try again
    drawn = (np.asarray(image) == found).reshape(len(found), -1).all(axis=1)
    return int(np.logical_and.accumulate(drawn).sum())


def _has_all_scans(data: bytes) -> bool:
    """Tell whether a progressive JPEG has all coefficients, to the last bit (ITU-T T.81, B.2.3 and G.1.1.1).

    The last scan may be cut off.
    """
    finished: defaultdict[int, set[int]] = defaultdict(set)  # coefficients, by component
    for scan in _scans(data):
        count = scan[0]
        first, last, low_bit = scan[1 + 2 * count], scan[2 + 2 * count], scan[3 + 2 * count] & 15
        if not low_bit:
            for component in scan[1 : 1 + 2 * count : 2]:
                finished[component].update(range(first, last + 1))
    return bool(finished) and all(len(each) == _COEFFICIENTS for each in finished.values())


def _scans(data: bytes) -> Iterator[bytes]:
    """Yield the headers of the scans of a JPEG, without their lengths."""
    place = len(JPEG_START) - 1
    while found := _MARKER.search(data, place):
        place = found.start() + 2
        size = int.from_bytes(data[place : place + 2])
        if found[0][1] == _START_OF_SCAN:
            yield data[place + 2 : place + size]
        place += size
