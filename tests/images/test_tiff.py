"""TIFF files beyond Pillow: pages, floating point, integers of other sizes."""

import io
import struct
import time

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from tests.images.samples import SRGB, camera_exif, drawn
from tests.images.test_depth import sixteen, tiff
from vaetool import images
from vaetool.errors import ImageError
from vaetool.images import Picture


def values(dtype=np.float32, channels=1):
    found = np.random.default_rng(0).normal(100, 20, (16, 24, channels)).astype(dtype)
    return found if channels > 1 else found[:, :, 0]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int32, np.uint32])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_of_any_range_are_read_if_the_whole_is_wanted(dtype, channels):
    stored = values(dtype, channels)
    picture = images.read(tiff(stored), whole=True)
    assert picture.pixels.dtype == np.float32
    assert np.array_equal(picture.pixels, np.atleast_3d(stored).astype(np.float32))


def test_values_below_zero_are_read_as_they_are():
    stored = values(np.int16) - 200
    assert np.array_equal(images.read(tiff(stored), whole=True).pixels[:, :, 0], stored)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_floats_are_refused_by_whoever_does_not_ask_for_them(dtype, channels):
    with pytest.raises(ImageError, match="which only denoise and compare take"):
        images.read(tiff(values(dtype, channels)))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_no_number_is_refused(bad):
    stored = values()
    stored[3, 4] = bad
    with pytest.raises(ImageError, match="not numbers"):
        images.read(tiff(stored), whole=True)


def test_integers_that_floats_cannot_hold_are_refused():
    with pytest.raises(ImageError, match="more than 24 bits"):
        images.read(tiff(values(np.uint32) + 2**25), whole=True)


def test_exif_that_is_not_read_is_named():
    file = io.BytesIO()
    Image.fromarray(values()).save(file, "TIFF", exif=camera_exif(1).tobytes())
    assert images.read(file.getvalue(), whole=True).warnings == ("the EXIF data is left out except for its texts",)
    assert images.read(tiff(values()), whole=True).warnings == ()


def test_exif_that_is_not_written_is_named():
    exif = camera_exif(1)
    picture = Picture(sixteen(), exif=exif.tobytes())
    assert images.left_out(picture, "TIFF") == "the EXIF data is left out except for its texts"
    assert images.left_out(picture, "TIFF", strip=True) is None
    assert images.left_out(picture, "PNG") is None
    texts = Image.Exif()
    texts[ExifTags.Base.Make] = "Maker"
    for kept in (Picture(sixteen(), exif=texts.tobytes()), Picture(drawn(), exif=exif.tobytes())):
        assert images.left_out(kept, "TIFF") is None


