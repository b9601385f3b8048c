"""Texts of EXIF come back byte for byte, whatever they are in."""

import io
import struct

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image

from tests.images.samples import CARRIERS, drawn, saved
from vaetool import images
from vaetool.errors import ImageError
from vaetool.images import Picture

TEXTS = {270: "Zoë am Fluß, 猫".encode(), 315: "Zoë".encode(), 33432: b"Andr\xe9, in Latin-1"}


def block(texts):
    """EXIF with texts of any bytes, made by hand: Pillow writes ASCII alone."""
    entries = values = b""
    place = 8 + 2 + 12 * len(texts) + 4
    for tag, value in texts.items():
        entries += struct.pack("<HHII", tag, 2, len(value) + 1, place + len(values))
        values += value + bytes(1 + (len(value) + 1) % 2)
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", len(texts)) + entries + bytes(4) + values


@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP", "AVIF"])
@pytest.mark.parametrize("result", CARRIERS)
def test_texts_survive_new_pixels(source, result):
    picture = images.read(saved(Image.fromarray(drawn()), source, exif=block(TEXTS)))
    data = images.encode(picture.replace_pixels(255 - picture.pixels), result)
    assert [value in data for value in TEXTS.values()] == [True] * 3


@pytest.mark.parametrize("result", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_texts_of_a_tiff_survive_new_pixels(dtype, result):
    file, samples = io.BytesIO(), drawn(dtype=dtype)
    tags = [(tag, 2, len(value) + 1, value + b"\0", True) for tag, value in TEXTS.items()]
    tifffile.imwrite(file, samples, photometric="rgb", metadata=None, software=False, extratags=tags)
    picture = images.read(file.getvalue())
    data = images.encode(picture.replace_pixels(np.iinfo(dtype).max - samples), result)
    assert [value in data for value in TEXTS.values()] == [True] * 3


def test_texts_of_the_camera_survive_as_well():
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.LensModel] = "Zoe's"
    data = saved(Image.fromarray(drawn()), "JPEG", exif=exif.tobytes().replace(b"Zoe's", "Zoë".encode() + b"\0"))
    picture = images.read(data)
    for result in CARRIERS:
        assert "Zoë".encode() in images.encode(picture.replace_pixels(255 - picture.pixels), result)


def test_a_text_that_a_program_has_set_is_written_in_utf_8():
    image = Image.fromarray(drawn())
    image.getexif()[ExifTags.Base.Artist] = "猫"
    assert "猫".encode() in images.encode(images.from_pil(image), "PNG")


@pytest.mark.parametrize(("orientation", "size"), [(1, (24, 16)), (3, (24, 16)), (6, (16, 24)), (8, (16, 24))])
@pytest.mark.parametrize("source", ["JPEG", "TIFF"])
def test_sizes_and_resolution_turn_with_the_picture(source, orientation, size):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    width, height = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
    exif.get_ifd(ExifTags.IFD.Exif).update({width: 24, height: 16})
    picture = images.read(saved(Image.fromarray(drawn()), source, exif=exif, dpi=(300, 150)))
    assert (picture.width, picture.height) == size
    assert picture.dpi == ((300, 150) if size == (24, 16) else (150, 300))
    if source == "JPEG":
        carried = Image.Exif()
        carried.load(picture.exif)
        photo = carried.get_ifd(ExifTags.IFD.Exif)
        assert (photo[width], photo[height]) == size


def test_exif_too_large_for_a_jpeg_says_what_to_do():
    picture = Picture(drawn(), exif=block({270: b"a" * 70_000}))
    with pytest.raises(ImageError, match=r"more EXIF than the 64 KiB.* --strip"):
        images.encode(picture, "JPEG")
    assert images.read(images.encode(picture, "JPEG", strip=True)).exif is None
    largest = Picture(drawn(), exif=block({270: b"a" * 65498}))
    assert len(largest.exif) == 65532
    assert images.read(images.encode(largest, "JPEG")).exif == largest.exif
