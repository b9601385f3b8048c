"""The container of compressed pictures: what is in a `.vae` file, byte by byte. docs/format.md has it as tables.

Files come from strangers. Every size is checked before anything of that size is made, what a file claims costs no more
than the bytes that it has, and nothing is trusted before the checksum of the whole file is verified.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

import numpy as np

from vaetool.compression import chunks, lossless
from vaetool.compression.chunks import ALPHA, EXIF, ICC, RESOLUTION, TEXTS, XMP, Chunk, payload_of
from vaetool.compression.fields import CHECKSUM_BYTES, CutOffError, Reader, checksum, number
from vaetool.compression.grid import HYPER_STRIDE, QUALITIES, hyper_positions, positions, tiles
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.metadata import MAX_BYTES, Dpi, Texts, are_texts, is_dpi

SUFFIX = ".vae"
MAGIC = b"\x89VAE"  # the first byte is no ASCII, so that no text file begins like this
VERSION = 1
LEARNED, STORED = 0, 1
"""The forms: coded by a model, or a lossless picture as it is."""

MAX_SIDE = 2**24 - 1
TILES = (4, 64)  # larger ones would need gigabytes to decode
MAX_TILES = 2**16
MODEL_BYTES = 8

_BYTES_PER_POSITION = 4096  # 1024 channels at 32 bits each: far more than any quality of any model needs


@dataclass(frozen=True)
class Coded:
    """The learned form of a picture.

    model: 8 bytes, the beginning of the SHA-256 of its weights. quality: 1..100.
    tile: side of a tile in positions of the latent, 4..64. checksum: CRC-32 of the decoded symbols.
    hyper_bits: how many bits of the streams are the hyper-latent's; nothing depends on it.
    streams: one per tile, row by row.
    Raises ImageError for values that no file can hold.
    """

    model: bytes
    quality: int
    tile: int
    checksum: int
    hyper_bits: int
    streams: tuple[bytes, ...]

    def __post_init__(self) -> None:
        _require(len(self.model) == MODEL_BYTES, f"a model's name of {len(self.model)} bytes")
        _require(1 <= self.quality <= QUALITIES, f"a quality of {self.quality}")
        _require(TILES[0] <= self.tile <= TILES[1], f"a tile of {self.tile} positions a side")
        _require(0 <= self.checksum < 2**32, f"a checksum of {self.checksum}")
        _require(0 <= self.hyper_bits < 2**32, f"a hyper-latent of {self.hyper_bits} bits")


@dataclass(frozen=True)
class Container:
    """A compressed picture as it is in a file: in the learned form or, where `coded` is None, in the lossless one.

    height, width: 1..2^24 − 1 pixels. channels: 1 (grey) or 3 (colour). depth: 8 or 16 bits per sample.
    alpha: as `encode_alpha` gives it; icc, exif, xmp: as they are. Empty where there is none, in either form.
    dpi, texts: as in a `Picture`.
    stored: as `encode_stored` gives it; empty in the learned form.
    Raises ImageError for values that no file can hold.
    """

    height: int
    width: int
    channels: int
    depth: int
    alpha: bytes = b""
    icc: bytes = b""
    exif: bytes = b""
    dpi: Dpi | None = None
    xmp: bytes = b""
    texts: Texts = ()
    coded: Coded | None = None
    stored: bytes = b""

    def __post_init__(self) -> None:
        _check_size(self.height, self.width)
        _require(self.channels in (1, 3), f"a picture of {self.channels} channels")
        _require(self.depth in (8, 16), f"a depth of {self.depth} bits")
        _require(len(self.icc) <= MAX_BYTES, "a colour profile of more than 16 MiB")
        _require(len(self.exif) <= MAX_BYTES, "EXIF data of more than 16 MiB")
        _require(self.dpi is None or is_dpi(self.dpi), f"a resolution of {self.dpi}")
        _require(len(self.xmp) <= MAX_BYTES, "XMP of more than 16 MiB")
        _require(are_texts(self.texts), "a list of texts that are too many, too long or not as PNG has them")
        _require(len(self.alpha) <= _most_lossless_bytes(self), f"a lossless alpha channel of {len(self.alpha)} bytes")
        _require(len(self.stored) <= _most_lossless_bytes(self), f"a lossless picture of {len(self.stored)} bytes")
        _require(not (self.stored and self.coded), "a picture in both forms")
        if self.coded is not None:
            cut = self.height, self.width, self.coded.tile
            streams = self.coded.streams
            _require(len(streams) == _tile_count(*cut), f"{len(streams)} streams for {_tile_count(*cut)} tiles")
            for stream, sides in zip(streams, tiles(*cut), strict=True):
                _require(len(stream) <= _most_stream_bytes(sides), f"a stream of {len(stream)} bytes")


def is_vae(head: bytes) -> bool:
    """Tell whether the first bytes of a file, four at least, are those of a `.vae` file."""
    return head[: len(MAGIC)] == MAGIC


# Lossless parts


def encode_alpha(alpha: np.ndarray | None) -> bytes:
    """Return an alpha channel, (height, width) uint8 or uint16, as a lossless picture; no bytes if all is opaque."""
    if alpha is None or (alpha == np.iinfo(alpha.dtype).max).all():
        return b""
    return lossless.encode(alpha[..., None])


def decode_alpha(data: bytes, height: int, width: int, depth: int) -> np.ndarray | None:
    """Return the alpha channel that `encode_alpha` was given, None for no bytes.

    Raises ImageError if it claims another size, before anything is decoded, or if it is damaged.
    """
    return lossless.decode(data, height, width, 1, depth)[..., 0] if data else None


def encode_stored(picture: Picture) -> bytes:
    """Encode a picture's pixels, hidden ones too, for `Container.stored`; all else has its own places."""
    return lossless.encode(picture.pixels)


