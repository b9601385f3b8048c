"""Sixteen bits a channel, in and out: what Pillow alone would halve."""

import io

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from tests.images.samples import ORIENTATION, SRGB, camera_exif, chunk, drawn, png
from tests.images.test_reading import STORED
from vaetool import images
from vaetool.errors import ImageError
from vaetool.images import Picture


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
