"""Damaged files of several tiles: what is whole comes back, what is lost is marked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import vaetool
from vaetool.compression.candidates import Candidates
from vaetool.compression.container import pack
from vaetool.compression.decode import decompress_picture
from vaetool.compression.encode import compress_picture
from vaetool.compression.unpacking import unpack
from vaetool.errors import ImageError
from vaetool.images import Picture

LIMIT = 10**9
FAR = 160  # pixels from a lost tile that are not changed


@pytest.fixture(scope="module")
def codec(tiny_codec):
    return vaetool.load(tiny_codec, device="cpu")


@pytest.fixture(scope="module")
def picture():
    """Two tiles of 1,024 pixels, the second one cut."""
    rows, columns = np.mgrid[:200, :1400]
    waves = 128 + 60 * np.sin(columns / 9) * np.cos(rows / 7) + columns / 25
    return Picture(np.dstack([waves, waves[::-1], 255 - waves]).astype(np.uint8))


@pytest.fixture(scope="module")
def data(codec, picture):
    return compress_picture(codec, picture)[0]


def damaged(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]


def start_of_streams(data: bytes) -> int:
    content = unpack(data, LIMIT)
    return len(data) - 4 - sum(map(len, content.coded.streams))


def test_an_undamaged_file_is_what_it_was(codec, data):
    found, facts = decompress_picture(data, codec, salvage=True)
    np.testing.assert_array_equal(found.pixels, decompress_picture(data, codec)[0].pixels)
    assert (found.warnings, "lost" in facts) == ((), False)


def test_tiles_of_a_file_of_bounded_errors_are_salvaged(codec):
    noise = np.random.default_rng(0).normal(0, 9, (48, 1056, 3))
    shades = np.linspace(60, 180, 1056)[None, :, None] + noise
    file = Candidates(codec, Picture(shades.astype(np.uint8)), strip=False).corrected(30, 12)
    places = decompress_picture(damaged(file.data, start_of_streams(file.data) + 20), codec, salvage=True)[1]["lost"]
    assert places == [(0, 0, 1024, 48)]


@pytest.mark.parametrize("lost", [0, 1])
def test_a_damaged_tile_is_marked_and_the_other_is_whole(codec, data, lost):
    streams = unpack(data, LIMIT).coded.streams
    place = start_of_streams(data) + (len(streams[0]) if lost else 0) + 20
    broken = damaged(data, place)
    with pytest.raises(ImageError, match="damaged"):
        decompress_picture(broken, codec)
    found, facts = decompress_picture(broken, codec, salvage=True)
    assert facts["lost"] == [[(0, 0, 1024, 200)], [(1024, 0, 376, 200)]][lost]
    assert found.warnings == ("damaged: 1 of 2 tiles are lost, and filled with grey squares",)
    whole = decompress_picture(data, codec)[0].pixels
    kept, marked = (slice(1024 + FAR, None), slice(0, 1024)) if lost == 0 else (slice(0, 1024 - FAR), slice(1024, None))
    assert np.abs(found.pixels[:, kept].astype(int) - whole[:, kept]).max() <= 1
    assert set(np.unique(found.pixels[:, marked])) == {int(0.35 * 255), int(0.65 * 255)}


def test_what_precedes_a_cut_is_whole_with_and_without_checksums(codec, data):
    """Files of earlier versions have no checksums of tiles."""
    content = unpack(data, LIMIT)
    assert content.has_checksums
    old = pack(replace(content, has_checksums=False))
    for file in (data, old):
        cut = file[: start_of_streams(file) + len(content.coded.streams[0]) + 5]
        assert decompress_picture(cut, codec, salvage=True)[1]["lost"] == [(1024, 0, 376, 200)]
    with pytest.raises(ImageError, match="checksum does not match"):
        decompress_picture(damaged(old, len(old) - 30), codec, salvage=True)


def test_bytes_after_the_end_do_no_harm(codec, data):
    assert "lost" not in decompress_picture(data + b"more", codec, salvage=True)[1]


def test_nothing_is_made_up_where_nothing_is_whole(codec, data):
    with pytest.raises(ImageError, match="nothing can be salvaged"):
        decompress_picture(damaged(data, 12), codec, salvage=True)
    with pytest.raises(ImageError, match="cut off"):
        decompress_picture(data[: start_of_streams(data) + 5], codec, salvage=True)
    with pytest.raises(ImageError, match="cut off"):
        decompress_picture(data[:30], codec, salvage=True)
    with pytest.raises(ImageError, match=r"not a \.vae file"):
        decompress_picture(b"GIF89a", codec, salvage=True)


def test_a_small_or_lossless_file_is_refused_as_before(codec, picture):
    small = Picture(picture.pixels[:64, :64])
    for data in (compress_picture(codec, small)[0], compress_picture(codec, Picture(np.zeros_like(picture.pixels)))[0]):
        assert not unpack(data, LIMIT).has_checksums
        with pytest.raises(ImageError, match="damaged"):
            decompress_picture(damaged(data, len(data) - 6), codec, salvage=True)


def test_a_tile_with_a_correction_is_salvaged_too(codec, picture):
    deep = Picture(picture.pixels.astype(np.uint16) * 16)
    content = unpack(compress_picture(codec, deep)[0], LIMIT)
    assert content.range is not None
    data = pack(content)
    found, facts = decompress_picture(damaged(data, len(data) - 30), codec, salvage=True)
    assert (len(facts["lost"]), found.pixels.dtype) == (1, np.uint16)
    assert np.abs(found.pixels[:, : 1024 - FAR].astype(int) - deep.pixels[:, : 1024 - FAR]).mean() < 16 * 40
