"""Sixteen bits a channel, in and out: what Pillow alone would halve."""

import io
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

import vaetool
from tests.images.samples import ORIENTATION, SRGB, camera_exif, chunk, drawn, png
from tests.images.test_reading import STORED
from vaetool import images
from vaetool.denoising.task import denoise_picture
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.ranges import Range, used_range


def sixteen(channels=3):
    """Samples that need all of their bits, (16, 24, channels)."""
    return np.random.default_rng(0).integers(0, 65536, (16, 24, channels), np.uint16)


def tiff(samples, **options):
    file = io.BytesIO()
    options = {"photometric": "rgb" if samples.ndim == 3 else "minisblack", "metadata": None} | options
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


@pytest.mark.parametrize(("colour_type", "channels"), [(2, 3), (6, 4), (4, 2)], ids=["RGB", "RGBA", "grey and alpha"])
def test_all_bits_of_a_png_are_read(colour_type, channels):
    samples = sixteen(channels)
    picture = images.read(png(samples, 16, colour_type))
    assert picture.warnings == ()
    colours = channels - (colour_type > 3)
    assert np.array_equal(picture.pixels, samples[:, :, :colours])
    assert (picture.alpha is None) == (colour_type == 2)
    if picture.alpha is not None:
        assert np.array_equal(picture.alpha, samples[:, :, colours])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "predictor": True},
        {"compression": "lzw"},
        {"planarconfig": "separate"},
        {"tile": (16, 16)},
        {"byteorder": ">"},
    ],
    ids=str,
)
def test_all_bits_of_a_tiff_are_read(options):
    samples = sixteen()
    stored = np.moveaxis(samples, 2, 0) if "planarconfig" in options else samples
    picture = images.read(tiff(np.ascontiguousarray(stored), **options))
    assert (picture.warnings, picture.format) == ((), "TIFF")
    assert np.array_equal(picture.pixels, samples)


def test_all_bits_of_a_ppm_are_read():
    samples = sixteen()
    data = b"P6\n# a scan\n24 16\n65535\n" + samples.astype(">u2").tobytes()
    assert np.array_equal(images.read(data).pixels, samples)


