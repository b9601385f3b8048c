"""The bytes of a `.vae` file, read: what `vaetool.compression.container` packs.

Files come from strangers. Every size is checked before anything of that size is made, what a file claims costs no more
than the bytes that it has, and nothing is trusted before the checksum of the whole file is verified.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import NamedTuple

from vaetool.compression.container import (
    ALPHA,
    CHECKSUMS,
    CORRECTION,
    END,
    EXIF,
    ICC,
    IGNORABLE,
    LEARNED,
    MAGIC,
    MAX_CHUNKS,
    MAX_SIDE_BYTES,
    MODEL_BYTES,
    PACKED,
    RANGE,
    STORED,
    VERSION,
    Coded,
    Container,
    check_size,
    is_vae,
    require,
    tile_count,
)
from vaetool.compression.fields import CHECKSUM_BYTES, CutOffError, Reader, checksum
from vaetool.errors import ImageError
from vaetool.images.ranges import Range


def unpack(data: bytes, max_pixels: int) -> Container:
    """Return what is in the bytes of a `.vae` file, with streams and pictures not decoded.

    Raises ImageError, without the path, when they are not such a file, are of an unknown version or form, cut off,
    damaged, followed by other bytes, or when the picture has more than `max_pixels` pixels.
    """
    file, form = opened(data)
    try:
        found = _read_learned(file, max_pixels) if form == LEARNED else _read_stored(file, max_pixels)
    except CutOffError:
        raise
    except ImageError:
        _check(data, len(data) - CHECKSUM_BYTES)  # damage, if there is any, is the better explanation
        raise
    _check(data, file.place)
    file.take(CHECKSUM_BYTES)
    if file.left:
        raise ImageError(f"damaged: {file.left} bytes follow its end")
    return found.container()


def opened(data: bytes) -> tuple[Reader, int]:
    """Return a reader that is behind the form, and the form. Raises ImageError for other files, versions and forms."""
    if not is_vae(data):
        raise ImageError("not a .vae file")
    file = Reader(data)
    file.take(len(MAGIC))
    if (version := file.byte()) != VERSION:
        raise ImageError(f"is of format version {version}; this vaetool reads {VERSION}")
    if (form := file.byte()) not in (LEARNED, STORED):
        raise ImageError(f"is of form {form}; this vaetool reads {LEARNED} and {STORED}")
    return file, form


class Found(NamedTuple):
    """The parts of a file where they lie, before anything in it is trusted, unpacked or copied."""

    shape: tuple[int, int, int, int]  # height, width, channels, depth
    coded: Coded | None  # without streams
    chunks: dict[int, tuple[bool, memoryview]]  # whether it is packed, and the payload
    bodies: list[memoryview]  # the streams, or the stored picture alone

    def container(self) -> Container:
        """Return the parts, unpacked and checked. Raises ImageError."""
        side = {
            kind: _unpacked(payload) if packed else bytes(payload) for kind, (packed, payload) in self.chunks.items()
        }
        coded = None if self.coded is None else replace(self.coded, streams=tuple(map(bytes, self.bodies)))
        return Container(
            *self.shape,
            side.get(ALPHA, b""),
            side.get(ICC, b""),
            side.get(EXIF, b""),
            coded=coded,
            stored=b"" if coded else bytes(self.bodies[0]),
            range=_range(side[RANGE]) if RANGE in side else None,
            correction=side.get(CORRECTION, b""),
            has_checksums=CHECKSUMS in side,
        )


def _read_learned(file: Reader, max_pixels: int) -> Found:
    found, lengths = read_head(file, max_pixels)
    return found._replace(bodies=[file.take(length) for length in lengths])


def read_head(file: Reader, max_pixels: int) -> tuple[Found, list[int]]:
    """Return what precedes the streams of a learned form, and their lengths. Raises ImageError."""
    shape = _read_shape(file, max_pixels)
    model, quality, tile = bytes(file.take(MODEL_BYTES)), file.byte(), file.byte()
    coded = Coded(model, quality, tile, file.checksum(), file.number(), ())
    chunks = _read_chunks(file)
    count = tile_count(*shape[:2], tile)
    if count > file.left:  # each has a length, of one byte at least
        raise CutOffError("cut off")
    return Found(shape, coded, chunks, []), [file.number() for _ in range(count)]


def _read_stored(file: Reader, max_pixels: int) -> Found:
    shape, chunks, size = _read_shape(file, max_pixels), _read_chunks(file), file.number()
    require(size > 0, "an empty picture")
    return Found(shape, None, chunks, [file.take(size)])


def _read_shape(file: Reader, max_pixels: int) -> tuple[int, int, int, int]:
    height, width, samples = file.number(), file.number(), file.byte()
    check_size(height, width)
    if height * width > max_pixels:
        raise ImageError(f"{width} x {height} pixels is more than the limit of {max_pixels}; raise --max-pixels")
    return height, width, samples & 15, (samples >> 4) * 8


def _read_chunks(file: Reader) -> dict[int, tuple[bool, memoryview]]:
    chunks: dict[int, tuple[bool, memoryview]] = {}
    for _ in range(MAX_CHUNKS + 1):
        kind = file.byte()
        if kind == END:
            return chunks
        payload = file.take(file.number())
        if kind & IGNORABLE and kind != CHECKSUMS:
            continue
        if kind not in {ICC, EXIF, ALPHA, RANGE, CORRECTION, CHECKSUMS, ICC | PACKED, EXIF | PACKED}:
            raise ImageError(f"holds a chunk of type {kind}, which must not be ignored; a newer vaetool may know it")
        plain = kind & ~PACKED
        require(plain not in chunks, f"a second chunk of type {kind}")
        require(len(payload) > 0, f"an empty chunk of type {kind}")
        chunks[plain] = kind != plain, payload
    raise ImageError(f"damaged: it has more than {MAX_CHUNKS} chunks")


def _range(payload: bytes) -> Range:
    file = Reader(payload)
    low, high = file.number(), file.number()
    require(not file.left, "a range of more than two numbers")
    return Range(low, high)


def _unpacked(payload: memoryview) -> bytes:
    if len(payload) > MAX_SIDE_BYTES:  # what is packed is smaller than what it unpacks to
        raise ImageError("damaged: its colour profile or EXIF data is larger than 16 MiB")
    unzip = zlib.decompressobj()
    try:
        data = unzip.decompress(payload, MAX_SIDE_BYTES + 1)  # one more, to see whether that is the end
    except zlib.error:
        raise ImageError("damaged: its colour profile or EXIF data cannot be unpacked") from None
    if len(data) > MAX_SIDE_BYTES:
        raise ImageError("damaged: its colour profile or EXIF data is larger than 16 MiB")
    if not unzip.eof or unzip.unused_data:
        raise ImageError("damaged: its colour profile or EXIF data cannot be unpacked")
    return data


def _check(data: bytes, end: int) -> None:
    """Raise ImageError unless the checksum that begins at `end` is that of everything before it."""
    expected = data[end : end + CHECKSUM_BYTES]
    if len(expected) < CHECKSUM_BYTES:
        raise CutOffError("cut off")
    if checksum(zlib.crc32(memoryview(data)[:end])) != expected:
        raise ImageError("damaged: the file's checksum does not match")
