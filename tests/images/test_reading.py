"""Image files and Pillow images become pictures, and what is lost on the way is said: `vaetool.images.reading`."""

import contextlib
import io
import struct
import threading
import warnings

import numpy as np
import PIL
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imagecodecs import jpeg2k_encode
from PIL import Image

from tests.images.samples import ORIENTATION, SRGB, camera_exif, chunk, drawn, grey_profile, opened, png, saved
from vaetool import images
from vaetool.errors import ImageError
from vaetool.images import modes

# Orientation and metadata


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


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_exif_without_tags_is_not_damaged(file_format):
    """Pillow writes it where a program passes on the EXIF of a picture that has none."""
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, file_format, exif=Image.Exif())
    picture = images.read(file.getvalue())
    assert (picture.exif, picture.warnings) == (None, ())


def test_a_file_without_exif_has_none():
    assert images.read(saved(Image.fromarray(drawn()), "JPEG")).exif is None


@pytest.mark.parametrize("damaged", [b"Exif\0\0nothing like TIFF", camera_exif().tobytes()[:50]])
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_damaged_exif_is_a_warning_not_a_failure(file_format, damaged):
    picture = images.read(saved(Image.fromarray(drawn()), file_format, exif=damaged))
    assert "EXIF" in " ".join(picture.warnings)


def test_a_profile_of_other_channels_is_left_out_with_a_warning():
    picture = images.read(saved(Image.fromarray(drawn()), "PNG", icc_profile=grey_profile()))
    assert picture.icc_profile is None
    assert picture.warnings == ("the GRAY colour profile does not fit the pixels and is left out",)


def test_a_tiff_without_a_unit_has_no_dots_per_inch():
    assert images.read(saved(Image.fromarray(drawn()), "TIFF")).dpi is None


# Modes


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


@pytest.mark.parametrize("bits", [12, 16])
@pytest.mark.parametrize("container", ["jp2", "j2k"])
def test_all_bits_of_jpeg_2000_in_colour_are_read(container, bits):
    samples = drawn(64, 48, dtype=np.uint16) >> (16 - bits)  # with white, which must not become black
    picture = images.read(jpeg2k_encode(samples, codecformat=container, bitspersample=bits))
    expected = np.rint(samples * (65535 / (2**bits - 1)))
    assert np.abs(picture.pixels - expected).max() <= (bits < 16)
    assert picture.warnings == (() if bits == 16 else ("12 bits are scaled to 16",))


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


def test_the_depth_is_read_from_the_header_of_an_avif():
    data = bytearray(saved(Image.fromarray(drawn()), "AVIF"))
    image = opened(bytes(data))
    data[data.find(b"pixi") + 9] = 10
    assert modes.storage_of(image, bytes(data[:4096]))[1] == 10


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


@pytest.mark.skipif(int(PIL.__version__.partition(".")[0]) < 13, reason="Pillow 12 takes such files for cut off")
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
    with pytest.raises(ImageError, match="is animated, with 3 frames"):
        images.read(saved(frames[0], file_format, save_all=True, append_images=frames[1:]), still=True)


def test_only_the_first_page_of_a_document_is_used_and_said_so():
    pages = [Image.new("L", (8, 8), 80 * i) for i in range(3)]
    picture = images.read(saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert picture.warnings == ("several pages: only the first of 3 is used",)


def test_a_jpeg_with_a_second_picture_is_a_jpeg():
    picture = images.read(saved(Image.fromarray(drawn()), "MPO", save_all=True, append_images=[Image.new("L", (9, 9))]))
    assert picture.format == "JPEG"
    assert picture.warnings == ("several pages: only the first of 2 is used",)


# Sources and failures


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


def test_a_picture_knows_where_it_is_from(tmp_path):
    data = saved(Image.fromarray(drawn()), "PNG")
    (tmp_path / "a.png").write_bytes(data)
    assert images.read(tmp_path / "a.png").origin == tmp_path / "a.png"
    assert images.read(data).origin == data
    assert images.read(io.BytesIO(data)).origin is None


# Pillow images


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