def decode_stored(container: Container) -> Picture:
    """Return the whole picture in a container of the lossless form. Raises ImageError as `decode_alpha` does."""
    shape = container.height, container.width, container.channels, container.depth
    return with_pixels(container, lossless.decode(container.stored, *shape))


# All but the pixels


def without_pixels(picture: Picture) -> Container:
    """Return all that a file keeps of a picture, in neither form yet."""
    return Container(
        height=picture.height,
        width=picture.width,
        channels=picture.pixels.shape[2],
        depth=8 * picture.pixels.itemsize,
        alpha=encode_alpha(picture.alpha),
        icc=picture.icc_profile or b"",
        exif=picture.exif or b"",
        dpi=picture.dpi,
        xmp=picture.xmp or b"",
        texts=picture.texts,
    )


def with_pixels(container: Container, pixels: np.ndarray) -> Picture:
    """Return the picture in a container, whose pixels are decoded. Raises ImageError as `decode_alpha` does."""
    return Picture(
        pixels,
        decode_alpha(container.alpha, container.height, container.width, container.depth),
        icc_profile=container.icc or None,
        exif=container.exif or None,
        dpi=container.dpi,
        xmp=container.xmp or None,
        texts=container.texts,
    )


# Writing


def pack(container: Container, side: bytes | None = None) -> bytes:
    """Return the bytes of a `.vae` file. Raises ImageError if the picture is in neither form.

    side: what `pack_chunks` gives, if a container with other pixels but the same of all else has given it already.
    """
    coded, stored = container.coded, container.stored
    _require(bool(coded or stored), "a picture in neither form")
    bodies = (stored,) if coded is None else coded.streams
    lengths = (number(len(body)) for body in bodies)
    side = pack_chunks(container) if side is None else side
    data = b"".join([_header(container), side, *lengths, *bodies])
    return data + checksum(zlib.crc32(data))


def pack_chunks(container: Container) -> bytes:
    """Return all but the pixels as it is in a file. Slow where it is large."""
    return chunks.write_chunks(
        {
            ICC: container.icc,
            EXIF: container.exif,
            ALPHA: container.alpha,
            RESOLUTION: chunks.encode_resolution(container.dpi),
            XMP: container.xmp,
            TEXTS: chunks.encode_texts(container.texts),
        }
    )


def sizes(container: Container, size: int) -> dict[str, int]:
    """Return how many bytes of a file of `size` bytes each part takes: header, side_information, streams, stored.

    Side information is the chunks, all that goes with the pixels, and the lengths of what follows.
    """
    header = len(_header(container)) + CHECKSUM_BYTES
    streams = sum(map(len, container.coded.streams)) if container.coded else 0
    stored = len(container.stored)
    side = size - header - streams - stored
    return {"header": header, "side_information": side, "streams": streams, "stored": stored}


def _header(container: Container) -> bytes:
    coded = container.coded
    samples = container.channels | container.depth // 8 << 4
    start = MAGIC + bytes([VERSION, STORED if coded is None else LEARNED])
    shape = number(container.height) + number(container.width) + bytes([samples])
    if coded is None:
        return start + shape
    settings = coded.model + bytes([coded.quality, coded.tile])
    return start + shape + settings + checksum(coded.checksum) + number(coded.hyper_bits)


