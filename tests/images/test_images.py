"""Image files: what goes in comes out, and what cannot is said."""

import contextlib
import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin

from vaetool import images
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture, reading

CARRIERS = ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"]  # formats with a place for EXIF and ICC
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION = ExifTags.Base.Orientation


def drawn(height=16, width=24, channels=3, dtype=np.uint8):
    """A ramp with a bright square in one corner: no two of its eight orientations look the same."""
    full = np.iinfo(dtype).max
    y, x = np.mgrid[0:height, 0:width]
    planes = [x / width, y / height, (x + y) / (width + height)][:channels]
    pixels = (np.stack(planes, axis=2) * full).astype(dtype)
    pixels[2:5, 3:8] = full
    return pixels


def saved(image, file_format, **options):
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(samples, depth, colour_type, *chunks):
    """A PNG made by hand, for what Pillow does not write. samples: (height, width, channels)."""
    height, width = samples.shape[:2]
    if depth < 8:
        bits = (samples[..., 0, None] >> np.arange(depth)[::-1]) & 1
        rows = np.packbits(bits.reshape(height, -1).astype(np.uint8), axis=1)
    else:
        rows = samples.astype(">u2" if depth == 16 else np.uint8).reshape(height, -1)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + data + chunk(b"IEND", b"")


def camera_exif(orientation=1):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ORIENTATION] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "Lens"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSDateStamp] = "1999:12:31"
    return exif


def grey_profile():
    """The smallest thing that says it is a grey profile."""
    return SRGB[:16] + b"GRAY" + SRGB[20:]


# Reading: orientation and metadata


STORED = {  # how a camera stores upright pixels under each orientation (EXIF 2.3, section 4.6.4, tag 274)
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
@pytest.mark.parametrize("orientation", STORED)
def test_pixels_are_upright_after_reading(orientation, file_format):
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](drawn())))
    lossless = {"lossless": True} if file_format == "WEBP" else {}
    picture = images.read(saved(stored, file_format, exif=camera_exif(orientation), **lossless))
    error = np.abs(picture.pixels.astype(int) - drawn()).mean()
    assert error < (12 if file_format in {"JPEG", "AVIF"} else 1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_and_16_bit_pixels_are_turned_too(dtype):
    upright = drawn(channels=1, dtype=dtype)
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright[..., 0], 1)))
    assert (images.read(saved(stored, "PNG", exif=camera_exif(6))).pixels == upright).all()


def test_alpha_is_turned_with_the_pixels():
    upright = np.dstack([drawn(), drawn(channels=1)])
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(upright, 1)))
    assert (images.read(saved(stored, "PNG", exif=camera_exif(6))).alpha == upright[..., 3]).all()


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


def test_an_orientation_out_of_range_is_ignored_and_reset():
    picture = images.read(saved(Image.fromarray(drawn()), "PNG", exif=camera_exif(9)))
    assert (picture.pixels == drawn()).all()
    assert ORIENTATION not in opened(images.encode(picture, "PNG")).getexif()


def test_the_layout_of_a_tiff_is_not_taken_for_exif():
    assert images.read(saved(Image.fromarray(drawn()), "TIFF", compression="tiff_lzw", dpi=(300, 300))).exif is None


def test_a_thumbnail_of_the_old_pixels_is_left_behind():
    thumbnail = saved(Image.fromarray(drawn(4, 4)), "JPEG")
    first = struct.pack("<HHHII", 1, 271, 2, 4, int.from_bytes(b"abc\0", "little")) + struct.pack("<I", 26)
    second = struct.pack("<HHHIIHHII", 2, 513, 4, 1, 56, 514, 4, 1, len(thumbnail)) + struct.pack("<I", 0)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second + thumbnail
    data = saved(Image.fromarray(drawn()), "JPEG", exif=exif)
    assert thumbnail in data
    assert thumbnail not in images.encode(images.read(data), "JPEG")


def test_a_file_without_exif_has_none():
    assert images.read(saved(Image.fromarray(drawn()), "JPEG")).exif is None


@pytest.mark.parametrize("damaged", [b"Exif\0\0nothing like TIFF", camera_exif().tobytes()[:50]])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_is_a_warning_not_a_failure(file_format, damaged):
    picture = images.read(saved(Image.fromarray(drawn()), file_format, exif=damaged))
    assert "EXIF" in " ".join(picture.warnings)