@pytest.mark.parametrize("header", [b"P6\n24 # width\n16\n65535\n", b"P6" + b" " * 60 + b"#\n24 16 #c\n#d\n65535\n"])
def test_all_bits_of_a_ppm_with_comments_are_read_at_once(header):
    samples = sixteen()
    picture = images.read(header + samples.astype(">u2").tobytes())
    assert (picture.warnings, np.array_equal(picture.pixels, samples)) == ((), True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_colours_that_are_multiplied_by_alpha_are_divided_by_it(channels, dtype):
    full = np.iinfo(dtype).max
    colours = np.full((16, 24, channels), round(0.8 * full))
    alpha = np.full((16, 24, 1), full // 2)
    alpha[:4] = 0
    stored = np.dstack([np.rint(colours * (alpha / full)), alpha]).astype(dtype)
    kind = "rgb" if channels == 3 else "minisblack"
    picture = images.read(tiff(stored, photometric=kind, planarconfig="contig", extrasamples=["assocalpha"]))
    assert picture.warnings == ()
    assert np.array_equal(picture.alpha, alpha[:, :, 0])
    assert np.abs(picture.pixels[4:].astype(int) - colours[4:]).max() <= 1
    assert not picture.pixels[:4].any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_channel_that_is_no_transparency_is_left_out_and_that_is_said(dtype):
    samples = sixteen(4).astype(dtype)
    picture = images.read(tiff(samples, extrasamples=["unspecified"]))
    assert np.array_equal(picture.pixels, samples[:, :, :3])
    assert picture.alpha is None
    assert picture.warnings == ("a channel that is neither colour nor transparency is left out",)


def test_transparency_is_found_among_other_channels():
    samples = sixteen(5)
    picture = images.read(tiff(samples, extrasamples=["unspecified", "unassalpha"]))
    assert np.array_equal(picture.alpha, samples[:, :, 4])
    assert picture.warnings == ("a channel that is neither colour nor transparency is left out",)


def test_a_ppm_of_ten_bits_is_scaled():
    picture = images.read(b"P6 2 1 1023\n" + np.array([0, 1, 2, 1023, 1023, 512], ">u2").tobytes())
    assert picture.pixels.ravel().tolist() == [0, 64, 128, 65535, 65535, 32800]


@pytest.mark.parametrize("orientation", STORED)
def test_sixteen_bits_are_upright_after_reading(orientation):
    upright = drawn(dtype=np.uint16)
    stored = np.ascontiguousarray(STORED[orientation](upright))
    picture = images.read(tiff(stored, extratags=[(ORIENTATION, "H", 1, orientation, True)]))
    assert np.array_equal(picture.pixels, upright)


def test_a_transparent_colour_of_sixteen_bits_hides_its_pixels():
    samples = sixteen()
    key = chunk(b"tRNS", samples[3, 4].astype(">u2").tobytes())
    data = png(samples, 16, 2)
    start = data.index(b"IDAT") - 4
    picture = images.read(data[:start] + key + data[start:])
    assert np.array_equal(picture.pixels, samples)
    assert np.argwhere(picture.alpha == 0).tolist() == [[3, 4]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_all_bits_are_written(file_format, alpha, channels):
    if alpha and file_format == "PPM":
        pytest.skip("no place for alpha")
    picture = Picture(sixteen(channels), sixteen(1)[:, :, 0] if alpha else None)
    again = images.read(images.encode(picture, file_format))
    assert np.array_equal(again.pixels, picture.pixels)
    assert (again.alpha is None) == (not alpha)
    assert not alpha or np.array_equal(again.alpha, picture.alpha)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_what_goes_with_sixteen_bits_is_kept(file_format):
    picture = Picture(sixteen(), icc_profile=SRGB, exif=camera_exif(1).tobytes(), dpi=(300, 300))
    data = images.encode(picture, file_format)
    again = images.read(data)
    assert (again.icc_profile, again.dpi) == (SRGB, pytest.approx((300, 300), abs=0.1))
    assert Image.open(io.BytesIO(data)).getexif()[ExifTags.Base.Make] == "Maker"
    stripped = images.read(images.encode(picture, file_format, strip=True))
    assert (stripped.icc_profile, stripped.exif) == (None, None)


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "BMP"])
def test_a_format_of_eight_bits_refuses_sixteen(file_format):
    with pytest.raises(ImageError, match=f"{file_format} holds 8 bits; write PNG or TIFF"):
        images.encode(Picture(sixteen()), file_format)


def test_a_damaged_file_of_sixteen_bits_is_an_image_error():
    data = png(sixteen(), 16, 2)
    with pytest.raises(ImageError):
        images.read(data[: len(data) // 2])


def test_a_pillow_image_gets_the_upper_eight_bits_and_says_so():
    with pytest.warns(UserWarning, match="of 16 bits, the upper 8 are kept"):
        image = images.to_pil(Picture(sixteen(), sixteen(1)[:, :, 0]))
    assert image.mode == "RGBA"
    assert np.abs(np.asarray(image)[:, :, :3] - sixteen() / 257).max() <= 0.51


# The largest value that there may be


def dark(channels=3):
    """Samples of 12 bits of which 9 are used."""
    return sixteen(channels) >> 7


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("code", [281, 341], ids=["MaxSampleValue", "SMaxSampleValue"])
def test_a_tiff_that_names_its_largest_value_keeps_it(channels, code):
    samples = dark(channels)
    data = tiff(samples if channels == 3 else samples[:, :, 0], extratags=[(code, "H", channels, (4095,) * channels)])
    picture = images.read(data)
    assert used_range(picture.pixels) == Range(0, 511)
    assert used_range(picture.pixels, picture.white) == Range(0, 4095)
    again = images.read(images.encode(picture, "TIFF"))
    assert (again.white, np.array_equal(again.pixels, samples)) == (4095, True)


@pytest.mark.parametrize("largest", [65535, 100, 0])
def test_a_largest_value_that_says_nothing_or_is_not_true_does_not_count(largest):
    picture = images.read(tiff(dark(), extratags=[(281, "H", 3, (largest,) * 3)]))
    assert used_range(picture.pixels, picture.white) == Range(0, 511)


def test_pages_have_largest_values_of_their_own():
    pages = (Picture(dark(), white=1023), Picture(dark(), white=4095))
    first = images.read(images.encode(replace(pages[0], pages=pages[1:]), "TIFF"), whole=True)
    assert [page.white for page in (first, *first.pages)] == [1023, 4095]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("shift", "found"), [(4, None), (0, Range(0, 4095))], ids=["scaled", "not scaled"])
def test_the_bits_that_count_in_a_png_are_told_from_the_range_that_they_are_scaled_to(channels, shift, found):
    samples = dark(channels) << shift
    data = png(samples, 16, 2 if channels == 3 else 0)
    data = data[:33] + chunk(b"sBIT", bytes([12] * channels)) + data[33:]
    picture = images.read(data)
    assert used_range(picture.pixels, picture.white) == found


def test_denoising_takes_the_largest_value_that_a_file_names(photographs, tiny_dae):
    model = vaetool.load(tiny_dae, device="cpu")
    pixels = np.asarray(photographs["china"]).astype(np.uint16) << 1
    pictures = Picture(pixels, white=4095), Picture(pixels << 4, white=65535), Picture(pixels)
    stated, scaled, guessed = (denoise_picture(model, picture)[1]["sigma"] for picture in pictures)
    assert stated == pytest.approx(scaled, rel=0.02)
    assert guessed > 4 * stated
