"""HEIC, which phones write, read by pillow-heif where that is installed."""

import subprocess
import sys

import numpy as np
import pillow_heif
import pytest
from PIL import ExifTags, Image

from tests.images.samples import ORIENTATION, SRGB, drawn
from vaetool import images
from vaetool.errors import ImageError


def heic(path, **options):
    """Write a small picture, and return its pixels."""
    pillow_heif.register_heif_opener()
    pixels = drawn(48, 64)
    Image.fromarray(pixels).save(path, "HEIF", quality=-1, chroma=444, **options)  # without loss but for the colours
    return pixels


def test_pixels_profile_and_exif_are_read(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    pixels = heic(tmp_path / "a.heic", icc_profile=SRGB, exif=exif)
    picture = images.read(tmp_path / "a.heic")
    assert abs(picture.pixels.astype(int) - pixels).max() <= 3
    assert picture.icc_profile == SRGB
    assert b"Maker" in picture.exif
    assert picture.warnings == ()


def test_a_picture_is_upright_and_not_turned_twice(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    pixels = heic(tmp_path / "a.heic", exif=exif.tobytes())
    upright = np.rot90(pixels, -1)
    picture = images.read(tmp_path / "a.heic")
    assert abs(picture.pixels.astype(int) - upright).max() <= 3
    data = images.encode(picture, "PNG")
    assert images.read(data).pixels.shape == upright.shape


def test_ten_bits_are_read_as_eight_and_that_is_said(tmp_path):
    deep = drawn(48, 64, dtype=np.uint16)
    pillow_heif.from_bytes(mode="RGB;16", size=(64, 48), data=deep.tobytes()).save(tmp_path / "a.heic", quality=-1)
    picture = images.read(tmp_path / "a.heic")
    assert picture.pixels.dtype == np.uint8
    assert picture.warnings == ("10-bit RGB is read as 8-bit",)


def test_files_in_a_folder_are_taken_and_become_png(vaetool, tmp_path):
    heic(tmp_path / "IMG_1.HEIC")
    result = vaetool("denoise", tmp_path, "-o", f"{tmp_path / 'out'}/")
    assert (result.exit_code, sorted(path.name for path in (tmp_path / "out").iterdir())) == (0, ["IMG_1.png"])


def test_a_damaged_one_is_refused_in_one_line(tmp_path):
    heic(tmp_path / "a.heic")
    data = (tmp_path / "a.heic").read_bytes()
    for end in (40, len(data) // 2):
        with pytest.raises(ImageError, match="not a readable image"):
            images.read(data[:end])


def test_without_the_library_the_message_says_how_to_get_it(tmp_path):
    heic(tmp_path / "a.heic")
    code = (
        "import importlib.util as u, sys; find = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name == 'pillow_heif' else find(name, *rest);"
        "from vaetool.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code, "denoise", tmp_path / "a.heic"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "HEIC: convert it to TIFF or PNG first" in done.stderr
    assert "pip install 'vaetool[heif]'" in done.stderr