@pytest.mark.parametrize("file_format", CARRIERS)
def test_the_colour_profile_is_kept(file_format):
    picture = images.read(saved(Image.fromarray(drawn()), file_format, icc_profile=SRGB))
    assert opened(images.encode(picture, file_format)).info["icc_profile"] == SRGB


@pytest.mark.parametrize("file_format", CARRIERS)
def test_strip_drops_exif_and_profile(file_format):
    picture = images.read(saved(Image.fromarray(drawn()), file_format, icc_profile=SRGB, exif=camera_exif()))
    stripped = images.read(images.encode(picture, file_format, strip=True))
    assert (stripped.icc_profile, stripped.exif) == (None, None)


def test_a_profile_of_other_channels_is_left_out_with_a_warning():
    picture = images.read(saved(Image.fromarray(drawn()), "PNG", icc_profile=grey_profile()))
    assert picture.icc_profile is None
    assert picture.warnings == ("the GRAY colour profile does not fit the pixels and is left out",)


@pytest.mark.parametrize("file_format", ["WEBP", "AVIF"])
def test_a_grey_profile_does_not_get_into_a_file_that_stores_grey_as_rgb(file_format):
    picture = Picture(drawn(channels=1), drawn(channels=1)[..., 0], icc_profile=grey_profile())
    assert "icc_profile" not in opened(images.encode(picture, file_format)).info


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_a_grey_profile_stays_with_grey(file_format):
    picture = images.read(saved(Image.fromarray(drawn(channels=1)[..., 0]), file_format, icc_profile=grey_profile()))
    assert opened(images.encode(picture, file_format)).info["icc_profile"] == grey_profile()


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "BMP"])
def test_dots_per_inch_are_kept(file_format):
    picture = images.read(saved(Image.fromarray(drawn()), "JPEG", dpi=(300, 150)))
    assert opened(images.encode(picture, file_format)).info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_a_tiff_without_a_unit_has_no_dots_per_inch():
    assert images.read(saved(Image.fromarray(drawn()), "TIFF")).dpi is None


# Reading: modes


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "BMP", "PPM", "GIF"])
def test_grey_stays_grey(file_format):
    picture = images.read(saved(Image.fromarray(drawn(channels=1)[..., 0]), file_format))
    assert picture.pixels.shape == (16, 24, 1)
    assert picture.warnings == ()


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "GIF"])
def test_black_and_white_becomes_grey(file_format):
    bits = Image.fromarray(drawn(channels=1)[..., 0]).convert("1")
    assert (images.read(saved(bits, file_format)).pixels[..., 0] == np.array(bits.convert("L"))).all()


def test_a_colour_palette_becomes_rgb():
    palette = Image.fromarray(drawn()).quantize(16)
    assert (images.read(saved(palette, "PNG")).pixels == np.array(palette.convert("RGB"))).all()


def test_a_palette_of_greys_becomes_grey():
    palette = Image.fromarray(drawn(channels=1)[..., 0]).quantize(16)
    assert images.read(saved(palette, "PNG")).pixels.shape[2] == 1


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
@pytest.mark.parametrize("channels", [1, 3])
def test_alpha_is_kept_apart_from_the_pixels(channels, file_format):
    samples = np.dstack([drawn(channels=channels), drawn(channels=1)[::-1]])
    picture = images.read(saved(Image.fromarray(samples), file_format))
    assert (picture.pixels == samples[..., :-1]).all()
    assert (picture.alpha == samples[..., -1]).all()


def test_transparent_palette_entries_become_alpha():
    palette = Image.fromarray(drawn()).quantize(16)
    picture = images.read(saved(palette, "PNG", transparency=3))
    assert ((picture.alpha == 0) == (np.array(palette) == 3)).all()


