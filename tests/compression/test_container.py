"""The container: what is packed comes out, in the bytes that docs/format.md says, and with few of them to spare."""

from __future__ import annotations

import io
import math
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from vaetool.compression.container import (
    MAX_TILES,
    Coded,
    Container,
    decode_alpha,
    decode_stored,
    encode_alpha,
    encode_stored,
    is_vae,
    pack,
    sizes,
    without_pixels,
)
from vaetool.compression.fields import number
from vaetool.compression.grid import tiles
from vaetool.compression.unpacking import unpack
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.metadata import MAX_BYTES, MAX_TEXTS

LIMIT = 10**9
MODEL = bytes.fromhex("0123456789abcdef")

in_any_time = settings(deadline=None)  # a busy machine is no failure

# Written by hand from docs/format.md: 20 x 300 pixels in tiles of 8 positions, so 2 x 19 positions and three tiles.
LEARNED_FILE = bytes.fromhex(
    "89564145 01 00"  # magic, version, learned form
    "14 ac02 13"  # height 20, width 300 in two bytes, colour at 8 bits
    "0123456789abcdef 3c 08 78563412 81 01"  # model, quality 60, tile 8, checksum, 129 bits of hyper-latent
    "01 03 49 43 43"  # a colour profile of three bytes, as it is
    "85 02 ff ff"  # a chunk of a type that does not exist yet and may be ignored
    "00"  # the end of the chunks
    "02 00 01"  # the lengths of the streams
    "aabb cc"  # the streams; the second is empty
    "22bcd78e"  # CRC-32 of all before
)
LEARNED = Container(
    height=20,
    width=300,
    channels=3,
    depth=8,
    icc=b"ICC",
    coded=Coded(MODEL, quality=60, tile=8, checksum=0x12345678, hyper_bits=129, streams=(b"\xaa\xbb", b"", b"\xcc")),
)


