"""Pillow reads and writes .vae files, as it does its own formats: with the bundled weights, and real files."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from PIL import ExifTags, Image, ImageCms, ImageFile, PngImagePlugin, UnidentifiedImageError
from torchvision.datasets.folder import default_loader

import vaetool
import vaetool.pillow
from vaetool.compression.decode import describe, load_codec
from vaetool.images import Picture
from vaetool.images.metrics import psnr
from vaetool.store import catalogue

ROOT = Path(vaetool.__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden"
MIME = ROOT / "docs" / "mime"

XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>a valley</x:xmpmeta>"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def in_mode(photo: Image.Image, mode: str) -> Image.Image:
    """A photograph in a mode, with soft alpha if the mode has any."""
    if mode == "I;16":
        return Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257)
    image = photo.convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize(photo.size))
    return image


def exif_of(tags: dict[int, object]) -> Image.Exif:
    exif = Image.Exif()
    exif.update(tags)
    return exif


def saved(image: Image.Image, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, "VAE", **options)
    return file.getvalue()


def opened(data: bytes) -> ImageFile.ImageFile:
    return Image.open(io.BytesIO(data))


@pytest.fixture
def china(photographs):
    return photographs["china"]


@pytest.fixture
def path(china, tmp_path) -> Path:
    china.save(tmp_path / "china.vae")
    return tmp_path / "china.vae"


# There and back


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_a_picture_comes_back_in_its_mode(china, mode, tmp_path):
    image = in_mode(china, mode)
    image.save(tmp_path / "picture.vae", quality=80)
    with Image.open(tmp_path / "picture.vae") as found:
        assert (found.format, found.mode, found.size) == ("VAE", mode, image.size)
        before, after = np.asarray(image), np.asarray(found)
    assert psnr(after, before, 65535 if mode == "I;16" else 255) > 30
    if mode.endswith("A"):
        np.testing.assert_array_equal(after[..., -1], before[..., -1])
    expected = vaetool.decompress(tmp_path / "picture.vae")
    assert (found.mode, found.size) == (expected.mode, expected.size)
    np.testing.assert_array_equal(after, np.asarray(expected))


def test_what_pillow_has_no_mode_for_comes_out_with_8_bits_and_a_warning(china):
    deep = Picture(np.asarray(china).astype(np.uint16) * 257)
    image = opened(vaetool.compress(deep, quality=80))
    assert image.mode == "RGB"
    with pytest.warns(UserWarning, match="of 16 bits, the upper 8 are kept"):
        image.load()
    assert psnr(np.asarray(image), np.asarray(china), 255) > 30


def test_16_bit_grey_with_holes_keeps_them(china):
    pixels = np.asarray(in_mode(china, "I;16"))
    alpha = np.full(pixels.shape, 65535, np.uint16)
    alpha[:20] = 0
    image = opened(vaetool.compress(Picture(pixels[..., None].copy(), alpha)))
    image.load()
    key = image.info["transparency"]
    np.testing.assert_array_equal(np.asarray(image) == key, alpha == 0)


def test_16_bit_grey_with_soft_alpha_says_why_it_cannot_be_had(china):
    pixels = np.asarray(in_mode(china, "I;16"))
    image = opened(vaetool.compress(Picture(pixels[..., None].copy(), pixels.copy())))
    with pytest.raises(OSError, match="soft transparency does not fit a Pillow image"):
        image.load()


def test_info_is_known_before_anything_is_decoded(china):
    exif = exif_of({ExifTags.Base.ImageDescription: "a valley"})
    data = saved(china, quality=40, icc_profile=PROFILE, exif=exif, xmp=XMP, dpi=(300, 150))
    image, told = opened(data), describe(data)
    assert (image.info["icc_profile"], image.info["xmp"], image.info["dpi"]) == (PROFILE, XMP, (300, 150))
    assert image.getexif()[ExifTags.Base.ImageDescription] == "a valley"
    assert {name: image.info[name] for name in ("form", "quality", "codec")} == {
        "form": "learned",
        "quality": 40,
        "codec": told["codec"],
    }
    assert told["codec"]["name"] == "photo-codec"


def test_a_drawing_is_lossless_and_says_so():
    image = Image.new("RGB", (90, 60), "white")
    image.paste("navy", (10, 10, 40, 50))
    found = opened(saved(image))
    assert found.info == {"form": "lossless"}
    assert found.tobytes() == image.tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"quality": 20},
        {"bpp": 1.5},
        {"target_size": 3000},
        {"target_psnr": 30.0},
        {"lossless": True},
        {"max_error": 6},
        {"model": "photo-codec-0"},
    ],
    ids=str,
)
def test_options_are_those_of_compress(china, options):
    assert saved(china, **options) == vaetool.compress(china, **options)


def test_a_codec_that_is_loaded_already_is_used(china, tiny_codec):
    codec = vaetool.load(tiny_codec, device="cpu")
    assert opened(saved(china, model=codec)).info["codec"]["id"] == codec.identity.hex()


def test_a_codec_is_loaded_once_and_again_if_its_file_changes(tiny_codec, tmp_path):
    path = tmp_path / "codec.safetensors"
    shutil.copy(tiny_codec, path)
    first = load_codec(path, device="cpu")
    assert load_codec(path, device="cpu") is first
    shutil.copy(catalogue.find("photo-codec-0"), path)
    assert load_codec(path, device="cpu").identity != first.identity


# What goes with the pixels


@pytest.fixture
def described(china) -> Image.Image:
    """A PNG with all that may go with a picture."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "China")
    texts.add_itxt("XML:com.adobe.xmp", XMP)
    exif, file = exif_of({ExifTags.Base.ImageDescription: "a valley"}), io.BytesIO()
    china.save(file, "PNG", icc_profile=PROFILE, exif=exif, dpi=(300, 300), pnginfo=texts)
    return Image.open(file)