@pytest.mark.parametrize(
    ("depth", "colour_type", "channels"), [(2, 0, 1), (4, 0, 1), (8, 0, 1), (16, 0, 1), (8, 2, 3), (16, 2, 3)]
)
def test_the_transparent_colour_of_a_png_becomes_alpha(depth, colour_type, channels):
    samples = np.zeros((4, 5, channels), int)
    samples[1, 2] = (2**depth - 1) * 2 // 3
    key = struct.pack(f">{channels}H", *samples[1, 2])
    picture = images.read(png(samples, depth, colour_type, chunk(b"tRNS", key)))
    expected = np.full((4, 5), np.iinfo(picture.pixels.dtype).max)
    expected[1, 2] = 0
    assert (picture.alpha == expected).all()


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "JPEG2000", "PPM"])
def test_16_bit_grey_stays_16_bit(file_format):
    grey = drawn(channels=1, dtype=np.uint16)
    picture = images.read(saved(Image.fromarray(grey[..., 0]), file_format))
    assert picture.pixels.dtype == np.uint16
    assert (picture.pixels == grey).all()


@pytest.mark.parametrize("mode", ["I", "I;16", "I;16B"])
def test_every_16_bit_mode_of_pillow_gives_the_same_pixels(mode):
    grey = drawn(channels=1, dtype=np.uint16)
    raw = grey.astype({"I": "<i4", "I;16": "<u2", "I;16B": ">u2"}[mode]).tobytes()
    assert (images.from_pil(Image.frombytes(mode, (24, 16), raw)).pixels == grey).all()


def test_big_endian_16_bit_tiff_is_read_right():
    grey = drawn(channels=1, dtype=np.uint16)
    image = Image.frombytes("I;16B", (24, 16), grey.astype(">u2").tobytes())
    assert (images.read(saved(image, "TIFF")).pixels == grey).all()


@pytest.mark.parametrize("value", [-1, 65536])
def test_32_bit_grey_that_does_not_fit_16_bits_is_refused(value):
    data = saved(Image.new("I", (4, 4), value), "TIFF")
    with pytest.raises(ImageError, match="do not fit 16 bits"):
        images.read(data)


@pytest.mark.parametrize(
    ("colour_type", "channels", "kind"), [(2, 3, "RGB"), (6, 4, "RGB"), (4, 2, "grey")], ids=["RGB", "RGBA", "LA"]
)
def test_16_bit_channels_that_pillow_halves_are_named(colour_type, channels, kind):
    samples = np.arange(4 * 5 * channels).reshape(4, 5, channels) * 257
    picture = images.read(png(samples, 16, colour_type))
    assert picture.warnings == (f"16-bit {kind} is read as 8-bit",)
    assert picture.pixels.shape[2] == (1 if kind == "grey" else 3)


def test_16_bit_colour_ppm_is_named():
    assert images.read(b"P6 2 1 65535\n" + bytes(12)).warnings == ("16-bit RGB is read as 8-bit",)


def test_the_depth_is_read_from_the_header_of_an_avif():
    data = bytearray(saved(Image.fromarray(drawn()), "AVIF"))
    image = opened(bytes(data))
    data[data.find(b"pixi") + 9] = 10
    assert reading._storage(image, bytes(data[:4096]))[1] == 10


def test_an_8_bit_avif_has_no_warning():
    assert images.read(saved(Image.fromarray(drawn()), "AVIF")).warnings == ()


def test_cmyk_becomes_rgb_with_a_warning():
    picture = images.read(saved(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "JPEG"))
    assert picture.warnings == ("CMYK is converted to RGB",)
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() < 8


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_the_profile_of_cmyk_is_not_carried_over_to_rgb(file_format):
    profile = SRGB[:16] + b"CMYK" + SRGB[20:]
    picture = images.read(saved(Image.new("CMYK", (4, 4)), file_format, icc_profile=profile))
    assert picture.icc_profile is None


def test_lab_becomes_rgb_with_a_warning():
    picture = images.read(saved(Image.new("LAB", (4, 4), (255, 128, 128)), "TIFF"))
    assert picture.warnings == ("LAB is converted to RGB",)
    assert picture.pixels.min() > 250


def test_ycbcr_tiff_becomes_rgb_with_a_warning():
    ycbcr = Image.new("RGB", (4, 4), (255, 0, 0)).convert("YCbCr")
    picture = images.read(saved(ycbcr, "TIFF"))
    assert picture.warnings == ("YCbCr is converted to RGB",)
    assert np.abs(picture.pixels.astype(int) - (255, 0, 0)).max() < 3


