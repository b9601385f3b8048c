"""The container of compressed pictures: a `.vae` file, byte by byte. docs/format.md describes it in tables.

Anything larger than a file may hold is refused here; `vaetool.compression.unpacking` reads files.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from math import prod

import numpy as np

from vaetool.compression import chunks, lossless
from vaetool.compression.chunks import ALPHA, CHECKSUMS, CORRECTION, END, EXIF, ICC, RANGE, RESOLUTION, TEXTS, XMP
from vaetool.compression.fields import CHECKSUM_BYTES, checksum, number
from vaetool.compression.grid import HYPER_STRIDE, QUALITIES, hyper_positions, positions, tiles
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.metadata import MAX_BYTES, Dpi, Texts, are_texts, is_dpi
from vaetool.images.ranges import Range

SUFFIX = ".vae"
MAGIC = b"\x89VAE"  # the first byte is not ASCII, so that no text file begins like this
VERSION = 1
LEARNED, STORED = 0, 1
"""The two forms: coded by a model, or stored as a lossless picture."""

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
    hyper_bits: number of bits in the streams that the hyper-latent takes; informative only.
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
    """A compressed picture as stored in a file: in the learned form or, if `coded` is None, in the lossless one.

    height, width: 1..2^24 − 1 pixels. channels: 1 (grey) or 3 (colour). depth: 8 or 16 bits per sample.
    alpha: as returned by `encode_alpha`; icc, exif, xmp: raw bytes. Empty where there is none, in either form.
    dpi, texts: as in a `Picture`.
    range, correction: learned form only. The 16-bit values that stand for 0 and 1, None for the full range; and the
    result of `corrections.encode`, empty where errors are not bounded.
    has_checksums: whether every stream has its own checksum, for `vaetool.compression.salvaging`.
    stored: as returned by `encode_stored`; empty in the learned form.
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
    range: Range | None = None
    correction: bytes = b""
    has_checksums: bool = False

    def __post_init__(self) -> None:
        check_size(self.height, self.width)
        require(self.channels in (1, 3), f"a picture of {self.channels} channels")
        require(self.depth in (8, 16), f"a depth of {self.depth} bits")
        require(len(self.icc) <= MAX_BYTES, "a colour profile of more than 16 MiB")
        require(len(self.exif) <= MAX_BYTES, "EXIF data of more than 16 MiB")
        require(self.dpi is None or is_dpi(self.dpi), f"a resolution of {self.dpi}")
        require(len(self.xmp) <= MAX_BYTES, "XMP of more than 16 MiB")
        require(are_texts(self.texts), "a list of too many, too long or invalid texts")
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
    """Encode an alpha channel, (height, width) uint8 or uint16, as a lossless picture; empty if all is opaque."""
    if alpha is None or (alpha == np.iinfo(alpha.dtype).max).all():
        return b""
    return lossless.encode(alpha[..., None])


def decode_alpha(data: bytes, height: int, width: int, depth: int) -> np.ndarray | None:
    """Decode the alpha channel from `encode_alpha`; return None for no bytes.

    Raises ImageError if it claims another size, before anything is decoded, or if it is damaged.
    """
    return lossless.decode(data, height, width, 1, depth)[..., 0] if data else None


def encode_stored(picture: Picture) -> bytes:
    """Encode a picture's pixels, hidden ones too, for `Container.stored`; everything else has its own fields."""
    return lossless.encode(picture.pixels)


def decode_stored(container: Container) -> Picture:
    """Return the whole picture in a container of the lossless form. Raises ImageError as `decode_alpha` does."""
    shape = container.height, container.width, container.channels, container.depth
    return with_pixels(container, lossless.decode(container.stored, *shape))


# Everything but the pixels


def without_pixels(picture: Picture) -> Container:
    """Return a container with all that a file keeps of a picture except the pixels, in neither form yet."""
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
    """Return the picture of a container and its decoded pixels. Raises ImageError as `decode_alpha` does."""
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

    side: the result of `pack_chunks`, if known from a container that differs in its pixels only.
    """
    coded, stored = container.coded, container.stored
    require(bool(coded or stored), "a picture in neither form")
    bodies = (stored,) if coded is None else coded.streams
    lengths = (number(len(body)) for body in bodies)
    side = pack_chunks(container) if side is None else side
    head = b"".join([_header(container), side, _pixel_chunks(container)])
    if container.has_checksums:
        head += chunks.write_chunks({CHECKSUMS: b"".join(checksum(zlib.crc32(part)) for part in (head, *bodies))})
    data = b"".join([head, bytes([END]), *lengths, *bodies])
    return data + checksum(zlib.crc32(data))


def pack_chunks(container: Container) -> bytes:
    """Encode everything but the pixels for a file. Slow if large."""
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


def _pixel_chunks(container: Container) -> bytes:
    """Encode for a file what belongs to coded pixels."""
    return chunks.write_chunks({RANGE: chunks.encode_range(container.range), CORRECTION: container.correction})


def sizes(container: Container, size: int) -> dict[str, int]:
    """Return the bytes that each part of a file of `size` bytes takes: header, side_information, streams, stored.

    Side information means the chunks, everything else that accompanies the pixels, and the lengths of what follows.
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


def require(condition: bool, what: str) -> None:
    """Raise ImageError, naming what is wrong, unless a condition holds."""
    if not condition:
        raise ImageError(f"{what} does not fit a .vae file")


def check_size(height: int, width: int) -> None:
    """Raise ImageError for a picture with zero or too many rows or columns."""
    fits = 1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE
    require(fits, f"a picture of {width} x {height} pixels")


def tile_count(height: int, width: int, tile: int) -> int:
    """Return the number of tiles of a picture, of `tile` positions a side. Raises ImageError for too many."""
    count = prod(-(-positions(side) // tile) for side in (height, width))
    require(count <= MAX_TILES, f"a picture of {count} tiles")
    return count


def _most_stream_bytes(sides: tuple[slice, slice]) -> int:
    """Return the maximum length of a tile's stream, its sides rounded up to whole positions of the hyper-latent."""
    return prod(HYPER_STRIDE * hyper_positions(side.stop - side.start) for side in sides) * _BYTES_PER_POSITION


def _most_lossless_bytes(container: Container) -> int:
    """Return twice what all samples and the filters of PNG take, plus the little that a format adds."""
    return 18 * container.height * container.width + 2**16