def resealed(data: bytes) -> bytes:
    """With a checksum that is right, whatever is before it."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def photo_of(height: int, width: int, *, stream: bytes = b"\x5a" * 4000, tile: int = 64) -> Container:
    """A colour photo without anything beside its pixels."""
    count = len(list(tiles(height, width, tile)))
    return Container(height, width, 3, 8, coded=Coded(MODEL, 50, tile, 0xDEADBEEF, 900, (stream,) * count))


def sizes_of(container: Container) -> dict[str, int]:
    """Of its file."""
    return sizes(container, len(pack(container)))


dots = st.floats(1, 1e8, exclude_min=True)
resolutions = st.none() | st.tuples(dots, dots)
latin = st.characters(min_codepoint=1, max_codepoint=255)
letters = st.characters(min_codepoint=1, exclude_categories=["Cs"])
texts_of_a_png = st.lists(st.tuples(st.text(latin, min_size=1, max_size=79), st.text(letters)), max_size=3).map(tuple)


@st.composite
def containers(draw):
    side = st.integers(1, 400) | st.integers(1, 5000)
    height, width, tile = draw(side), draw(side), draw(st.integers(4, 64))
    data = st.binary(max_size=64) | st.binary(min_size=1, max_size=8).map(lambda part: part * 300)
    channels, depth = draw(st.sampled_from([1, 3])), draw(st.sampled_from([8, 16]))
    alpha, icc, exif, xmp = draw(data), draw(data), draw(data), draw(data)
    dpi, texts = draw(resolutions), draw(texts_of_a_png)
    stored = draw(st.just(b"") | st.binary(min_size=1, max_size=300))
    coded = None
    if not stored:
        count = len(list(tiles(height, width, tile)))
        lengths = draw(st.lists(st.integers(0, 300), min_size=3, max_size=3))
        streams = tuple(bytes([number % 251]) * lengths[number % 3] for number in range(count))
        numbers = st.integers(0, 2**32 - 1)
        model = draw(st.binary(min_size=8, max_size=8))
        coded = Coded(model, draw(st.integers(1, 100)), tile, draw(numbers), draw(numbers), streams)
    return Container(height, width, channels, depth, alpha, icc, exif, dpi, xmp, texts, coded, stored)


# Round trips


@in_any_time
@given(containers())
def test_what_is_packed_comes_out(container):
    assert unpack(pack(container), LIMIT) == container


@in_any_time
@given(containers())
def test_sizes_add_up_to_the_file(container):
    parts = sizes_of(container)
    assert list(parts) == ["header", "side_information", "streams", "stored"]
    assert sum(parts.values()) == len(pack(container))
    assert min(parts.values()) >= 0
    assert parts["stored"] == len(container.stored)
    assert parts["streams"] == sum(len(stream) for stream in (container.coded.streams if container.coded else ()))


def test_sizes_are_those_of_the_file_whoever_wrote_it():
    """Which may have packed what is beside the pixels in another way."""
    content = replace(LEARNED, icc=b"", exif=b"text " * 200)
    plain = bytes([2]) + number(1000) + content.exif
    data = pack(content, plain)
    assert unpack(data, LIMIT) == content
    assert sizes(content, len(data))["side_information"] == len(plain) + 4
    assert sizes_of(content)["side_information"] < 100


def test_a_file_written_by_hand_from_the_format_page_is_read():
    assert resealed(LEARNED_FILE) == LEARNED_FILE
    assert unpack(LEARNED_FILE, LIMIT) == LEARNED


def test_the_example_on_the_format_page_is_this_file():
    page = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")
    example = page.partition("```text\n")[2].partition("```")[0]
    digits = [re.match(r"(?:[0-9a-f]{2} +)+", line).group() for line in example.splitlines()]
    assert bytes.fromhex("".join(digits)) == LEARNED_FILE


def test_the_bytes_of_a_file_are_those_of_the_format_page():
    assert pack(LEARNED) == resealed(LEARNED_FILE.replace(bytes.fromhex("8502ffff"), b""))


def test_the_lossless_form_is_as_the_format_page_says():
    container = Container(height=2, width=3, channels=1, depth=16, exif=b"E", stored=b"PNG")
    assert pack(container) == resealed(bytes.fromhex("89564145 01 01 02 03 21 02 01 45 00 03 504e47 00000000"))


def test_what_may_be_ignored_is_as_the_format_page_says():
    container = replace(LEARNED, icc=b"", dpi=(72.0, 300.5), xmp=b"<x/>", texts=(("Title", "Łódź"), ("é", "")))
    chunks = bytes.fromhex(
        "80 10 0000000000005240 0000000000c87240"  # 72 and 300.5
        "81 04 3c782f3e"
        "82 12 5469746c6500 c581c3b364c5ba00 c3a900 00"
    )
    learned = resealed(LEARNED_FILE.replace(bytes.fromhex("0103494343 8502ffff"), chunks))
    assert pack(container) == learned
    assert unpack(learned, LIMIT) == container
    same = resealed(
        learned.replace(bytes.fromhex("80 10 0000000000005240 0000000000c87240"), b"\x80\x08" + bytes(6) + b"\x52\x40")
    )
    assert pack(replace(container, dpi=(72.0, 72.0))) == same
    assert unpack(same, LIMIT).dpi == (72.0, 72.0)


def test_a_file_is_known_by_its_first_bytes():
    assert is_vae(pack(LEARNED)[:4])
    assert is_vae(pack(LEARNED))
    assert not any(is_vae(head) for head in (b"", b"\x89VA", b"\x89PNG\r\n\x1a\n", b"VAE\x89"))


# Size


def test_a_photo_in_one_tile_costs_34_bytes_beside_its_stream():
    photo = photo_of(512, 768)
    assert len(pack(photo)) == 4000 + 34
    assert sizes_of(photo) == {"header": 31, "side_information": 3, "streams": 4000, "stored": 0}


@in_any_time
@given(height=st.integers(1, 1024), width=st.integers(1, 1024), length=st.integers(0, 2**14 - 1))
def test_no_photo_in_one_tile_costs_more(height, width, length):
    assert len(pack(photo_of(height, width, stream=b"s" * length))) - length <= 34


def test_what_can_be_packed_smaller_is_and_what_cannot_is_not():
    plain = sizes_of(LEARNED)["side_information"]
    text = b"the same words again and again, " * 100
    assert sizes_of(replace(LEARNED, exif=text))["side_information"] < plain + 100
    noise = np.random.default_rng(0).bytes(1000)
    assert sizes_of(replace(LEARNED, exif=noise))["side_information"] == plain + 1 + 2 + 1000


# Tiles


@in_any_time
@given(height=st.integers(1, 3000), width=st.integers(1, 3000), tile=st.integers(4, 64))
def test_tiles_cover_every_position_once(height, width, tile):
    rows, columns = (height + 15) // 16, (width + 15) // 16
    seen = np.zeros((rows, columns), int)
    count = 0
    for part in tiles(height, width, tile):
        assert all(1 <= side <= tile for side in seen[part].shape)
        seen[part] += 1
        count += 1
    assert (seen == 1).all()
    assert count == -(-rows // tile) * -(-columns // tile)


# Later versions


def with_chunk(kind: int, payload: bytes = b"later") -> bytes:
    """`LEARNED`, with one more chunk before the end of its list."""
    data = pack(LEARNED)
    place = data.index(b"\x01\x03ICC")
    return resealed(data[:place] + bytes([kind, len(payload)]) + payload + data[place:])


@pytest.mark.parametrize("kind", [0x84, 0x85, 0xC3, 0xFF])
def test_an_unknown_chunk_that_may_be_ignored_is(kind):
    assert unpack(with_chunk(kind), LIMIT) == LEARNED
    assert unpack(with_chunk(kind, b""), LIMIT) == LEARNED


@pytest.mark.parametrize("kind", [0x06, 0x3F, 0x40, 0x43, 0x7F])
def test_an_unknown_chunk_that_must_not_be_ignored_is_refused(kind):
    with pytest.raises(ImageError, match=f"^holds a chunk of type {kind}, .*newer vaetool"):
        unpack(with_chunk(kind), LIMIT)


def test_another_version_is_refused_whatever_follows():
    with pytest.raises(ImageError, match=r"^is of format version 2; this vaetool reads 1$"):
        unpack(b"\x89VAE\x02 and then something else", LIMIT)


def test_another_form_is_refused_whatever_follows():
    with pytest.raises(ImageError, match=r"^is of form 2; this vaetool reads 0 and 1$"):
        unpack(b"\x89VAE\x01\x02 and then something else", LIMIT)


# What no file can hold


@pytest.mark.parametrize(
    "change",
    [
        {"height": 0},
        {"width": 2**24},
        {"channels": 2},
        {"channels": 4},
        {"depth": 12},
        {"icc": bytes(MAX_BYTES + 1)},
        {"exif": bytes(MAX_BYTES + 1)},
        {"xmp": bytes(MAX_BYTES + 1)},
        {"dpi": (1.0, 72.0)},
        {"dpi": (72.0, 1e9)},
        {"dpi": (math.nan, 72.0)},
        {"texts": (("", "no keyword"),)},
        {"texts": (("k" * 80, "a long keyword"),)},
        {"texts": (("Łódź", "not Latin-1"),)},
        {"texts": (("Title", "a\0zero"),)},
        {"texts": (("Title", "x" * MAX_BYTES),)},
        {"texts": (("Title", ""),) * (MAX_TEXTS + 1)},
        {"alpha": bytes(18 * 20 * 300 + 2**16 + 1)},
        {"stored": b"beside streams"},
        {"height": 5 * 128},  # needs more streams
    ],
    ids="-".join,
)
def test_what_no_file_can_hold_is_refused_before_it_is_written(change):
    with pytest.raises(ImageError, match=r"does not fit a \.vae file$"):
        replace(LEARNED, **change)


@pytest.mark.parametrize(
    "change",
    [
        {"model": b"short"},
        {"quality": 0},
        {"quality": 101},
        {"tile": 3},
        {"tile": 256},
        {"checksum": 2**32},
        {"hyper_bits": -1},
        {"streams": (b"",) * 2},
        {"streams": (b"", b"", bytes(4096 * 4 * 4 + 1))},  # of 2 x 3 positions
    ],
    ids="-".join,
)
def test_coded_pictures_that_no_file_can_hold_are_refused(change):
    with pytest.raises(ImageError, match=r"does not fit a \.vae file$"):
        replace(LEARNED, coded=replace(LEARNED.coded, **change))


def test_the_largest_that_fits_fits():
    streams = (bytes(4096 * 4 * 8), bytes(4096 * 4 * 8), bytes(4096 * 4 * 4))
    icc = np.random.default_rng(0).bytes(MAX_BYTES)
    largest = replace(
        LEARNED,
        icc=icc,
        exif=bytes(MAX_BYTES),
        dpi=(1e8, 1e8),
        xmp=icc[::-1],
        texts=(("Title", "x" * (MAX_BYTES - 7)),),
        coded=replace(LEARNED.coded, streams=streams),
    )
    assert unpack(pack(largest), LIMIT) == largest


def test_too_many_tiles_are_refused():
    side = 16 * 4 * MAX_TILES
    assert len(unpack(pack(photo_of(1, side, stream=b"", tile=4)), LIMIT).coded.streams) == MAX_TILES
    with pytest.raises(ImageError, match=f"^a picture of {MAX_TILES + 1} tiles does not fit"):
        photo_of(1, side + 1, stream=b"", tile=4)


def test_a_picture_in_neither_form_cannot_be_packed():
    with pytest.raises(ImageError, match="neither form"):
        pack(replace(LEARNED, coded=None))


# Lossless pictures


@st.composite
def pictures(draw):
    dtype = draw(st.sampled_from([np.uint8, np.uint16]))
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    pixels = draw(hnp.arrays(dtype, (height, width, draw(st.sampled_from([1, 3])))))
    alpha = draw(st.none() | hnp.arrays(dtype, (height, width)))
    return Picture(
        pixels,
        alpha,
        icc_profile=draw(st.none() | st.just(b"profile")),
        exif=draw(st.none() | st.just(b"E")),
        dpi=draw(resolutions),
        xmp=draw(st.none() | st.just(b"<x:xmpmeta/>")),
        texts=draw(texts_of_a_png),
    )


def opaque(picture: Picture) -> bool:
    return picture.alpha is None or bool((picture.alpha == np.iinfo(picture.alpha.dtype).max).all())


def stored(picture: Picture) -> Container:
    return replace(without_pixels(picture), stored=encode_stored(picture))


@in_any_time
@given(pictures())
def test_a_stored_picture_is_the_same_to_the_bit(picture):
    back = decode_stored(unpack(pack(stored(picture)), LIMIT))
    assert back.pixels.dtype == picture.pixels.dtype
    np.testing.assert_array_equal(back.pixels, picture.pixels)
    assert (back.alpha is None) == opaque(picture)
    if not opaque(picture):
        assert back.alpha.dtype == picture.alpha.dtype
        np.testing.assert_array_equal(back.alpha, picture.alpha)
    for name in ("icc_profile", "exif", "dpi", "xmp", "texts"):
        assert getattr(back, name) == getattr(picture, name)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_opaque_alpha_channel_takes_no_byte(dtype):
    assert encode_alpha(np.full((40, 30), np.iinfo(dtype).max, dtype)) == b""
    assert encode_alpha(None) == b""
    assert decode_alpha(b"", 40, 30, 8 * np.dtype(dtype).itemsize) is None


def test_a_lossless_picture_is_a_file_that_others_read(photographs):
    pixels = np.array(photographs["china"])
    data = encode_stored(Picture(pixels))
    with Image.open(io.BytesIO(data)) as image:
        assert image.format in {"PNG", "WEBP"}
        np.testing.assert_array_equal(np.array(image), pixels)


def test_the_smaller_file_is_taken(photographs):
    assert encode_stored(Picture(np.array(photographs["china"])))[:4] == b"RIFF"
    png = io.BytesIO()
    photographs["china"].save(png, "PNG")
    assert len(encode_stored(Picture(np.array(photographs["china"])))) < len(png.getvalue())


def test_a_side_that_webp_cannot_hold_is_no_obstacle():
    pixels = np.arange(3 * 16384, dtype=np.uint32).astype(np.uint8).reshape(16384, 1, 3)
    data = encode_stored(Picture(pixels))
    assert data[:4] == b"\x89PNG"
    np.testing.assert_array_equal(decode_stored(Container(16384, 1, 3, 8, stored=data)).pixels, pixels)


def test_a_soft_edge_is_kept_to_the_bit():
    alpha = np.tile(np.linspace(0, 255, 90).astype(np.uint8), (70, 1))
    data = encode_alpha(alpha)
    np.testing.assert_array_equal(decode_alpha(data, 70, 90, 8), alpha)
    assert len(data) < 300
