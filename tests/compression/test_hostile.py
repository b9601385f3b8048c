"""Files from strangers: whatever is in them, one clear line, at once, in little memory.

A checksum is no defence, as whoever makes a file can make it right: most files here have one that is.
"""

from __future__ import annotations

import contextlib
import math
import random
import struct
import sys
import time
import tracemalloc
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetool.compression.chunks import MAX_CHUNKS
from vaetool.compression.container import (
    Coded,
    Container,
    decode_alpha,
    decode_stored,
    encode_alpha,
    encode_stored,
    pack,
)
from vaetool.compression.decode import decompress_picture
from vaetool.compression.unpacking import unpack
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.metadata import MAX_BYTES, MAX_TEXTS

LIMIT = 10**9
MIB = 2**20
SECOND = 1.0

in_any_time = settings(deadline=None)

RAMP = np.tile(np.arange(24, dtype=np.uint8) * 10, (20, 1))
COLOURS = np.stack([RAMP, RAMP.T[:20, :20].repeat(2, axis=1)[:, :24], RAMP[::-1]], axis=2)

SMALL_FILES = {
    "learned": pack(
        Container(
            height=20,
            width=300,
            channels=3,
            depth=8,
            alpha=b"alpha",
            icc=b"profile " * 10,
            exif=b"Exif",
            dpi=(300.0, 299.9994),
            xmp=b"<x:xmpmeta/>" * 9,
            texts=(("Title", "A ramp"), ("Comment", "")),
            coded=Coded(b"modelid!", 60, 8, 0x12345678, 129, (b"first", b"", b"third")),
        )
    ),
    "stored": pack(
        Container(20, 24, 3, 8, encode_alpha(RAMP), b"profile " * 10, stored=encode_stored(Picture(COLOURS)))
    ),
    "deep": pack(Container(20, 24, 1, 16, stored=encode_stored(Picture(RAMP[..., None].astype(np.uint16) * 257)))),
}

every_small_file = pytest.mark.parametrize("data", SMALL_FILES.values(), ids=list(SMALL_FILES))


def resealed(data: bytes) -> bytes:
    """With a checksum that is right, whatever is before it."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def number(value: int) -> bytes:
    """LEB128."""
    data = b""
    while value > 127:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def learned_file(
    height: int = 20,
    width: int = 24,
    *,
    samples: int = 0x13,
    quality: int = 50,
    tile: int = 64,
    chunks: bytes = b"\0",
    rest: bytes = b"\x01s",
) -> bytes:
    """A file with a checksum that is right, made without what is tested."""
    start = b"\x89VAE\x01\x00" + number(height) + number(width) + bytes([samples])
    return resealed(start + b"modelid!" + bytes([quality, tile]) + bytes(4) + b"\x05" + chunks + rest + bytes(4))


def stored_file(height: int, width: int, rest: bytes, *, samples: int = 0x13, chunks: bytes = b"\0") -> bytes:
    """Of the lossless form."""
    start = b"\x89VAE\x01\x01" + number(height) + number(width) + bytes([samples])
    return resealed(start + chunks + rest + bytes(4))


def chunk(kind: int, payload: bytes) -> bytes:
    return bytes([kind]) + number(len(payload)) + payload


@contextlib.contextmanager
def costing_at_most(memory: int):
    """What runs inside makes no objects that take more than so many bytes at once."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= memory


def refused_at_once(data: bytes, reason: str, *, memory: int = MIB, max_pixels: int = LIMIT) -> None:
    start = time.process_time()  # of this process alone: a busy machine is no failure
    with pytest.raises(ImageError, match=reason):
        unpack(data, max_pixels)
    assert time.process_time() - start <= SECOND
    with costing_at_most(memory), pytest.raises(ImageError, match=reason):  # which would slow it down
        unpack(data, max_pixels)