def test_floating_point_pixels_are_refused():
    data = saved(Image.new("F", (4, 4), 0.5), "TIFF")
    with pytest.raises(ImageError, match="floating-point"):
        images.read(data)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_only_the_first_frame_of_an_animation_is_used_and_said_so(file_format):
    frames = [Image.new("RGB", (8, 8), (0, 0, 80 * i)) for i in range(3)]
    picture = images.read(saved(frames[0], file_format, save_all=True, append_images=frames[1:]))
    assert picture.warnings == ("animated: only the first of 3 frames is used",)
    assert picture.pixels.max() < 8


def test_only_the_first_page_of_a_document_is_used_and_said_so():
    pages = [Image.new("L", (8, 8), 80 * i) for i in range(3)]
    picture = images.read(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert picture.warnings == ("several pages: only the first of 3 is used",)


def test_a_jpeg_with_a_second_picture_is_a_jpeg():
    picture = images.read(saved(Image.fromarray(drawn()), "MPO", save_all=True, append_images=[Image.new("L", (9, 9))]))
    assert picture.format == "JPEG"
    assert picture.warnings == ("several pages: only the first of 2 is used",)


# Reading: sources and failures


def test_a_path_bytes_and_an_open_file_give_the_same_picture(tmp_path):
    path = tmp_path / "größe 猫.png"
    path.write_bytes(saved(Image.fromarray(drawn()), "PNG"))
    with path.open("rb") as file:
        sources = [path, str(path), path.read_bytes(), file]
        assert all((images.read(source).pixels == drawn()).all() for source in sources)
        assert not file.closed


def test_a_pipe_can_be_read():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise OSError("illegal seek")

    assert (images.read(Pipe(saved(Image.fromarray(drawn()), "PNG"))).pixels == drawn()).all()


def test_the_content_decides_the_format_not_the_extension(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(saved(Image.fromarray(drawn()), "JPEG"))
    assert images.read(path).format == "JPEG"


@pytest.mark.parametrize("file_format", ["EPS", "TGA", "ICO", "PDF"])
def test_formats_off_the_list_are_refused(file_format):
    data = saved(Image.fromarray(drawn()), file_format)
    with pytest.raises(ImageError, match="not a readable image"):
        images.read(data)


def test_too_many_pixels_are_refused_before_decoding():
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 40_000, 8, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"never decoded") + chunk(b"IEND", b"")
    with pytest.raises(ImageError, match=r"50000 x 40000 pixels .* 200000000; raise --max-pixels"):
        images.read(data)


def test_the_limit_of_pixels_is_inclusive():
    data = saved(Image.fromarray(drawn(16, 24)), "PNG")
    assert images.read(data, max_pixels=16 * 24).width == 24
    with pytest.raises(ImageError, match="max-pixels"):
        images.read(data, max_pixels=16 * 24 - 1)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_file_is_not_readable(file_format, share):
    noise = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), file_format)
    with pytest.raises(ImageError, match="not a readable image"):
        images.read(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "empty file"), (b"words " * 99, "damaged, or none of PNG"), (b"\0", "none of")]
)
def test_a_file_that_is_no_image_says_why(tmp_path, content, reason):
    path = tmp_path / "file.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        images.read(path)
    assert "file.png" not in str(caught.value)


