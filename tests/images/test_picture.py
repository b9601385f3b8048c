"""Pictures, and what stays when their pixels are replaced: `vaetool.images.picture`."""

import numpy as np
import pytest
from PIL import Image

from tests.images.samples import SRGB, drawn, saved
from vaetool import images
from vaetool.images import Picture


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((4, 4), np.uint8), None),
        (np.zeros((4, 4, 2), np.uint8), None),
        (np.zeros((4, 4, 3), np.float64), None),
        (np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5), np.uint8)),
        (np.zeros((4, 4, 1), np.uint8), np.zeros((4, 4), np.uint16)),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(pixels, alpha):
    with pytest.raises(ValueError, match="must be"):
        Picture(pixels, alpha)


def test_a_picture_knows_its_size():
    picture = Picture(drawn(16, 24))
    assert (picture.height, picture.width) == (16, 24)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("given_dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
def test_replaced_pixels_keep_the_dtype_and_are_scaled(dtype, given_dtype):
    full = 1 if np.issubdtype(given_dtype, np.floating) else np.iinfo(given_dtype).max
    new = np.array([[[0], [full]]], given_dtype)
    pixels = Picture(np.zeros((1, 2, 1), dtype)).replace_pixels(new).pixels
    assert pixels.dtype == dtype
    assert pixels.ravel().tolist() == [0, np.iinfo(dtype).max]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pixels_survive_as_floats(dtype):
    full = np.iinfo(dtype).max
    values = np.arange(full + 1, dtype=dtype).reshape(1, -1, 1)
    assert (Picture(values).replace_pixels(values.astype(np.float32) / full).pixels == values).all()


def test_8_bits_survive_as_16():
    values = np.arange(256, dtype=np.uint8).reshape(1, -1, 1)
    wide = Picture(values.astype(np.uint16)).replace_pixels(values).pixels
    assert (Picture(values).replace_pixels(wide).pixels == values).all()


def test_floats_out_of_range_are_clipped():
    picture = Picture(np.zeros((1, 4, 1), np.uint8))
    new = np.array([-0.1, 1.1, -np.inf, np.inf]).reshape(1, 4, 1)
    assert picture.replace_pixels(new).pixels.ravel().tolist() == [0, 255, 0, 255]


@pytest.mark.parametrize("new", [np.full((2, 2, 1), np.nan), np.zeros((2, 3, 1)), np.zeros((2, 2, 1), np.int64)])
def test_pixels_that_cannot_replace_the_old_ones_are_refused(new):
    with pytest.raises(ValueError, match="new pixels"):
        Picture(np.zeros((2, 2, 1), np.uint8)).replace_pixels(new)


def test_replacing_pixels_restores_the_hidden_ones():
    alpha = np.array([[0, 1, 255]], np.uint8)
    picture = Picture(np.full((1, 3, 3), 7, np.uint8), alpha).replace_pixels(np.ones((1, 3, 3)))
    assert picture.pixels[0, :, 0].tolist() == [7, 255, 255]


def test_pixels_that_are_the_same_make_no_new_picture():
    picture = images.read(saved(Image.fromarray(drawn()), "PNG"))
    same = drawn().astype(np.float32) / 255
    assert picture.replace_pixels(same) is picture
    assert picture.replace_pixels(drawn()[::-1]).origin is None


def test_replacing_pixels_keeps_all_else():
    kept = {
        "format": "WEBP",
        "icc_profile": SRGB,
        "exif": b"exif",
        "dpi": (72, 72),
        "xmp": b"xmp",
        "texts": (("Title", "A ramp"),),
        "warnings": ("a warning",),
    }
    new = Picture(drawn(), **kept).replace_pixels(drawn()[::-1])
    assert {name: getattr(new, name) for name in kept} == kept


def test_a_picture_without_what_is_about_it_keeps_its_resolution():
    picture = Picture(drawn(), icc_profile=SRGB, exif=b"exif", dpi=(72, 72), xmp=b"xmp", texts=(("Title", "A ramp"),))
    bare = picture.without()
    assert (bare.icc_profile, bare.exif, bare.xmp, bare.texts, bare.dpi) == (None, None, None, (), (72, 72))
    assert bare.pixels is picture.pixels


def test_hidden_colours_do_not_show_in_the_visible_pixels():
    pixels = np.full((9, 9, 3), 200, np.uint8)
    alpha = np.full((9, 9), 255, np.uint8)
    pixels[3:7, 2:8], alpha[3:7, 2:8] = 0, 0
    assert (Picture(pixels, alpha).visible_pixels() == 200).all()


def test_visible_pixels_are_the_pixels_when_nothing_is_hidden():
    picture = Picture(drawn(), np.full((16, 24), 1, np.uint8))
    assert picture.visible_pixels() is picture.pixels