def decoded(data: bytes) -> None:
    """All that can be done with a file without a model."""
    container = unpack(data, LIMIT)
    assert unpack(pack(container), LIMIT) == container
    if container.stored:
        decode_stored(container)
    else:
        decode_alpha(container.alpha, container.height, container.width, container.depth)


# Damage


@every_small_file
def test_every_flipped_bit_is_noticed(data):
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(ImageError):
            unpack(bytes(flipped), LIMIT)


@every_small_file
def test_a_flipped_bit_in_a_payload_is_called_damage(data):
    flipped = data[:-9] + bytes([data[-9] ^ 4]) + data[-8:]
    with pytest.raises(ImageError, match=r"^damaged: the file's checksum does not match$"):
        unpack(flipped, LIMIT)


@every_small_file
def test_every_file_that_is_cut_off_is_said_to_be(data):
    for length in range(len(data)):
        with pytest.raises(ImageError, match=r"^cut off$" if length >= 4 else r"^not a \.vae file$"):
            unpack(data[:length], LIMIT)


@every_small_file
@pytest.mark.parametrize("more", [b"\0", b"more", bytes(1000)], ids=len)
def test_bytes_after_the_end_are_refused(data, more):
    with pytest.raises(ImageError, match=f"^damaged: {len(more)} bytes follow its end$"):
        unpack(data + more, LIMIT)


@pytest.mark.parametrize("data", [b"", b"\x89", b"VAE", b"\x89PNG\r\n\x1a\n", b"\xff" * 100, bytes(100)], ids=repr)
def test_what_is_no_file_of_ours_is_said_to_be_none(data):
    with pytest.raises(ImageError, match=r"^not a \.vae file$"):
        unpack(data, LIMIT)


def test_damage_is_named_before_what_follows_from_it():
    data = bytearray(SMALL_FILES["learned"])
    data[data.index(b"\x3c\x08")] = 0  # a quality of 0
    with pytest.raises(ImageError, match=r"^damaged: the file's checksum"):
        unpack(bytes(data), LIMIT)
    with pytest.raises(ImageError, match=r"^a quality of 0 does not fit"):
        unpack(resealed(bytes(data)), LIMIT)


# Lies about sizes


def test_the_files_made_here_are_right_where_nothing_is_wrong():
    container = unpack(learned_file(), LIMIT)
    assert container == Container(20, 24, 3, 8, coded=Coded(b"modelid!", 50, 64, 0, 5, (b"s",)))
    assert unpack(stored_file(1, 2, b"\x03png"), LIMIT) == Container(1, 2, 3, 8, stored=b"png")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (learned_file(height=0), "0 pixels does not fit"),
        (learned_file(width=0), "0 x 20 pixels does not fit"),
        (learned_file(height=2**24), "pixels does not fit"),
        (learned_file(width=2**32 - 1), "pixels does not fit"),
        (learned_file(height=2**24 - 1, width=2**24 - 1), "is more than the limit of 1000000000; raise --max-pixels"),
        (learned_file(samples=0x10), "0 channels does not fit"),
        (learned_file(samples=0x14), "4 channels does not fit"),
        (learned_file(samples=0x03), "0 bits does not fit"),
        (learned_file(samples=0xF3), "120 bits does not fit"),
        (learned_file(quality=0), "quality of 0 does not fit"),
        (learned_file(quality=101), "quality of 101 does not fit"),
        (learned_file(tile=0), "tile of 0 positions"),
        (learned_file(tile=3), "tile of 3 positions"),
        (learned_file(height=2000), "cut off"),  # two streams are expected then: the second one's length is missing
        (learned_file(rest=b"\x00\x00"), "damaged"),  # the length of a stream too many
        (learned_file(rest=b"\xff\xff\xff\xff\x0f"), "cut off"),  # 4 GiB
        (learned_file(rest=b"\xff\xff\xff\xff\x1f"), "number in it"),  # more than 32 bits
        (learned_file(rest=b"\x80\x00"), "number in it"),  # 0 in two bytes
        (learned_file(rest=b"\x80\x80\x80\x80\x80\x01"), "number in it"),
        (learned_file(height=1, width=2**24 - 1, tile=4), "262144 tiles does not fit"),
        (learned_file(height=1, width=2**22, tile=4), "cut off"),  # 65,536 streams, of which none is there
        (stored_file(1, 1, b"\x00"), "empty picture does not fit"),
        (stored_file(1, 1, b"\xff\xff\xff\xff\x0f"), "cut off"),
        (stored_file(1, 1, number(70_000) + bytes(70_000)), "picture of 70000 bytes does not fit"),
    ],
)
def test_sizes_that_cannot_be_are_refused_at_once(data, reason):
    refused_at_once(data, reason)