def test_a_missing_file_says_so_and_keeps_the_cause(tmp_path):
    with pytest.raises(ImageError, match=r"^not a readable image \(no such file or directory\)$") as caught:
        images.read(tmp_path / "missing.png")
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_a_folder_is_not_an_image(tmp_path):
    with pytest.raises(ImageError, match="not a readable image"):
        images.read(tmp_path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_flipped_bytes_give_a_picture_or_an_image_error(data):
    file_format = data.draw(st.sampled_from(["PNG", "JPEG", "TIFF", "GIF", "BMP", "WEBP"]))
    content = bytearray(saved(Image.fromarray(drawn(6, 5)), file_format, exif=camera_exif(6)))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(4, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        assert images.read(bytes(content), max_pixels=10_000).pixels.size


def test_threads_can_read_at_once_without_losing_a_warning():
    data = saved(Image.fromarray(drawn()), "JPEG", exif=camera_exif().tobytes()[:50])
    results = []
    threads = [threading.Thread(target=lambda: results.append(images.read(data).warnings)) for _ in range(8)]
    with warnings.catch_warnings():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 8
    assert len(set(results)) == 1
    assert results[0]


# Pictures


@pytest.mark.parametrize(
    ("pixels", "alpha"),
    [
        (np.zeros((4, 4), np.uint8), None),
        (np.zeros((4, 4, 2), np.uint8), None),
        (np.zeros((4, 4, 3), np.float32), None),
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


def test_a_picture_knows_where_it_is_from(tmp_path):
    data = saved(Image.fromarray(drawn()), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    assert images.read(tmp_path / "a.png").origin == tmp_path / "a.png"
    assert images.read(data).origin == data
    assert images.read(io.BytesIO(data)).origin is None


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


def test_replacing_pixels_keeps_all_else():
    picture = Picture(drawn(), None, "WEBP", SRGB, b"exif", (72, 72), ("a warning",))
    new = picture.replace_pixels(drawn()[::-1])
    assert [new.format, new.icc_profile, new.exif, new.dpi, new.warnings] == [
        "WEBP",
        SRGB,
        b"exif",
        (72, 72),
        ("a warning",),
    ]


def test_hidden_colours_do_not_show_in_the_visible_pixels():
    pixels = np.full((9, 9, 3), 200, np.uint8)
    alpha = np.full((9, 9), 255, np.uint8)
    pixels[3:7, 2:8], alpha[3:7, 2:8] = 0, 0
    assert (Picture(pixels, alpha).visible_pixels() == 200).all()


def test_visible_pixels_are_the_pixels_when_nothing_is_hidden():
    picture = Picture(drawn(), np.full((16, 24), 1, np.uint8))
    assert picture.visible_pixels() is picture.pixels


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


def test_an_open_pillow_image_is_not_changed():
    image = opened(saved(Image.fromarray(drawn()), "JPEG", exif=camera_exif(6)))
    images.from_pil(image)
    assert image.size == (24, 16)
    assert image.getexif()[ORIENTATION] == 6


def test_the_frame_a_pillow_image_stands_at_is_used():
    frames = [Image.new("L", (8, 8), 80 * i) for i in range(3)]
    image = opened(saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    image.seek(2)
    assert (images.from_pil(image).pixels == 160).all()


def test_16_bit_colour_cannot_become_a_pillow_image():
    with pytest.raises(ImageError, match="16-bit colour"):
        images.to_pil(Picture(drawn(dtype=np.uint16)))


# Writing


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


def test_the_transparent_value_of_16_bit_grey_survives_new_pixels():
    samples = np.array([[[5], [5], [900]]])
    picture = images.read(png(samples, 16, 0, chunk(b"tRNS", struct.pack(">H", 5))))
    new = picture.replace_pixels(np.full((1, 3, 1), 5, np.uint16))  # the visible pixel gets the transparent value
    again = images.read(images.encode(new, "PNG"))
    assert again.alpha.ravel().tolist() == [0, 0, 65535]
    assert again.pixels.ravel().tolist() == [5, 5, 6]


def test_soft_transparency_with_16_bit_grey_is_refused():
    picture = Picture(drawn(channels=1, dtype=np.uint16), np.full((16, 24), 30_000, np.uint16))
    with pytest.raises(ImageError, match="convert it to 8 bits"):
        images.encode(picture, "PNG")


@pytest.mark.parametrize("file_format", ["JPEG", "BMP", "PPM"])
def test_transparency_in_a_format_without_it_is_refused_with_advice(file_format):
    picture = Picture(drawn(), np.zeros((16, 24), np.uint8))
    with pytest.raises(ImageError, match=f"{file_format} holds no transparency; write PNG or WebP"):
        images.encode(picture, file_format)


def test_16_bit_transparency_in_tiff_is_refused_with_advice():
    picture = Picture(drawn(channels=1, dtype=np.uint16), np.zeros((16, 24), np.uint16))
    with pytest.raises(ImageError, match="write PNG"):
        images.encode(picture, "TIFF")


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


@pytest.mark.parametrize(
    ("path", "file_format"), [("a.png", "PNG"), ("b/c.JPEG", "JPEG"), ("x.y.tif", "TIFF"), ("g.pgm", "PPM")]
)
def test_the_suffix_of_an_output_decides_its_format(path, file_format):
    assert images.format_for(path) == file_format


@pytest.mark.parametrize("path", ["a.docx", "noend", "a.gif", "a."])
def test_an_unknown_suffix_is_a_usage_error(path):
    with pytest.raises(UsageError, match=r"choose .png, .jpg"):
        images.format_for(path)
