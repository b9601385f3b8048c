"""The container of compressed pictures: what is in a `.vae` file, byte by byte. docs/format.md has it as tables.

What is larger than any file may hold is refused here; `vaetool.compression.unpacking` reads files.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import prod

import numpy as np

from vaetool.compression import lossless
from vaetool.compression.fields import CHECKSUM_BYTES, checksum, number
from vaetool.compression.grid import HYPER_STRIDE, QUALITIES, hyper_positions, positions, tiles
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.ranges import Range

SUFFIX = ".vae"
MAGIC = b"\x89VAE"  # the first byte is no ASCII, so that no text file begins like this
VERSION = 1
LEARNED, STORED = 0, 1
"""The forms: coded by a model, or a lossless picture as it is."""

MAX_SIDE = 2**24 - 1
TILES = (4, 64)  # larger ones would need gigabytes to decode
MAX_TILES = 2**16
MAX_SIDE_BYTES = 16 * 2**20
"""Limit for a colour profile, and for EXIF, when unpacked."""

MODEL_BYTES = 8
MAX_CHUNKS = 64
END, ICC, EXIF, ALPHA, RANGE, CORRECTION = 0, 1, 2, 3, 4, 5
CHECKSUMS = 131
PACKED, IGNORABLE = 0x40, 0x80
"""Bits in the type of a chunk: its payload is zlib-packed; a reader that does not know the type may skip it."""

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
        require(len(self.model) == MODEL_BYTES, f"a model's name of {len(self.model)} bytes")
        require(1 <= self.quality <= QUALITIES, f"a quality of {self.quality}")
        require(TILES[0] <= self.tile <= TILES[1], f"a tile of {self.tile} positions a side")
        require(0 <= self.checksum < 2**32, f"a checksum of {self.checksum}")
        require(0 <= self.hyper_bits < 2**32, f"a hyper-latent of {self.hyper_bits} bits")


@dataclass(frozen=True)
class Container:
    """A compressed picture as it is in a file: in the learned form or, where `coded` is None, in the lossless one.

    height, width: 1..2^24 − 1 pixels. channels: 1 (grey) or 3 (colour). depth: 8 or 16 bits per sample.
    alpha: as `encode_alpha` gives it; icc, exif: as they are. Empty where there is none, in either form.
    range, correction: of the learned form only. The 16-bit values that stand for 0 and 1, None for all of them; and
    what `corrections.encode` gives, empty where errors have no bound.
    has_checksums: whether every stream has one of its own, for `vaetool.compression.salvaging`.
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
    coded: Coded | None = None
    stored: bytes = b""
    range: Range | None = None
    correction: bytes = b""
    has_checksums: bool = False

    def __post_init__(self) -> None:
        check_size(self.height, self.width)
        require(self.channels in (1, 3), f"a picture of {self.channels} channels")
        require(self.depth in (8, 16), f"a depth of {self.depth} bits")
        require(len(self.icc) <= MAX_SIDE_BYTES, "a colour profile of more than 16 MiB")
        require(len(self.exif) <= MAX_SIDE_BYTES, "EXIF data of more than 16 MiB")
        require(len(self.alpha) <= _most_lossless_bytes(self), f"a lossless alpha channel of {len(self.alpha)} bytes")
        require(len(self.stored) <= _most_lossless_bytes(self), f"a lossless picture of {len(self.stored)} bytes")
        require(len(self.correction) <= _most_lossless_bytes(self), f"a correction of {len(self.correction)} bytes")
        require(not (self.stored and self.coded), "a picture in both forms")
        if self.range is not None:
            fits = self.depth == 16 and 0 <= self.range.low < self.range.high < 2**16
            require(fits, f"a range of {self.range.low}..{self.range.high} at {self.depth} bits")
        require(bool(self.coded) or not (self.range or self.correction), "a range or correction of a lossless picture")
        if self.coded is not None:
            cut = self.height, self.width, self.coded.tile
            streams = self.coded.streams
            require(len(streams) == tile_count(*cut), f"{len(streams)} streams for {tile_count(*cut)} tiles")
            for stream, sides in zip(streams, tiles(*cut), strict=True):
                require(len(stream) <= _most_stream_bytes(sides), f"a stream of {len(stream)} bytes")


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
    """Encode a picture's pixels, hidden ones too, for `Container.stored`; alpha, ICC and EXIF have their own places."""
    return lossless.encode(picture.pixels)