def test_a_picture_above_the_limit_is_refused_by_its_header_alone():
    data = learned_file(height=1000, width=1000)
    assert unpack(data, max_pixels=1000**2).width == 1000
    refused_at_once(data, "^1000 x 1000 pixels is more than the limit of 999999; raise", max_pixels=1000**2 - 1)


def test_a_stream_larger_than_its_tile_can_need_is_refused():
    most = 4096 * 4 * 4  # of 2 x 2 positions
    assert len(unpack(learned_file(rest=number(most) + bytes(most)), LIMIT).coded.streams[0]) == most
    refused_at_once(learned_file(rest=number(most + 1) + bytes(most + 1)), f"stream of {most + 1} bytes does not fit")


# Chunks


@pytest.mark.parametrize(
    ("chunks", "reason"),
    [
        (chunk(1, b""), "empty chunk of type 1 does"),
        (chunk(1, b"a") + chunk(1, b"b"), "second chunk of type 1 does"),
        (chunk(2, b"a") + chunk(0x42, zlib.compress(b"b")), "second chunk of type 66 does"),
        (chunk(0x43, zlib.compress(b"alpha")), "chunk of type 67, which must not be ignored"),
        (chunk(0x41, b"not zlib"), "cannot be unpacked"),
        (chunk(0x41, zlib.compress(b"profile" * 9)[:-1]), "cannot be unpacked"),
        (chunk(0x41, zlib.compress(b"profile" * 9) + b"!"), "cannot be unpacked"),
        (chunk(3, bytes(18 * 20 * 24 + 2**16 + 1)), "alpha channel of 74177 bytes does not fit"),
        (chunk(0x85, b"") * (MAX_CHUNKS + 1), "more than 64 chunks"),
    ],
)
def test_chunks_that_no_file_should_have_are_refused(chunks, reason):
    refused_at_once(learned_file(chunks=chunks + b"\0"), reason)


def test_as_many_chunks_as_are_allowed_are_read():
    chunks = chunk(0x85, b"later") * (MAX_CHUNKS - 1) + chunk(1, b"ICC") + b"\0"
    assert unpack(learned_file(chunks=chunks), LIMIT).icc == b"ICC"


@pytest.mark.parametrize("kind", [0x41, 0x42], ids=["icc", "exif"])
@pytest.mark.parametrize("excess", [1, 100 * MIB])
def test_zip_bombs_are_refused(kind, excess):
    bomb = zlib.compress(bytes(MAX_BYTES + excess), 9)
    assert len(bomb) < MIB
    refused_at_once(learned_file(chunks=chunk(kind, bomb) + b"\0"), "larger than 16 MiB", memory=3 * MAX_BYTES)


def test_a_profile_as_large_as_is_allowed_is_no_bomb():
    profile = bytes(MAX_BYTES)
    assert unpack(learned_file(chunks=chunk(0x41, zlib.compress(profile)) + b"\0"), LIMIT).icc == profile