def test_what_goes_with_an_image_is_kept(described):
    found = opened(saved(described))
    assert (found.info["icc_profile"], found.info["xmp"], found.info["Title"]) == (PROFILE, XMP, "China")
    assert found.info["dpi"] == pytest.approx((300, 300), abs=0.02)  # PNG counts per metre
    assert found.getexif()[ExifTags.Base.ImageDescription] == "a valley"
    found.load()
    assert found.info == vaetool.decompress(saved(described)).info | {
        name: found.info[name] for name in ("form", "quality", "codec")
    }


@pytest.mark.parametrize("nothing", [b"", None])
@pytest.mark.parametrize("name", ["icc_profile", "exif", "xmp", "dpi"])
def test_what_is_given_as_nothing_is_left_out_and_all_else_kept(described, name, nothing):
    all_of_it = opened(saved(described)).info
    assert opened(saved(described, **{name: nothing})).info == {
        key: value for key, value in all_of_it.items() if key != name
    }
    assert described.info[name]


def test_what_is_given_replaces_what_the_image_has(described):
    other = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(4)
    found = opened(saved(described, icc_profile=other, xmp="<x:xmpmeta/>", dpi=(72, 72))).info
    assert (found["icc_profile"], found["xmp"], found["dpi"]) == (other, b"<x:xmpmeta/>", (72, 72))


def test_exif_is_given_as_bytes_or_as_an_object(china):
    exif = exif_of({ExifTags.Base.ImageDescription: "another valley"})
    assert saved(china, exif=exif) == saved(china, exif=exif.tobytes())
    assert opened(saved(china, exif=exif)).getexif()[ExifTags.Base.ImageDescription] == "another valley"


def test_exif_that_was_changed_in_place_is_saved_changed(described):
    described.getexif()[ExifTags.Base.ImageDescription] = "another valley"
    for options in ({}, {"dpi": (72, 72)}):
        assert opened(saved(described, **options)).getexif()[ExifTags.Base.ImageDescription] == "another valley"