def stack(pages, **options):
    return tiff(np.stack(pages), photometric="minisblack", **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_all_pages_are_read_and_written(dtype):
    pages = [(values() + 10 * number).astype(dtype) for number in range(3)]
    picture = images.read(stack(pages), whole=True)
    assert picture.warnings == ()
    again = images.read(images.encode(picture, "TIFF"), whole=True)
    for found in (picture, again):
        assert len(found.pages) == 2
        for page, expected in zip((found, *found.pages), pages, strict=True):
            assert page.pixels.dtype == dtype
            assert np.array_equal(page.pixels[:, :, 0], expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_smaller_copies_are_no_pages(dtype):
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in (values().astype(dtype), values().astype(dtype) + 1):
            writer.write(page, metadata=None)
            writer.write(page[::2, ::2], subfiletype=1, metadata=None)
    picture = images.read(buffer.getvalue(), whole=True, single=True)
    assert [page.pixels.shape for page in (picture, *picture.pages)] == [(16, 24, 1)] * 2
    assert images.count_pages(buffer.getvalue()) == 2
    with tifffile.TiffWriter(buffer := io.BytesIO()) as writer:
        writer.write(values(np.uint8), metadata=None)
        writer.write(values(np.uint8)[::2, ::2], subfiletype=1, metadata=None)
    alone = images.read(buffer.getvalue(), single=True)
    assert (alone.pages, alone.warnings) == ((), ())


def test_each_page_keeps_what_goes_with_it():
    pages = (Picture(drawn(), icc_profile=SRGB, format="TIFF"), Picture(drawn(), dpi=(300, 300), format="TIFF"))
    whole = Picture(drawn(), format="TIFF", pages=pages)
    again = images.read(images.encode(whole, "TIFF"), whole=True)
    assert [page.icc_profile for page in (again, *again.pages)] == [None, SRGB, None]
    assert [page.dpi for page in (again, *again.pages)] == [None, None, (300, 300)]
    stripped = images.read(images.encode(whole, "TIFF", strip=True), whole=True)
    assert [page.icc_profile for page in (stripped, *stripped.pages)] == [None, None, None]


def test_pages_of_sixteen_bit_colour_are_read():
    file = tiff(sixteen())
    pages = [sixteen(), 65535 - sixteen()]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for page in pages:
            writer.write(page, photometric="rgb", metadata=None)
    picture = images.read(buffer.getvalue(), whole=True)
    assert np.array_equal(images.read(file).pixels, pages[0])
    assert [
        np.array_equal(page.pixels, expected) for page, expected in zip((picture, *picture.pages), pages, strict=True)
    ] == [True, True]


def test_without_asking_only_the_first_page_is_read_and_that_is_said():
    picture = images.read(stack([values(np.uint16)] * 3))
    assert (picture.pages, picture.warnings) == ((), ("several pages: only the first of 3 is used",))


def test_all_pages_count_for_the_limit():
    with pytest.raises(ImageError, match="3 pages of 24 x 16 pixels are more than the limit"):
        images.read(stack([values()] * 3), whole=True, max_pixels=1000)
    with pytest.raises(ImageError, match="3 pages of 24 x 16 pixels are more than the limit"):
        images.read(stack([values(np.uint8)] * 3), whole=True, max_pixels=1000)


def test_a_later_page_counts_for_the_limit_by_its_own_size():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for shape in ((2, 2), (100, 100)):
            writer.write(np.zeros(shape, np.uint8), photometric="minisblack", metadata=None)
    with pytest.raises(ImageError, match=r"2 pages .* are more than the limit"):
        images.read(buffer.getvalue(), whole=True, max_pixels=1000)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_pages_and_floats_are_never_dropped(file_format):
    with pytest.raises(ImageError, match=r"has 2 pages, and .* holds one; write TIFF"):
        images.encode(Picture(drawn(), pages=(Picture(drawn()),)), file_format)
    with pytest.raises(ImageError, match="which only TIFF keeps"):
        images.encode(Picture(np.zeros((4, 4, 1), np.float32)), file_format)


def test_more_dimensions_on_a_page_are_refused():
    with pytest.raises(ImageError, match="dimensions"):
        images.read(tiff(np.zeros((4, 16, 24), np.float32), photometric="minisblack", volumetric=True), whole=True)


def test_a_truncated_stack_is_an_image_error():
    data = stack([values()] * 3)
    for length in (200, len(data) // 2, 3 * len(data) // 4):
        with pytest.raises(ImageError):
            images.read(data[:length], whole=True)


def many_pages(count):
    """A file of so many pages of one pixel, which is the same one."""
    tags = [(256, 3, 1), (257, 3, 1), (258, 3, 8), (259, 3, 1), (262, 3, 1), (273, 4, 4), (278, 3, 1), (279, 4, 1)]
    body = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    places = [8 + (len(body) + 4) * (number + 1) for number in range(count - 1)]
    return b"II*\0" + struct.pack("<I", 8) + b"".join(body + struct.pack("<I", place) for place in [*places, 0])


def test_a_hundred_thousand_pages_are_refused_or_counted_at_once():
    data = many_pages(100_000)
    start = time.perf_counter()
    for options in ({"whole": True}, {"single": True}):
        with pytest.raises(ImageError, match="has 100000 pages, more than the limit of 10000; split it"):
            images.read(data, **options)
    assert images.read(data).warnings == ("several pages: only the first of 100000 is used",)
    assert time.perf_counter() - start < 10  # it was three minutes


def test_pages_within_the_limit_are_all_read():
    assert len(images.read(many_pages(200), whole=True).pages) == 199