def test_much_that_unpacks_to_nothing_is_refused():
    nothing = b"\x78\x9c" + b"\x00\x00\x00\xff\xff" * (MAX_BYTES // 5 + 1)  # empty blocks
    refused_at_once(learned_file(chunks=chunk(0x41, nothing) + b"\0"), "larger than 16 MiB")


def unsound(payload: bytes) -> list[bytes]:
    """Chunks of a payload, packed in ways that are no zlib stream of it alone."""
    return [zlib.compress(payload)[:-1], zlib.compress(payload) + b"!", payload, b"", zlib.compress(b"")]


@pytest.mark.parametrize(
    "chunks",
    [
        *(chunk(128, payload) for payload in (b"", bytes(7), bytes(8), bytes(15), bytes(16), bytes(24), b"\xff" * 8)),
        *(chunk(128, struct.pack("<dd", *dpi)) for dpi in ((72, 1), (math.inf, 72), (72, math.nan), (-72, 72))),
        *(chunk(192, packed) for packed in unsound(struct.pack("<dd", 72, 72))),
        chunk(129, b""),
        chunk(129, bytes(MAX_BYTES + 1)),
        *(chunk(193, packed) for packed in unsound(b"<x:xmpmeta/>")),
        *(chunk(130, payload) for payload in (b"", b"\0", b"Title", b"Title\0", b"Title\0text", b"\0text\0")),
        *(chunk(130, payload) for payload in (b"Title\0\xff\0", b"Title\0text\0more", b"Title\0text\0\0\0")),
        chunk(130, b"k" * 80 + b"\0text\0"),
        chunk(130, "Łódź\0text\0".encode()),
        chunk(130, b"k\0\0" * (MAX_TEXTS + 1)),
        *(chunk(194, packed) for packed in unsound(b"Title\0text\0")),
        *(chunk(kind, zlib.compress(bytes(MAX_BYTES + 1), 9)) for kind in (192, 193, 194)),
        chunk(194, zlib.compress(b"k\0\0" * (MAX_BYTES // 3))),
        chunk(193, b"\x78\x9c" + b"\x00\x00\x00\xff\xff" * (MAX_BYTES // 5 + 1)),
    ],
    ids=lambda chunks: f"{chunks[0]}-{len(chunks)}",
)
def test_what_may_be_ignored_is_none_if_it_is_not_sound(chunks):
    """A reader of an earlier version takes the picture, whatever is there; so does this one, at once."""
    data = learned_file(chunks=chunks + b"\0")
    start = time.process_time()
    assert unpack(data, LIMIT) == unpack(learned_file(), LIMIT)
    assert time.process_time() - start <= SECOND
    with costing_at_most(3 * MAX_BYTES):
        unpack(data, LIMIT)


def test_the_first_of_two_chunks_that_may_be_ignored_counts():
    chunks = chunk(129, b"first") + chunk(193, zlib.compress(b"second")) + chunk(130, b"a\0") + chunk(130, b"a\0b\0")
    container = unpack(learned_file(chunks=chunks + b"\0"), LIMIT)
    assert (container.xmp, container.texts) == (b"first", ())


# Large files


LARGE = 100 * MIB


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "memory", "reason"),
    [
        (lambda: b"\x89VAE\x01\x00" + bytes(LARGE), MIB, "checksum does not match"),
        (lambda: b"\x89VAE\x01\x00" + b"\xff" * LARGE, MIB, "checksum does not match"),
        (lambda: learned_file(chunks=b"\x85\x00" * (LARGE // 2)), MIB, "more than 64 chunks"),
        (lambda: learned_file(2**20, 2**20, tile=4, rest=bytes(LARGE)), MIB, "268435456 tiles does not fit"),
        (lambda: learned_file(2**18, 2**18, rest=bytes(LARGE)), 40 * MIB, "damaged"),
        (lambda: stored_file(1, 1, number(LARGE) + bytes(LARGE)), LARGE + MIB, "picture of 104857600 bytes"),
    ],
    ids=["zeros", "ones", "chunks", "too-many-tiles", "many-tiles", "stored"],
)
def test_a_hundred_megabytes_of_nonsense_are_refused_at_once(make, memory, reason):
    data = make()
    refused_at_once(data, reason, memory=memory, max_pixels=2**62)


# Pictures inside


def png(height: int, width: int, *, depth: int = 8, colour_type: int = 0, samples: bytes = b"") -> bytes:
    """A PNG whose header claims this, whatever its samples are."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = part(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + part(b"IDAT", zlib.compress(samples)) + part(b"IEND", b"")


def webp(height: int, width: int) -> bytes:
    """The beginning of a lossless WebP."""
    sides = (width - 1 | height - 1 << 14).to_bytes(4, "little")
    return b"RIFF" + (22).to_bytes(4, "little") + b"WEBPVP8L" + (10).to_bytes(4, "little") + b"\x2f" + sides + bytes(5)


ROWS = b"\0" + bytes(24)
NOISE = random.Random(0).randbytes(25 * 20)


def test_the_pngs_made_here_are_read_where_nothing_is_wrong():
    np.testing.assert_array_equal(decode_alpha(png(20, 24, samples=ROWS * 20), 20, 24, 8), np.zeros((20, 24)))


@pytest.mark.parametrize("make", [png, webp])
@pytest.mark.parametrize(("height", "width"), [(20, 25), (21, 24), (24, 20), (1, 480), (16383, 16383)])
def test_an_alpha_picture_of_another_size_is_refused_before_it_is_decoded(make, height, width):
    with costing_at_most(MIB), pytest.raises(ImageError, match="has the wrong size"):
        decode_alpha(make(height, width), 20, 24, 8)


@pytest.mark.parametrize("make", [png, webp])
def test_a_stored_picture_of_another_size_is_refused_before_it_is_decoded(make):
    container = unpack(stored_file(20, 24, number(len(make(16000, 16000))) + make(16000, 16000)), LIMIT)
    with costing_at_most(MIB), pytest.raises(ImageError, match="has the wrong size"):
        decode_stored(container)


@pytest.mark.parametrize(
    "data",
    [
        png(20, 24, depth=16, samples=b"\0" + bytes(48) + (b"\0" + bytes(48)) * 19),
        png(20, 24, colour_type=4, samples=(b"\0" + bytes(48)) * 20),  # grey with alpha
        png(20, 24, colour_type=2, samples=(b"\0" + bytes(range(72))) * 20),
        encode_stored(Picture(COLOURS)),
    ],
    ids=["deeper", "with-alpha", "colour", "colour-as-encoded"],
)
def test_an_alpha_picture_of_another_kind_is_refused(data):
    with pytest.raises(ImageError, match="of the wrong kind"):
        decode_alpha(data, 20, 24, 8)


def test_an_alpha_picture_of_another_depth_is_refused():
    with pytest.raises(ImageError, match="of the wrong kind"):
        decode_alpha(encode_alpha(RAMP), 20, 24, 16)


@pytest.mark.parametrize(
    "data",
    [b"GIF89a" + bytes(50), b"\xff\xd8\xff" + bytes(50), b"RIFF\0\0\0\0WEBPVP8 " + bytes(50), b"P5 24 20 255 ", b"x"],
    ids=["gif", "jpeg", "lossy-webp", "pgm", "byte"],
)
def test_an_alpha_picture_of_another_format_is_refused(data):
    with pytest.raises(ImageError, match="has the wrong size"):
        decode_alpha(data, 20, 24, 8)


@pytest.mark.parametrize("data", [png(20, 24, samples=NOISE)[:200], encode_alpha(RAMP)[:-9]], ids=["png", "webp"])
def test_a_damaged_alpha_picture_is_one_clear_line(data):
    with pytest.raises(ImageError, match=r"^damaged: a lossless picture in it is not a readable image") as caught:
        decode_alpha(data, 20, 24, 8)
    assert "\n" not in str(caught.value)


# Everything else


def mutated(data: bytes, source: random.Random) -> bytes:
    """Changed in a few places as no chance would: sizes grown, parts left out, doubled or swapped; then resealed."""
    body = bytearray(data[:-4])
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        place = source.randrange(4, max(5, len(body)))
        length = source.choice((1, 1, 2, 5, 30))
        match source.randrange(6):
            case 0:
                body[place : place + 1] = bytes([source.randrange(256)])
            case 1:
                body[place : place + 1] = source.choice((b"\0", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff\x0f"))
            case 2:
                del body[place : place + length]
            case 3:
                body[place:place] = body[place : place + length]
            case 4:
                body[place:place] = source.randbytes(length)
            case 5:
                other = source.randrange(4, max(5, len(body)))
                body[place : place + length], body[other : other + length] = (
                    body[other : other + length],
                    body[place : place + length],
                )
    return resealed(bytes(body) + bytes(4))


def fuzz(seed: int, runs: int, seconds: float) -> tuple[int, int]:
    """Decode mutated files; how many, and how many of them were sound. Anything but ImageError is a failure."""
    source = random.Random(seed)
    files = list(SMALL_FILES.values())
    end = time.monotonic() + seconds
    sound = 0
    for run in range(runs):
        data = mutated(source.choice(files), source)
        try:
            with contextlib.suppress(ImageError):
                decoded(data)
                sound += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, run {run}: {data.hex()}") from error
        if time.monotonic() > end:
            return run + 1, sound
    return runs, sound


def test_mutations_raise_nothing_else_and_stay_small():
    with costing_at_most(4 * MIB):
        runs, sound = fuzz(seed=1, runs=2000, seconds=10)
    assert sound > runs // 100  # or nothing deep has been reached
    assert sound < runs


@pytest.mark.slow
def test_many_mutations_raise_nothing_else():
    runs, sound = fuzz(seed=time.time_ns(), runs=200_000, seconds=120)
    assert runs // 100 < sound < runs


@in_any_time
@given(st.binary(max_size=200))
def test_any_bytes_after_the_first_six_are_read_or_refused(rest):
    for form in (b"\0", b"\1"):
        with contextlib.suppress(ImageError):
            decoded(resealed(b"\x89VAE\x01" + form + rest + bytes(4)))


@in_any_time
@given(
    places=st.lists(st.tuples(st.integers(6, 10**6), st.integers(0, 255)), min_size=1, max_size=4),
    name=st.sampled_from(sorted(SMALL_FILES)),
)
def test_sealed_changes_of_bytes_are_read_or_refused(places, name):
    data = bytearray(SMALL_FILES[name])
    for place, value in places:
        data[6 + place % (len(data) - 10)] = value
    with contextlib.suppress(ImageError):
        decoded(resealed(bytes(data)))


# All the way to the picture


@pytest.fixture(autouse=True)
def _one_thread():
    """Threads that wait for each other on a busy machine spend the time of this process, which is measured here."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures(tiny_codec, photographs):
    """Files with all that there can be in one, and the codec that wrote them: an untrained one, which is fast."""
    import vaetool
    from vaetool.compression.encode import compress

    codec = vaetool.load(tiny_codec, device="cpu")
    china, flower = (np.asarray(photographs[name]) for name in ("china", "flower"))
    alpha = np.tile(np.linspace(0, 255, 160).astype(np.uint8), (107, 1))
    made = [
        (Picture(china), 20),
        (Picture(china), 90),
        (Picture(np.tile(flower, (1, 7, 1))[:40], icc_profile=b"\0" * 16 + b"RGB " + bytes(108)), 50),  # two tiles
        (Picture(flower[..., :1].copy(), alpha), 60),
        (Picture(flower.astype(np.uint16) * 257), 100),
    ]
    return [compress(picture, codec, quality=quality) for picture, quality in made], codec


def mutated_inside(data: bytes, others: list[bytes], source: random.Random) -> Container:
    """With a stream that no encoder wrote, or settings that were not those of the encoder."""
    content = unpack(data, LIMIT)
    assert content.coded is not None
    streams = list(content.coded.streams)
    place = source.randrange(len(streams))
    stream = bytearray(streams[place])
    cut = source.randrange(len(stream) + 1)
    change: dict[str, int] = {}
    match source.randrange(6):
        case 0:
            for _ in range(source.choice((1, 1, 8))):
                stream[source.randrange(len(stream))] ^= 1 << source.randrange(8)
        case 1:
            del stream[cut:]
        case 2:
            other = unpack(source.choice(others), LIMIT).coded
            assert other is not None
            stream[cut:] = source.choice(other.streams)[source.randrange(cut + 1) :]
        case 3:
            stream[cut:] = source.choice((b"\0", b"\xff", source.randbytes(1))) * source.randrange(200)
        case 4:
            stream[cut : cut + source.randrange(9)] = source.randbytes(source.randrange(9))
        case 5:
            change = {"quality": source.randint(1, 100)}
    streams[place] = bytes(stream)
    return replace(content, coded=replace(content.coded, streams=tuple(streams), **change))


def with_its_symbols_checksum(content: Container, codec) -> Container:
    """As a file whose maker lets it decode to the picture, whatever that is."""
    from vaetool.compression.entropy.coder import Decoder
    from vaetool.compression.entropy.latents import decode_latents
    from vaetool.compression.grid import tiles

    assert content.coded is not None
    exact, checksum = codec.exact(), 0
    for sides, stream in zip(
        tiles(content.height, content.width, content.coded.tile), content.coded.streams, strict=True
    ):
        decoder = Decoder(exact.tables, stream, checksum)
        decode_latents(exact.prior, content.coded.quality, *(side.stop - side.start for side in sides), decoder)
        checksum = decoder.checksum
    return replace(content, coded=replace(content.coded, checksum=checksum))


def timed_decompression(data: bytes, codec) -> tuple[float, bool]:
    """Seconds of this process, and whether a picture came of it."""
    sound = False
    start = time.process_time()
    with contextlib.suppress(ImageError):
        picture, _ = decompress_picture(data, codec, max_pixels=2**18)
        sound = picture.pixels.shape[2] in (1, 3)
    return time.process_time() - start, sound


def fuzz_pictures(pictures, seed: int, runs: int, seconds: float) -> tuple[int, int, float]:
    """Decompress mutated files; how many, how many of them to a picture, and the longest time that one took."""
    files, codec = pictures
    source = random.Random(seed)
    end = time.monotonic() + seconds
    sound, longest = 0, 0.0
    for run in range(runs):
        data = source.choice(files)
        try:
            if source.random() < 0.3:
                data = mutated(data, source)
            else:
                content = mutated_inside(data, files, source)
                data = pack(content)
                if source.random() < 0.5:
                    with contextlib.suppress(ImageError):
                        data = pack(with_its_symbols_checksum(content, codec))
            taken, made = timed_decompression(data, codec)
        except BaseException as error:  # panics of Rust are no Exceptions
            raise AssertionError(f"seed {seed}, run {run}: {data.hex()}") from error
        sound, longest = sound + made, max(longest, taken)
        if time.monotonic() > end:
            return run + 1, sound, longest
    return runs, sound, longest


def peak_memory() -> int:
    """Of this process so far, in bytes, with what tracemalloc does not see."""
    import resource  # POSIX alone has it

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


@pytest.mark.parametrize("tile", [16, 64])
def test_a_tiny_file_that_claims_a_huge_picture_is_refused_at_once(pictures, tile):
    files, codec = pictures
    coded = unpack(files[0], LIMIT).coded
    assert coded is not None
    count = math.ceil(14_000 / 16 / tile) ** 2
    data = pack(Container(14_000, 14_000, 3, 8, coded=replace(coded, tile=tile, streams=(b"",) * count)))
    assert len(data) < 4000
    start = time.process_time()
    with pytest.raises(ImageError, match="too short for a picture of its size"):
        decompress_picture(data, codec)
    assert time.process_time() - start <= SECOND


@pytest.mark.parametrize("quality", [1, 50, 100])
@pytest.mark.parametrize(("level", "side"), [(0, 1), (128, 64), (128, 700), (255, 130)])
def test_the_shortest_streams_that_we_write_are_long_enough(pictures, quality, level, side):
    _, codec = pictures
    pixels = np.full((side, side, 1), level, np.uint8)
    coded, _ = codec.encode_pixels(pixels, quality)
    assert codec.decode_pixels(coded, side, side, 1).shape == pixels.shape


@pytest.fixture(scope="module")
def bounded(photographs):
    """A 16-bit picture with alpha and bounded errors: it has a range, a correction and a checksum of each stream."""
    import vaetool
    from vaetool.compression.encode import compress

    codec = vaetool.load("photo-codec", device="cpu")
    pixels = np.asarray(photographs["china"])[:64, :96].astype(np.uint16) * 16
    alpha = np.tile(np.linspace(0, 65535, 96).astype(np.uint16), (64, 1))
    content = unpack(compress(Picture(pixels, alpha), codec, max_error=200), LIMIT)
    assert None not in (content.coded, content.range)
    assert b"" not in (content.correction, content.alpha)
    return content, codec


def with_zeros(content: Container) -> Container:
    assert content.coded is not None
    streams = tuple(bytes(len(stream)) for stream in content.coded.streams)
    return replace(content, coded=replace(content.coded, streams=streams))


@pytest.mark.parametrize("sealed", [False, True], ids=["", "each with a checksum"])
def test_streams_of_zeros_are_refused(bounded, sealed):
    content, codec = bounded
    data = pack(replace(with_zeros(content), has_checksums=sealed))
    for salvage in (False, True):
        with pytest.raises(ImageError, match=r"^damaged: its streams decode to different numbers from those encoded$"):
            decompress_picture(data, codec, salvage=salvage)


@pytest.mark.parametrize("quality", [1, 50, 100])
def test_streams_of_zeros_whose_maker_says_that_they_are_right_are_a_picture_of_numbers(bounded, quality):
    content, codec = bounded
    zeros = with_zeros(replace(content, correction=b""))
    zeros = replace(zeros, coded=replace(zeros.coded, quality=quality))
    picture, _ = decompress_picture(pack(with_its_symbols_checksum(zeros, codec)), codec)
    assert picture.pixels.min() < picture.pixels.max() <= content.range.high


@pytest.mark.parametrize("part", ["alpha", "correction"])
def test_other_parts_of_zeros_are_refused(bounded, part):
    content, codec = bounded
    data = pack(replace(content, **{part: bytes(len(getattr(content, part)))}))
    with pytest.raises(ImageError, match=r"^damaged: (a lossless picture in it|its correction) (is of|has) the wrong"):
        decompress_picture(data, codec)


def test_a_lossless_picture_of_zeros_is_refused():
    with pytest.raises(ImageError, match=r"^damaged: a lossless picture in it has the wrong size"):
        decompress_picture(pack(Container(20, 24, 3, 8, stored=bytes(500))))


def test_mutated_pictures_are_pictures_or_refused(pictures):
    runs, sound, longest = fuzz_pictures(pictures, seed=1, runs=100, seconds=60)
    assert 0 < sound < runs
    assert longest <= SECOND


@pytest.mark.slow
def test_many_mutated_pictures_are_pictures_or_refused(pictures):
    fuzz_pictures(pictures, seed=0, runs=50, seconds=60)
    before, seed = peak_memory(), time.time_ns()
    runs, sound, longest = fuzz_pictures(pictures, seed, runs=5000, seconds=420)
    print(f"{runs} files, {sound} of them pictures, {longest:.2f} s at most, {peak_memory() - before} more bytes")
    assert runs // 100 < sound < runs
    assert longest <= SECOND
    assert peak_memory() - before <= 200 * MIB
