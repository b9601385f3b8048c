"""Reading the bytes of a `.vae` file, as packed by `vaetool.compression.container`.

Files come from strangers. Every size is checked before anything of that size is allocated, a file's claims cost no
more than its bytes do, and nothing is trusted before the checksum of the whole file is verified.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from typing import IO, NamedTuple

from vaetool.compression import chunks
from vaetool.compression.chunks import (
    ALPHA,
    CHECKSUMS,
    CORRECTION,
    EXIF,
    ICC,
    RANGE,
    RESOLUTION,
    TEXTS,
    XMP,
    Chunk,
    payload_of,
)
from vaetool.compression.container import (
    LEARNED,
    MAGIC,
    MODEL_BYTES,
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

FIRST_BYTES = 4096
UNLIMITED = 2**62
"""Maximum number of pixels where none are decoded."""


def unpack(data: bytes, max_pixels: int) -> Container:
    """Unpack the bytes of a `.vae` file, leaving streams and pictures undecoded.

    Raises ImageError, without the path, if they are not such a file, have an unknown version or form, are truncated,
    damaged or followed by other bytes, or if the picture has more than `max_pixels` pixels.
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


def read_frame(file: IO[bytes]) -> tuple[Container, Coded | None]:
    """Read the head of an open `.vae` file: everything but the pixels, and how these are coded if by a model.

    The container is in neither form, and `Coded` has no streams. Little more is read than necessary, so the checksum of
    the file is not verified. Raises ImageError as `unpack` does.
    """
    data = b""
    while True:
        more = file.read(max(FIRST_BYTES, len(data)))
        data += more
        try:
            start, form = opened(data)
            if form == LEARNED:
                found, _ = read_head(start, UNLIMITED)
            else:
                found = Found(_read_shape(start, UNLIMITED), None, chunks.read_chunks(start), [])
        except CutOffError:
            if not more:
                raise
        else:
            return found.frame(), found.coded


def opened(data: bytes) -> tuple[Reader, int]:
    """Return a reader positioned after the form, and the form. Raises ImageError for other files or versions."""
    if not is_vae(data):
        raise ImageError("not a .vae file")
    file = Reader(data)
    file.take(len(MAGIC))
    if (version := file.byte()) != VERSION:
        raise ImageError(f"is of format version {version}; this vaetool reads {VERSION}")
    if (form := file.byte()) not in (LEARNED, STORED):
        raise ImageError(f"is of form {form}; this vaetool reads {LEARNED} and {STORED}")
    return file, form


def claimed_pixels(data: bytes) -> int:
    """Return the number of pixels that a `.vae` file claims to hold, 0 if it is not such a file."""
    try:
        height, width, *_ = _read_shape(opened(data)[0], UNLIMITED)
    except ImageError:
        return 0
    return height * width


class Found(NamedTuple):
    """The parts of a file as they lie, before anything in it is trusted, unpacked or copied."""

    shape: tuple[int, int, int, int]  # height, width, channels, depth
    coded: Coded | None  # without streams
    chunks: dict[int, Chunk]
    bodies: list[memoryview]  # the streams, or the stored picture alone

    def frame(self) -> Container:
        """Return everything but the pixels, unpacked and checked, in neither form. Raises ImageError."""
        return Container(
            *self.shape,
            alpha=payload_of(self.chunks, ALPHA),
            icc=payload_of(self.chunks, ICC),
            exif=payload_of(self.chunks, EXIF),
            dpi=chunks.decode_resolution(payload_of(self.chunks, RESOLUTION)),
            xmp=payload_of(self.chunks, XMP),
            texts=chunks.decode_texts(payload_of(self.chunks, TEXTS)),
        )

    def container(self) -> Container:
        """Return the parts, unpacked and checked. Raises ImageError."""
        coded = None if self.coded is None else replace(self.coded, streams=tuple(map(bytes, self.bodies)))
        return replace(
            self.frame(),
            coded=coded,
            stored=b"" if coded else bytes(self.bodies[0]),
            range=chunks.decode_range(payload_of(self.chunks, RANGE)),
            correction=payload_of(self.chunks, CORRECTION),
            has_checksums=CHECKSUMS in self.chunks,
        )


def _read_learned(file: Reader, max_pixels: int) -> Found:
    found, lengths = read_head(file, max_pixels)
    return found._replace(bodies=[file.take(length) for length in lengths])


def read_head(file: Reader, max_pixels: int) -> tuple[Found, list[int]]:
    """Read what precedes the streams of a learned form, and their lengths. Raises ImageError."""
    shape = _read_shape(file, max_pixels)
    model, quality, tile = bytes(file.take(MODEL_BYTES)), file.byte(), file.byte()
    coded = Coded(model, quality, tile, file.checksum(), file.number(), ())
    side = chunks.read_chunks(file)
    count = tile_count(*shape[:2], tile)
    if count > file.left:  # each has a length, of one byte at least
        raise CutOffError("cut off")
    return Found(shape, coded, side, []), [file.number() for _ in range(count)]


def _read_stored(file: Reader, max_pixels: int) -> Found:
    shape, side, size = _read_shape(file, max_pixels), chunks.read_chunks(file), file.number()
    require(size > 0, "an empty picture")
    return Found(shape, None, side, [file.take(size)])


def _read_shape(file: Reader, max_pixels: int) -> tuple[int, int, int, int]:
    height, width, samples = file.number(), file.number(), file.byte()
    check_size(height, width)
    if height * width > max_pixels:
        raise ImageError(f"{width} x {height} pixels is more than the limit of {max_pixels}; raise --max-pixels")
    return height, width, samples & 15, (samples >> 4) * 8


def _check(data: bytes, end: int) -> None:
    """Raise ImageError unless the checksum at `end` matches everything before it."""
    expected = data[end : end + CHECKSUM_BYTES]
    if len(expected) < CHECKSUM_BYTES:
        raise CutOffError("cut off")
    if checksum(zlib.crc32(memoryview(data)[:end])) != expected:
        raise ImageError("damaged: the file's checksum does not match")
