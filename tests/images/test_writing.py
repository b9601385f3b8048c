"""Pictures become image files and Pillow images, and what these cannot hold is refused: `vaetool.images.writing`."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image, JpegImagePlugin

from tests.images.samples import (
    CARRIERS,
    ORIENTATION,
    SRGB,
    camera_exif,
    chunk,
    drawn,
    grey_profile,
    opened,
    png,
    saved,
)
from vaetool import images
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture

# Pixels and alpha


shapes = st.tuples(
    st.sampled_from([(np.uint8, 1, False), (np.uint8, 1, True), (np.uint8, 3, False), (np.uint8, 3, True)])
    | st.just((np.uint16, 1, False)),
    st.tuples(st.integers(1, 12), st.integers(1, 12)),
)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP"])
@settings(max_examples=40, deadline=None)
@given(data=st.data(), shape=shapes)
def test_lossless_formats_give_every_bit_back(file_format, data, shape):
    (dtype, channels, has_alpha), size = shape
    pixels = data.draw(hnp.arrays(dtype, (*size, channels)))
    alpha = data.draw(hnp.arrays(dtype, size)) if has_alpha else None
    if file_format == "WEBP":  # it knows neither grey nor 16 bits
        pixels = np.repeat(pixels[..., :1], 3, axis=2).astype(np.uint8)
    again = images.read(images.encode(Picture(pixels, alpha), file_format))
    assert again.pixels.dtype == pixels.dtype
    assert (again.pixels == pixels).all()
    if file_format == "WEBP" and alpha is not None and (alpha == 255).all():
        assert again.alpha is None or (again.alpha == 255).all()
    else:
        assert (again.alpha is None) == (alpha is None)
        assert alpha is None or (again.alpha == alpha).all()


@pytest.mark.parametrize("file_format", ["BMP", "PPM"])
@pytest.mark.parametrize("channels", [1, 3])
def test_plain_formats_give_every_pixel_back(file_format, channels):
    pixels = drawn(channels=channels)
    assert (images.read(images.encode(Picture(pixels), file_format)).pixels == pixels).all()


def test_hidden_colours_survive_a_png_and_back():
    samples = np.dstack([drawn(), np.zeros((16, 24), np.uint8)])
    picture = images.read(saved(Image.fromarray(samples), "PNG"))
    again = images.read(images.encode(picture.replace_pixels(np.zeros((16, 24, 3))), "PNG"))
    assert (again.pixels == drawn()).all()


def test_visible_pixels_may_have_the_transparent_value_of_16_bit_grey():
    samples = np.array([[[5], [5], [900]]])
    picture = images.read(png(samples, 16, 0, chunk(b"tRNS", struct.pack(">H", 5))))
    new = picture.replace_pixels(np.full((1, 3, 1), 5, np.uint16))  # the visible pixel gets the transparent value
    again = images.read(images.encode(new, "PNG"))
    assert again.alpha.ravel().tolist() == [0, 0, 65535]
    assert again.pixels.ravel().tolist() == [5, 5, 5]


@pytest.mark.parametrize("file_format", ["JPEG", "BMP", "PPM"])
def test_transparency_in_a_format_without_it_is_refused_with_advice(file_format):
    picture = Picture(drawn(), np.zeros((16, 24), np.uint8))
    with pytest.raises(ImageError, match=f"{file_format} holds no transparency; write PNG or WebP"):
        images.encode(picture, file_format)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("visible", [0, 1, 777, 65535])
def test_transparency_of_16_bit_grey_is_kept_to_the_bit(file_format, visible):
    alpha = np.full((16, 24), visible, np.uint16)
    alpha[:8] = 0
    pixels = drawn(channels=1, dtype=np.uint16)
    pixels[0, 0] = pixels[12, 3]  # a hidden and a visible pixel of one value
    again = images.read(images.encode(Picture(pixels, alpha), file_format))
    assert (again.pixels == pixels).all()
    assert (again.alpha == alpha).all()


def test_16_bit_transparency_in_a_format_without_it_is_refused_with_advice():
    picture = Picture(drawn(channels=1, dtype=np.uint16), np.zeros((16, 24), np.uint16))
    with pytest.raises(ImageError, match="PPM holds no transparency; write PNG or TIFF"):
        images.encode(picture, "PPM")


def test_alpha_that_hides_nothing_is_no_reason_to_refuse():
    picture = Picture(drawn(), np.full((16, 24), 255, np.uint8))
    assert images.read(images.encode(picture, "JPEG")).alpha is None


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF", "BMP"])
def test_16_bit_grey_in_an_8_bit_format_is_refused_with_advice(file_format):
    with pytest.raises(ImageError, match=f"{file_format} holds 8 bits; write PNG or TIFF"):
        images.encode(Picture(drawn(channels=1, dtype=np.uint16)), file_format)


@pytest.mark.parametrize("file_format", ["GIF", "JPEG2000", "HEIF"])
def test_a_format_that_is_not_written_lists_those_that_are(file_format):
    with pytest.raises(ImageError, match=f"{file_format} files are not written; choose PNG, .* or PPM"):
        images.encode(Picture(drawn()), file_format)


def test_a_picture_too_wide_for_the_format_says_so():
    with pytest.raises(ImageError, match="cannot be written as WEBP"):
        images.encode(Picture(np.zeros((1, 16384, 3), np.uint8)), "WEBP")


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "AVIF"])
def test_less_quality_is_a_smaller_file(file_format):
    picture = Picture(np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8))
    assert len(images.encode(picture, file_format, quality=20)) < len(images.encode(picture, file_format, quality=90))


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_a_quality_out_of_range_is_a_usage_error(quality):
    with pytest.raises(UsageError, match="must be 1"):
        images.encode(Picture(drawn()), "JPEG", quality=quality)


def test_jpeg_keeps_the_colour_resolution():
    assert [layer[1:3] for layer in opened(images.encode(Picture(drawn()), "JPEG")).layer] == [(1, 1)] * 3


# JPEG as it was


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("options", [{"quality": 61}, {"quality": 97, "progressive": True}])
def test_a_changed_jpeg_is_compressed_as_it_was(subsampling, options):
    before = saved(Image.fromarray(drawn(64, 48)), "JPEG", subsampling=subsampling, **options)
    picture = images.read(before)
    after = images.encode(picture.replace_pixels(drawn(64, 48)[::-1]), "JPEG")
    old, new = opened(before), opened(after)
    assert new.quantization == old.quantization
    assert JpegImagePlugin.get_sampling(new) == subsampling
    assert new.info.get("progressive") == old.info.get("progressive")


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_a_jpeg_of_other_colours_can_be_written_again(mode):
    picture = images.read(saved(Image.fromarray(drawn()).convert(mode), "JPEG", quality=50))
    again = opened(images.encode(picture.replace_pixels(255 - picture.pixels), "JPEG"))
    assert (again.quantization[0] == picture.jpeg["qtables"][0]) if mode == "L" else (picture.jpeg is None)


def test_a_quality_that_is_asked_for_counts():
    picture = images.read(saved(Image.fromarray(drawn()), "JPEG", quality=30))
    plain = images.Picture(picture.pixels)
    assert images.encode(picture, "JPEG", quality=80) == images.encode(plain, "JPEG", quality=80)


# Metadata


@pytest.mark.parametrize("file_format", CARRIERS)
def test_orientation_is_reset_on_writing(file_format):
    data = saved(Image.fromarray(drawn()), file_format, exif=camera_exif(6))
    again = images.encode(images.read(data), file_format)
    assert opened(again).getexif().get(ORIENTATION, 1) == 1
    assert opened(again).size == (16, 24)


@pytest.mark.parametrize("source", CARRIERS)
@pytest.mark.parametrize("target", CARRIERS)
def test_other_exif_tags_are_kept_across_formats(source, target):
    data = saved(Image.fromarray(drawn()), source, exif=camera_exif(6).tobytes())
    exif = opened(images.encode(images.read(data), target)).getexif()
    kept = (
        exif.get(ExifTags.Base.Make),
        exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.LensModel),
        exif.get_ifd(ExifTags.IFD.GPSInfo).get(ExifTags.GPS.GPSDateStamp),
    )
    assert kept == ("Maker", "Lens", "1999:12:31")


@pytest.mark.parametrize("exif", [None, camera_exif().tobytes()], ids=["plain", "exif"])
def test_tiff_is_lossless_with_and_without_exif(exif):
    assert (images.read(images.encode(Picture(drawn(), exif=exif), "TIFF")).pixels == drawn()).all()


@pytest.mark.parametrize("file_format", CARRIERS)
def test_the_colour_profile_is_kept(file_format):
    picture = images.read(saved(Image.fromarray(drawn()), file_format, icc_profile=SRGB))
    assert opened(images.encode(picture, file_format)).info["icc_profile"] == SRGB


@pytest.mark.parametrize("file_format", CARRIERS)
def test_strip_drops_exif_and_profile(file_format):
    picture = images.read(saved(Image.fromarray(drawn()), file_format, icc_profile=SRGB, exif=camera_exif()))
    stripped = images.read(images.encode(picture, file_format, strip=True))
    assert (stripped.icc_profile, stripped.exif) == (None, None)


def test_a_grey_profile_does_not_get_into_a_file_that_stores_grey_as_rgb():
    picture = Picture(drawn(channels=1), drawn(channels=1)[..., 0], icc_profile=grey_profile())
    assert "icc_profile" not in opened(images.encode(picture, "WEBP")).info


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_a_grey_profile_stays_with_grey(file_format):
    picture = images.read(saved(Image.fromarray(drawn(channels=1)[..., 0]), file_format, icc_profile=grey_profile()))
    assert opened(images.encode(picture, file_format)).info["icc_profile"] == grey_profile()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "BMP"])
def test_dots_per_inch_are_kept(file_format):
    picture = images.read(saved(Image.fromarray(drawn()), "JPEG", dpi=(300, 150)))
    assert opened(images.encode(picture, file_format)).info["dpi"] == pytest.approx((300, 150), abs=0.1)


# Pillow images


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_pillow_image_comes_back_in_its_mode(mode):
    image = Image.fromarray(drawn(channels=1, dtype=np.uint16)[..., 0])
    image = image if mode == "I;16" else Image.fromarray(drawn()).convert(mode)
    again = images.to_pil(images.from_pil(image))
    assert again.mode == mode
    assert again.tobytes() == image.tobytes()


@pytest.mark.parametrize(("mode", "back"), [("1", "L"), ("P", "RGB"), ("PA", "RGBA"), ("CMYK", "RGB"), ("La", "LA")])
def test_other_pillow_modes_come_back_in_the_nearest_one(mode, back):
    image = Image.fromarray(drawn()).convert("LA" if mode == "La" else "RGB").convert(mode)
    assert images.to_pil(images.from_pil(image)).mode == back


def test_a_pillow_image_takes_its_metadata_along():
    image = Image.fromarray(drawn())
    image.info.update(icc_profile=SRGB, exif=camera_exif(6).tobytes(), dpi=(300, 300))
    again = images.to_pil(images.from_pil(image))
    assert (again.info["icc_profile"], again.info["dpi"]) == (SRGB, (300, 300))
    assert again.getexif()[ExifTags.Base.Make] == "Maker"


# Grey in AVIF


@pytest.mark.parametrize("alpha", [None, drawn(channels=1)[::-1, :, 0]])
@pytest.mark.parametrize("profile", [None, grey_profile()])
def test_grey_stays_grey_in_avif_with_its_profile(alpha, profile):
    picture = Picture(drawn(channels=1), alpha, icc_profile=profile)
    again = images.read(images.encode(picture, "AVIF"))
    assert again.pixels.shape == picture.pixels.shape
    assert (again.alpha is None) == (alpha is None)
    assert (again.icc_profile, again.warnings) == (profile, ())
    assert images.left_out(picture, "AVIF") is None


def test_colours_with_alpha_stay_colours_in_avif():
    picture = Picture(drawn(), drawn(channels=1)[:, :, 0])
    assert images.read(images.encode(picture, "AVIF")).pixels.shape[2] == 3
