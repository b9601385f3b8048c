"""Salvaging the intact tiles of a damaged or truncated `.vae` file."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from vaetool.compression.chunks import CHECKSUMS, END, payload_of, write_chunks
from vaetool.compression.container import LEARNED, Container
from vaetool.compression.fields import CHECKSUM_BYTES, CutOffError, checksum
from vaetool.compression.grid import STRIDE, tiles
from vaetool.compression.unpacking import opened, read_head, unpack
from vaetool.errors import ImageError

SQUARE = 16  # pixels
SHADES = 0.35, 0.65


def salvage(data: bytes, max_pixels: int) -> tuple[Container, tuple[int, ...]]:
    """Return the contents of a `.vae` file, and the numbers of its lost tiles, row by row, which have no stream.

    A tile is intact if it matches its checksum or, in a file without those, if it precedes the place where the file is
    cut off. Raises ImageError as `unpack` does if no tile is intact or it cannot be told which ones are.
    """
    try:
        return unpack(data, max_pixels), ()
    except ImageError as error:
        reason = error
    file, form = opened(data)
    if form != LEARNED:
        raise reason
    found, lengths = read_head(file, max_pixels)
    sums = _checksums(data, payload_of(found.chunks, CHECKSUMS), len(lengths))
    if sums is None and not isinstance(reason, CutOffError):
        raise reason
    lost = []
    for number, length in enumerate(lengths):
        stream = file.take(min(length, file.left))
        is_whole = len(stream) == length and (sums is None or checksum(zlib.crc32(stream)) == sums[number])
        found.bodies.append(stream if is_whole else memoryview(b""))
        lost += [] if is_whole else [number]
    if len(lost) == len(lengths):
        raise reason
    return found.container(), tuple(lost)


def _checksums(data: bytes, payload: bytes, count: int) -> list[bytes] | None:
    """Return the streams' checksums from their chunk, None if absent. Raises ImageError if what precedes is damaged."""
    if not payload:
        return None
    values = [payload[start : start + CHECKSUM_BYTES] for start in range(0, len(payload), CHECKSUM_BYTES)]
    head = data[: data.find(write_chunks({CHECKSUMS: payload}) + bytes([END]))]
    if len(values) != count + 1 or checksum(zlib.crc32(head)) != values[0]:
        raise ImageError("damaged before its tiles: nothing can be salvaged")
    return values[1:]


def places(content: Container, lost: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return the boxes of lost tiles in the picture: left, top, width and height in pixels."""
    assert content.coded is not None
    found = []
    for number, sides in enumerate(tiles(content.height, content.width, content.coded.tile)):
        if number in lost:
            top, left = (side.start * STRIDE for side in sides)
            bottom, right = (
                min(side.stop * STRIDE, size) for side, size in zip(sides, (content.height, content.width), strict=True)
            )
            found.append((left, top, right - left, bottom - top))
    return found


def mark(pixels: np.ndarray, content: Container, lost: Sequence[int]) -> None:
    """Fill lost tiles in pixels, (height, width, channels) of integers, with squares of two greys."""
    low, high = (int(shade * np.iinfo(pixels.dtype).max) for shade in SHADES)
    for left, top, width, height in places(content, lost):
        rows, columns = (np.arange(start, start + size) // SQUARE for start, size in ((top, height), (left, width)))
        is_dark = (rows[:, None] + columns) % 2 == 0
        pixels[top : top + height, left : left + width] = np.where(is_dark, low, high)[..., None]
