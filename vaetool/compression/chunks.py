"""The chunks of a `.vae` file: everything that belongs to a picture besides its pixels. docs/format.md lists them.

Types below 128 must be understood, and make a file unreadable if they are not sound. Those above may be ignored: a
reader of an earlier version does not know them, so a damaged one counts as absent.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from vaetool.compression.fields import Reader, number
from vaetool.errors import ImageError
from vaetool.images.metadata import MAX_BYTES, MAX_TEXTS, Dpi, Texts, are_texts, is_dpi
from vaetool.images.ranges import Range

MAX_CHUNKS = 64
END, ICC, EXIF, ALPHA, RANGE, CORRECTION = 0, 1, 2, 3, 4, 5
RESOLUTION, XMP, TEXTS, CHECKSUMS = 128, 129, 130, 131
PACKED, IGNORABLE = 0x40, 0x80
"""Bits in the type of a chunk: its payload is zlib-packed; a reader that does not know the type may skip it."""

_PACKABLE = {ICC, EXIF, RESOLUTION, XMP, TEXTS}
_ESSENTIAL = {ICC, EXIF, ALPHA, RANGE, CORRECTION, ICC | PACKED, EXIF | PACKED}


class Chunk(NamedTuple):
    """A chunk as it lies in a file, before anything in it is trusted, unpacked or copied."""

    packed: bool
    payload: memoryview


def write_chunks(payloads: Mapping[int, bytes]) -> bytes:
    """Encode chunks, given payloads by type; empty ones are left out. Slow if large."""
    return b"".join(_chunk(kind, payload) for kind, payload in payloads.items() if payload)


def read_chunks(file: Reader) -> dict[int, Chunk]:
    """Read the list of chunks of a file, by their types without `PACKED`. Raises ImageError if it is not sound."""
    chunks: dict[int, Chunk] = {}
    for _ in range(MAX_CHUNKS + 1):
        kind = file.byte()
        if kind == END:
            return chunks
        payload = file.take(file.number())
        known = kind & ~PACKED if kind & ~PACKED in _PACKABLE else kind
        if not kind & IGNORABLE:
            _check(kind, payload, again=known in chunks)
        chunks.setdefault(known, Chunk(kind != known, payload))
    raise ImageError(f"damaged: it has more than {MAX_CHUNKS} chunks")


def payload_of(chunks: Mapping[int, Chunk], kind: int) -> bytes:
    """Return the unpacked payload of the chunk of a type, empty if there is none.

    Raises ImageError if it cannot be unpacked, or only to more than 16 MiB; an ignorable one counts as absent then.
    """
    if kind not in chunks:
        return b""
    packed, payload = chunks[kind]
    try:
        data = _unpacked(payload) if packed else bytes(payload)
    except ImageError:
        if kind & IGNORABLE:
            return b""
        raise
    return b"" if kind & IGNORABLE and len(data) > MAX_BYTES else data


def encode_resolution(dpi: Dpi | None) -> bytes:
    """Encode pixels per inch as a payload: across and down, or one number if they are equal; empty for None."""
    values = dict.fromkeys(dpi or ())
    return struct.pack(f"<{len(values)}d", *values)


def decode_resolution(payload: bytes) -> Dpi | None:
    """Decode a payload of `encode_resolution`; return None for anything else."""
    if len(payload) not in (8, 16):
        return None
    values = struct.unpack(f"<{len(payload) // 8}d", payload)
    dpi = values[0], values[-1]
    return dpi if is_dpi(dpi) else None


def encode_range(values: Range | None) -> bytes:
    """Encode a range as a payload, empty for None."""
    return b"" if values is None else number(int(values.low)) + number(int(values.high))


def decode_range(payload: bytes) -> Range | None:
    """Decode a payload of `encode_range`. Raises ImageError for anything else."""
    if not payload:
        return None
    file = Reader(payload)
    low, high = file.number(), file.number()
    if file.left:
        raise ImageError("a range of more than two numbers does not fit a .vae file")
    return Range(low, high)


def encode_texts(texts: Texts) -> bytes:
    """Encode keywords and texts as a payload: UTF-8, with a zero byte after each."""
    return b"".join(part.encode() + b"\0" for pair in texts for part in pair)


def decode_texts(payload: bytes) -> Texts:
    """Decode a payload of `encode_texts`; return no texts for anything else."""
    if payload.count(b"\0") > 2 * MAX_TEXTS:  # objects take far more memory than the bytes that they are made of
        return ()
    try:
        *parts, end = payload.decode().split("\0")
    except UnicodeDecodeError:
        return ()
    if end or len(parts) % 2:
        return ()
    texts = tuple(zip(parts[::2], parts[1::2], strict=True))
    return texts if are_texts(texts) else ()


def _chunk(kind: int, payload: bytes) -> bytes:
    packed = zlib.compress(payload, 9) if kind in _PACKABLE else payload
    if len(packed) < len(payload):
        kind, payload = kind | PACKED, packed
    return bytes([kind]) + number(len(payload)) + payload


def _check(kind: int, payload: memoryview, again: bool) -> None:
    if kind not in _ESSENTIAL:
        raise ImageError(f"holds a chunk of type {kind}, which must not be ignored; a newer vaetool may know it")
    if again:
        raise ImageError(f"a second chunk of type {kind} does not fit a .vae file")
    if not payload:
        raise ImageError(f"an empty chunk of type {kind} does not fit a .vae file")


def _unpacked(payload: memoryview) -> bytes:
    if len(payload) > MAX_BYTES:  # packed data is smaller than unpacked
        raise ImageError("damaged: its colour profile or EXIF data is larger than 16 MiB")
    unzip = zlib.decompressobj()
    try:
        data = unzip.decompress(payload, MAX_BYTES + 1)  # one more, to see whether that is the end
    except zlib.error:
        raise ImageError("damaged: its colour profile or EXIF data cannot be unpacked") from None
    if len(data) > MAX_BYTES:
        raise ImageError("damaged: its colour profile or EXIF data is larger than 16 MiB")
    if not unzip.eof or unzip.unused_data:
        raise ImageError("damaged: its colour profile or EXIF data cannot be unpacked")
    return data