# Reading


def unpack(data: bytes, max_pixels: int) -> Container:
    """Return what is in the bytes of a `.vae` file, with streams and pictures not decoded.

    Raises ImageError, without the path, when they are not such a file, are of an unknown version or form, cut off,
    damaged, followed by other bytes, or when the picture has more than `max_pixels` pixels.
    """
    if not is_vae(data):
        raise ImageError("not a .vae file")
    file = Reader(data)
    file.take(len(MAGIC))
    if (version := file.byte()) != VERSION:
        raise ImageError(f"is of format version {version}; this vaetool reads {VERSION}")
    if (form := file.byte()) not in (LEARNED, STORED):
        raise ImageError(f"is of form {form}; this vaetool reads {LEARNED} and {STORED}")
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
    coded = None if found.coded is None else replace(found.coded, streams=tuple(map(bytes, found.bodies)))
    return Container(
        *found.shape,
        alpha=payload_of(found.chunks, ALPHA),
        icc=payload_of(found.chunks, ICC),
        exif=payload_of(found.chunks, EXIF),
        dpi=chunks.decode_resolution(payload_of(found.chunks, RESOLUTION)),
        xmp=payload_of(found.chunks, XMP),
        texts=chunks.decode_texts(payload_of(found.chunks, TEXTS)),
        coded=coded,
        stored=b"" if coded else bytes(found.bodies[0]),
    )


class _Found(NamedTuple):
    """The parts of a file where they lie, before anything in it is trusted, unpacked or copied."""

    shape: tuple[int, int, int, int]  # height, width, channels, depth
    coded: Coded | None  # without streams
    chunks: dict[int, Chunk]
    bodies: list[memoryview]  # the streams, or the stored picture alone


def _read_learned(file: Reader, max_pixels: int) -> _Found:
    shape = _read_shape(file, max_pixels)
    model, quality, tile = bytes(file.take(MODEL_BYTES)), file.byte(), file.byte()
    coded = Coded(model, quality, tile, file.checksum(), file.number(), ())
    side = chunks.read_chunks(file)
    count = _tile_count(*shape[:2], tile)
    if count > file.left:  # each has a length, of one byte at least
        raise CutOffError("cut off")
    lengths = [file.number() for _ in range(count)]
    return _Found(shape, coded, side, [file.take(length) for length in lengths])


def _read_stored(file: Reader, max_pixels: int) -> _Found:
    shape, side, size = _read_shape(file, max_pixels), chunks.read_chunks(file), file.number()
    _require(size > 0, "an empty picture")
    return _Found(shape, None, side, [file.take(size)])


def _read_shape(file: Reader, max_pixels: int) -> tuple[int, int, int, int]:
    height, width, samples = file.number(), file.number(), file.byte()
    _check_size(height, width)
    if height * width > max_pixels:
        raise ImageError(f"{width} x {height} pixels is more than the limit of {max_pixels}; raise --max-pixels")
    return height, width, samples & 15, (samples >> 4) * 8


def _check(data: bytes, end: int) -> None:
    """Raise ImageError unless the checksum that begins at `end` is that of everything before it."""
    expected = data[end : end + CHECKSUM_BYTES]
    if len(expected) < CHECKSUM_BYTES:
        raise CutOffError("cut off")
    if checksum(zlib.crc32(memoryview(data)[:end])) != expected:
        raise ImageError("damaged: the file's checksum does not match")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ImageError(f"{what} does not fit a .vae file")


def _check_size(height: int, width: int) -> None:
    fits = 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE
    _require(fits, f"a picture of {width} x {height} pixels")


def _tile_count(height: int, width: int, tile: int) -> int:
    count = prod(-(-positions(side) // tile) for side in (height, width))
    _require(count <= MAX_TILES, f"a picture of {count} tiles")
    return count


def _most_stream_bytes(sides: tuple[slice, slice]) -> int:
    """Return the limit for the stream of a tile, whose sides are filled up to whole positions of the hyper-latent."""
    return prod(HYPER_STRIDE * hyper_positions(side.stop - side.start) for side in sides) * _BYTES_PER_POSITION


def _most_lossless_bytes(container: Container) -> int:
    """Return twice what all samples and the filters of PNG take, plus the little that a format adds."""
    return 18 * container.height * container.width + 2**16