def decode_stored(container: Container) -> Picture:
    """Return the whole picture in a container of the lossless form. Raises ImageError as `decode_alpha` does."""
    shape = container.height, container.width, container.channels, container.depth
    pixels = lossless.decode(container.stored, *shape)
    alpha = decode_alpha(container.alpha, container.height, container.width, container.depth)
    return Picture(pixels, alpha, icc_profile=container.icc or None, exif=container.exif or None)


# Writing


def pack(container: Container, chunks: bytes | None = None) -> bytes:
    """Return the bytes of a `.vae` file. Raises ImageError if the picture is in neither form.

    chunks: those of `pack_chunks`, if another container with the same ICC, EXIF and alpha has given them already.
    """
    coded, stored = container.coded, container.stored
    require(bool(coded or stored), "a picture in neither form")
    bodies = (stored,) if coded is None else coded.streams
    lengths = (number(len(body)) for body in bodies)
    side = pack_chunks(container) if chunks is None else chunks
    head = b"".join([_header(container), side, _pixel_chunks(container)])
    if container.has_checksums:
        head += chunk(CHECKSUMS, b"".join(checksum(zlib.crc32(part)) for part in (head, *bodies)))
    data = b"".join([head, bytes([END]), *lengths, *bodies])
    return data + checksum(zlib.crc32(data))


def pack_chunks(container: Container) -> bytes:
    """Return ICC, EXIF and alpha as they are in a file. Slow where they are large."""
    side = ((ICC, container.icc), (EXIF, container.exif), (ALPHA, container.alpha))
    return b"".join(chunk(kind, payload) for kind, payload in side if payload)


def _pixel_chunks(container: Container) -> bytes:
    """Return the range and the correction of coded pixels as they are in a file."""
    values = container.range
    span = b"" if values is None else number(int(values.low)) + number(int(values.high))
    chunks = ((RANGE, span), (CORRECTION, container.correction))
    return b"".join(chunk(kind, payload) for kind, payload in chunks if payload)


def sizes(container: Container, size: int) -> dict[str, int]:
    """Return how many bytes of a file of `size` bytes each part takes: header, side_information, streams, stored.

    Side information is what goes with the pixels (ICC, EXIF, alpha), and the lengths of what follows.
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


def chunk(kind: int, payload: bytes) -> bytes:
    """Return a chunk as it is in a file."""
    packed = zlib.compress(payload, 9) if kind in (ICC, EXIF) else payload
    if len(packed) < len(payload):
        kind, payload = kind | PACKED, packed
    return bytes([kind]) + number(len(payload)) + payload


def require(condition: bool, what: str) -> None:
    """Raise ImageError, naming what does not fit, unless a condition holds."""
    if not condition:
        raise ImageError(f"{what} does not fit a .vae file")


def check_size(height: int, width: int) -> None:
    """Raise ImageError for a picture of no or too many rows or columns."""
    fits = 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE
    require(fits, f"a picture of {width} x {height} pixels")


def tile_count(height: int, width: int, tile: int) -> int:
    """Return how many tiles a picture has, each of `tile` positions a side. Raises ImageError if there are too many."""
    count = prod(-(-positions(side) // tile) for side in (height, width))
    require(count <= MAX_TILES, f"a picture of {count} tiles")
    return count


def _most_stream_bytes(sides: tuple[slice, slice]) -> int:
    """Return the limit for the stream of a tile, whose sides are filled up to whole positions of the hyper-latent."""
    return prod(HYPER_STRIDE * hyper_positions(side.stop - side.start) for side in sides) * _BYTES_PER_POSITION


def _most_lossless_bytes(container: Container) -> int:
    """Return twice what all samples and the filters of PNG take, plus the little that a format adds."""
    return 18 * container.height * container.width + 2**16
