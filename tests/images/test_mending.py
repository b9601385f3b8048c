"""What is damaged beside the picture does not cost the picture: `vaetool.images.mending`."""

import io
import os
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.images.samples import SRGB, chunk, drawn, opened, png, saved
from vaetool import images
from vaetool.errors import ImageError


def damaged(name, data):
    """A chunk whose checksum does not fit."""
    return chunk(name, data)[:-4] + bytes(4)


def profile_chunk(profile):
    return chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile))


LARGE = SRGB + os.urandom(1_500_000)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_profile_of_more_than_a_megabyte_is_kept(depth):
    samples = drawn(dtype=np.uint16 if depth == 16 else np.uint8)
    picture = images.read(png(samples, depth, 2, profile_chunk(LARGE)))
    assert (picture.pixels == samples).all()
    assert (picture.icc_profile, picture.warnings) == (LARGE, ())
    assert images.read(images.encode(picture, "PNG")).icc_profile == LARGE


def test_a_profile_that_unpacks_to_far_more_is_left_out():
    picture = images.read(png(drawn(), 8, 2, profile_chunk(bytes(100 * 2**20))))
    assert (picture.pixels == drawn()).all()
    assert picture.icc_profile is None
    assert picture.warnings == ("damaged or too large metadata is left out (iCCP)",)


BESIDE = {
    "iCCP": b"profile\0\0" + zlib.compress(SRGB),
    "eXIf": b"II*\0\x08\0\0\0\0\0\0\0\0\0",
    "tEXt": b"Title\0words",
    "zTXt": b"Title\0\0" + zlib.compress(b"words"),
    "iTXt": b"Title\0\0\0\0\0words",
    "gAMA": struct.pack(">I", 45455),
    "pHYs": struct.pack(">IIB", 3000, 3000, 1),
    "tIME": bytes(7),
    "prVt": b"anything",
}


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("name", BESIDE)
def test_a_chunk_with_a_wrong_checksum_does_not_cost_the_picture(name, depth):
    samples = drawn(dtype=np.uint16 if depth == 16 else np.uint8)
    sound = chunk(b"tEXt", b"Author\0me")
    picture = images.read(png(samples, depth, 2, damaged(name.encode(), BESIDE[name]), sound))
    assert (picture.pixels == samples).all()
    assert picture.warnings == (f"damaged or too large metadata is left out ({name})",)
    assert picture.texts == (("Author", "me"),)


@pytest.mark.parametrize("name", ["iCCP", "zTXt", "pHYs", "gAMA"])
def test_a_chunk_that_is_cut_off_or_garbled_inside_does_not_cost_the_picture(name):
    for content in (BESIDE[name][:-3], BESIDE[name][:-4] + b"\xff" * 4, b""):
        assert (images.read(png(drawn(), 8, 2, chunk(name.encode(), content))).pixels == drawn()).all()


@pytest.mark.parametrize("name", [b"tRNS", b"PLTE"])
def test_a_damaged_chunk_of_the_picture_itself_is_an_error(name):
    with pytest.raises(ImageError, match="not a readable image"):
        images.read(png(drawn(), 8, 2, damaged(name, bytes(6))))


def test_the_file_that_is_mended_is_the_origin():
    picture = images.read(png(drawn(), 8, 2, damaged(b"tEXt", b"Title\0words")))
    assert (np.array(opened(picture.origin)) == drawn()).all()


# JPEG


def photo(height=240, width=320):
    """Something between a drawing and a photo."""
    image = Image.effect_noise((width, height), 30).convert("RGB")
    ImageDraw.Draw(image).ellipse((20, 30, 200, 180), fill=(200, 120, 40))
    return image


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0, "quality": 95}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_without_its_end_marker_is_whole(mode, options, missing):
    data = saved(photo().convert(mode), "JPEG", **options)
    picture, whole = images.read(data[:-missing]), images.read(data)
    assert (picture.pixels == whole.pixels).all()
    assert picture.warnings == ("the end of the file is missing; all of its pixels are there",)


def test_an_unchanged_jpeg_gets_its_end_back():
    data = saved(photo(), "JPEG")
    assert images.read(data[:-2]).origin == data


@pytest.mark.parametrize("missing", [10, 40])
def test_hardly_anything_missing_from_a_jpeg_is_said(missing):
    data = saved(photo(), "JPEG")
    picture = images.read(data[:-missing])
    different = (picture.pixels != images.read(data).pixels).any(axis=2).mean()
    assert 0 < different < 0.05
    assert "of its pixels are lost" in picture.warnings[0]


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 3}]
)
@pytest.mark.parametrize("share", [0.03, 0.1, 0.5, 0.9])
def test_a_jpeg_of_which_more_is_missing_is_refused(share, options):
    data = saved(photo(1200, 900), "JPEG", quality=90, **options)
    with pytest.raises(ImageError, match="truncated"):
        images.read(data[: int(share * len(data))])


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"restart_marker_rows": 1}, {"progressive": True}])
def test_how_much_of_a_jpeg_is_lost_is_told(options):
    data = saved(photo(1200, 900), "JPEG", quality=90, **options)
    picture = images.read(data[: int(0.985 * len(data))])
    lost = (picture.pixels != images.read(data).pixels).any(axis=2).mean()
    told = re.search(r"([\d.]+)% of its pixels are lost", picture.warnings[0])
    assert float(told[1]) / 100 == pytest.approx(lost, rel=0.1)


def test_a_progressive_jpeg_without_its_last_scans_is_refused():
    data = saved(photo(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    with pytest.raises(ImageError, match="truncated"):
        images.read(data[:last])


def test_a_limit_of_pixels_holds_for_what_is_mended():
    with pytest.raises(ImageError, match="max-pixels"):
        images.read(io.BytesIO(saved(photo(), "JPEG")[:-2]), max_pixels=1000)