def test_tags_of_a_tiff_file_stay_when_its_profile_goes(china):
    file = io.BytesIO()
    china.save(file, "TIFF", icc_profile=PROFILE, tiffinfo={ExifTags.Base.ImageDescription: "a valley"})
    found = opened(saved(Image.open(file), icc_profile=None))
    assert found.getexif()[ExifTags.Base.ImageDescription] == "a valley"
    assert "icc_profile" not in found.info


def test_orientation_is_applied_as_files_hold_upright_pictures(china):
    exif = exif_of({ExifTags.Base.Orientation: 6, ExifTags.Base.ImageDescription: "a valley"})
    found = opened(saved(china, quality=90, exif=exif))
    assert found.size == (china.height, china.width)
    assert ExifTags.Base.Orientation not in found.getexif()
    turned = china.transpose(Image.Transpose.ROTATE_270)
    assert psnr(np.asarray(found), np.asarray(turned), 255) > 30


# Requests that make no sense


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"quality": 0}, "must be 1..100, not 0"),
        ({"quality": 50, "bpp": 1.0}, "one target at a time"),
        ({"model": "photo-codex"}, "did you mean photo-codec"),
        ({"model": "digits"}, "this is a vae; a codec is needed"),
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_a_value_error(china, options, reason):
    with pytest.raises(ValueError, match=reason):
        saved(china, **options)


def test_a_target_out_of_reach_is_an_error_that_leaves_no_file(china, tmp_path):
    with pytest.raises(OSError, match=r"x\.vae: cannot be made smaller than \d+ bytes; 10 were asked for"):
        china.save(tmp_path / "x.vae", target_size=10)
    assert not (tmp_path / "x.vae").exists()


def test_a_mode_that_files_cannot_hold_is_an_error():
    with pytest.raises(OSError, match="holds floating-point values"):
        saved(Image.new("F", (20, 20)))


# Files that are not whole


@pytest.mark.parametrize("data", [b"", b"\x89VA", b"\x89PNG" + bytes(20), b"\x88VAE" + bytes(20)], ids=repr)
def test_what_is_no_such_file_is_not_identified(data):
    with pytest.raises(UnidentifiedImageError):
        opened(data)


def test_a_file_of_a_later_version_says_so(path):
    data = bytearray(path.read_bytes())
    data[4] = 2
    path.write_bytes(data)
    with pytest.raises(OSError, match=r"china\.vae: is of format version 2; this vaetool reads 1"):
        Image.open(path)


@pytest.mark.parametrize("name", ["colour-q20", "grey-alpha-exif-q50", "stored"])
def test_a_file_that_is_cut_off_is_an_error_wherever_that_is(name):
    data = (GOLDEN / f"{name}.vae").read_bytes()
    opens = 0
    for size in range(4, len(data), max(1, len(data) // 200)):
        try:
            image = opened(data[:size])
        except OSError as error:
            assert str(error) == "cut off"  # noqa: PT017 - it may also open
        else:
            opens += 1
            with pytest.raises(OSError, match=r"^cut off$"):
                image.load()
    assert opens > 10


def test_a_damaged_file_opens_and_loading_says_what_is_wrong(path):
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    path.write_bytes(data)
    with Image.open(path) as image, pytest.raises(OSError, match=r"china\.vae: damaged: the file's checksum"):
        image.load()


def test_verify_finds_damage_without_decoding(path, monkeypatch):
    data = bytearray(path.read_bytes())
    monkeypatch.setattr(vaetool.pillow, "decompress_picture", None)
    opened(data).verify()
    data[-10] ^= 1
    with pytest.raises(OSError, match="damaged: the file's checksum"):
        opened(data).verify()


def test_a_codec_that_is_not_there_is_named(path, monkeypatch, tmp_path):
    for name in ("user_folder", "bundled_folder"):
        monkeypatch.setattr(catalogue, name, lambda: tmp_path / "nothing")
    with Image.open(path) as image:
        assert image.size == (160, 107)
        with pytest.raises(OSError, match=rf"needs the codec {image.info['codec']['id']}, which was not found"):
            image.load()


def test_whole_tiles_of_a_damaged_file_are_loaded_if_pillow_is_told_to_load_such_files(china, monkeypatch):
    data = saved(china.resize((1090, 60)))
    with pytest.raises(OSError, match="cut off"):
        opened(data[:-10]).load()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    image = opened(data[:-10])
    with pytest.warns(UserWarning, match="1 of 2 tiles are lost"):
        image.load()
    whole = np.asarray(opened(data))
    np.testing.assert_array_equal(np.asarray(image)[:, :900], whole[:, :900])
    draft = opened(data[:-10])
    draft.draft(None, (545, 30))
    with pytest.warns(UserWarning, match="1 of 2 tiles are lost"):
        draft.load()
    assert np.asarray(draft).shape == (30, 545, 3)


def test_a_picture_larger_than_pillow_allows_is_refused_by_pillow(path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


# How it is loaded


def test_opening_reads_the_beginning_alone(path, china):
    china.save(path, lossless=True)
    with path.open("rb") as file:
        image = Image.open(file)
        assert file.tell() < path.stat().st_size / 2
        image.load()


def test_opening_needs_no_torch_and_loading_does(python, path):
    code = (
        "import sys, vaetool.pillow; from PIL import Image; image = Image.open(sys.argv[1]);"
        "print(image.size, image.info['quality'], 'torch' in sys.modules);"
        "image.load(); print('torch' in sys.modules)"
    )
    out, words = python("-c", code, path).communicate(timeout=60)
    assert out.decode().splitlines() == ["(160, 107) 70 False", "True"], words.decode()


def test_the_first_pictures_may_be_loaded_by_many_threads_at_once(python, path, china):
    china.resize((90, 60)).save(path.with_name("small.vae"))
    code = (
        "import sys, vaetool.pillow; from concurrent.futures import ThreadPoolExecutor; from PIL import Image\n"
        "def load(path):\n"
        "    with Image.open(path) as image:\n"
        "        return image.tobytes()\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(load, sys.argv[1:] * 8))\n"
        "sys.stdout.buffer.write(b''.join(found))"
    )
    process = python("-c", code, path, path.with_name("small.vae"))
    out, words = process.communicate(timeout=120)
    assert process.returncode == 0, words.decode()
    expected = b"".join(vaetool.decompress(path.with_name(name)).tobytes() for name in ("china.vae", "small.vae")) * 8
    np.testing.assert_allclose(np.frombuffer(out, np.uint8), np.frombuffer(expected, np.uint8).astype(int), atol=1)


def test_a_file_is_closed_once_it_is_loaded_unless_it_is_the_callers(path):
    image = Image.open(path)
    file = image.fp
    image.load()
    assert file.closed
    with path.open("rb") as mine:
        Image.open(mine).load()
        assert not mine.closed


def test_a_parser_is_fed_piece_by_piece(path):
    data, parser = path.read_bytes(), ImageFile.Parser()
    parser.feed(data[:8])
    assert parser.image is None
    parser.feed(data[8:-10])
    assert parser.image is not None
    assert parser.image.size == (160, 107)
    parser.feed(data[-10:])
    assert parser.close().tobytes() == opened(data).tobytes()


def test_programs_that_read_with_pillow_read_such_files(path):
    expected = np.asarray(vaetool.decompress(path))
    np.testing.assert_array_equal(imread(path), expected)
    np.testing.assert_array_equal(np.asarray(default_loader(path)), expected)


# Smaller pictures


def test_a_draft_is_nearly_the_mean_of_the_whole_picture(china):
    data = saved(china.crop((0, 0, 157, 101)), quality=60)
    whole = opened(data)
    for reduction in (2, 4, 8):
        image = opened(data)
        mode, box = image.draft(None, (157 // reduction, 101 // reduction))
        assert (mode, box) == ("RGB", (0, 0, 157 / reduction, 101 / reduction))
        expected = whole.reduce(reduction)
        assert image.size == np.asarray(image).shape[1::-1] == expected.size
        inside = np.s_[: 101 // reduction, : 157 // reduction]
        assert psnr(np.asarray(image)[inside], np.asarray(expected)[inside], 255) > 35


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA"])
def test_a_draft_is_in_the_mode_of_the_picture(china, mode):
    data = saved(in_mode(china, mode))
    image, whole = opened(data), opened(data)
    assert image.draft("RGB", (40, 26)) == (mode, (0, 0, 40, 107 / 4))
    image.load()
    assert (image.mode, image.im.mode, image.size, image.im.size) == (mode, mode, (40, 27), (40, 27))
    if mode.endswith("A"):
        difference = np.asarray(image)[:26, :, -1].astype(int) - np.asarray(whole.reduce(4))[:26, :, -1]
        assert np.abs(difference).max() <= 1


def test_a_draft_is_as_large_as_was_asked_for_at_least():
    image = opened((GOLDEN / "colour-q20.vae").read_bytes())  # 160 x 107
    assert image.draft(None, (81, 54)) is None
    assert image.draft(None, (80, 54)) is None
    assert image.draft(None, (21, 13)) == ("RGB", (0, 0, 40, 107 / 4))
    assert image.draft(None, (10, 10)) is None  # once is all
    assert image.size == (40, 27)
    image.load()
    assert np.asarray(image).shape == (27, 40, 3)


def test_there_is_no_draft_of_what_is_loaded_already_or_would_not_be_right(china):
    image = opened(saved(china))
    image.load()
    assert image.draft(None, (20, 13)) is None
    for data in (saved(china, lossless=True), saved(in_mode(china, "I;16"))):
        image = opened(data)
        assert image.draft(None, (20, 13)) is None
        image.load()
        assert image.size == image.im.size == china.size


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_a_thumbnail_is_nearly_that_of_the_decoded_picture(china, mode):
    data = saved(in_mode(china.resize((480, 320)), mode))
    image, whole = opened(data), opened(data)
    whole.load()
    image.thumbnail((64, 64))
    whole.thumbnail((64, 64))
    assert (image.size, image.mode) == (whole.size, whole.mode) == ((64, 43), mode)
    assert psnr(np.asarray(image), np.asarray(whole), 255) > 35


def test_a_draft_of_a_damaged_file_is_an_error(path):
    data = bytearray(path.read_bytes())
    data[-10] ^= 1
    with pytest.raises(OSError, match="damaged"):
        opened(data).thumbnail((20, 20))


# What a system calls them


def test_the_mime_type_is_registered(path):
    with Image.open(path) as image:
        assert image.get_format_mimetype() == "image/x-vae"
    assert Image.registered_extensions()[".vae"] == "VAE"


@pytest.mark.skipif(shutil.which("file") is None, reason="needs file(1)")
@pytest.mark.parametrize(("name", "form"), [("colour-q20", "learned"), ("stored", "stored")])
def test_file_1_knows_them_by_our_magic(name, form):
    command = ["file", "--brief", "-m", MIME / "vae.magic", GOLDEN / f"{name}.vae"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert told == f"vaetool compressed picture, version 1, {form}\n"
    told = subprocess.run([*command, "--mime-type"], capture_output=True, text=True, check=True).stdout
    assert told == "image/x-vae\n"


@pytest.mark.skipif(shutil.which("update-mime-database") is None, reason="needs shared-mime-info")
def test_desktops_know_them_by_our_mime_type(tmp_path):
    (tmp_path / "mime" / "packages").mkdir(parents=True)
    shutil.copy(MIME / "vae.xml", tmp_path / "mime" / "packages")
    environment = {**os.environ, "XDG_DATA_DIRS": str(tmp_path)}
    subprocess.run(["update-mime-database", tmp_path / "mime"], check=True, env=environment)
    assert "image/x-vae:*.vae" in (tmp_path / "mime" / "globs").read_text().splitlines()
    assert b"[50:image/x-vae]\n>0=\x00\x04\x89VAE\n" in (tmp_path / "mime" / "magic").read_bytes()
