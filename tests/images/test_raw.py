"""Camera raw files, and other pictures that are not read, are refused by name."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.images.samples import drawn, saved, tiff_by_hand
from vaetool import images
from vaetool.errors import ImageError

PREVIEW = np.ascontiguousarray(drawn(30, 40)).tobytes()


def text(words):
    return (2, [*words.encode(), 0])


def raw(**tags):
    """A file with a small preview on its first page."""
    return tiff_by_hand(PREVIEW, 30, 40, 2, 8, 3, **tags)


RAW_FILES = {
    "DNG": raw(t50706=(1, [1, 4, 0, 0])),
    "NEF": raw(t254=(4, [1]), t330=(4, [8]), t271=text("NIKON CORPORATION")),
    "ARW": raw(t254=(4, [1]), t330=(4, [8]), t271=text("SONY")),
    "PEF": tiff_by_hand(PREVIEW, 30, 120, 32803, 8, t271=text("PENTAX Corporation")),
    "of an unknown maker": tiff_by_hand(PREVIEW, 30, 40, 34892, 8, 3),
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + raw()[8:],
}


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("name", RAW_FILES)
def test_the_preview_of_a_raw_file_is_not_taken_for_the_photo(name, whole):
    with pytest.raises(
        ImageError, match=rf"camera raw, {name}: convert it to TIFF or PNG first, with darktable, RawTherapee or dcraw"
    ):
        images.read(RAW_FILES[name], whole=whole)


@pytest.mark.parametrize("maker", ["NIKON CORPORATION", "Canon"])
def test_a_photo_that_was_developed_is_no_raw_file(maker):
    assert (images.read(raw(t271=text(maker))).pixels == drawn(30, 40)).all()


def test_a_small_copy_below_the_photo_makes_no_raw_file():
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(drawn(64, 64), photometric="rgb", subifds=1, metadata=None)
        writer.write(drawn(32, 32), photometric="rgb", subfiletype=1, metadata=None)
    assert images.read(file.getvalue()).height == 64


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "camera raw"),
        (b"FUJIFILMCCD-RAW 0201", "camera raw"),
        (b"IIRO\x08\0\0\0", "camera raw"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"8BPS\0\x01", "Photoshop"),
    ],
)
def test_other_pictures_are_refused_by_the_name_of_their_kind(head, kind):
    with pytest.raises(ImageError, match=rf"not a readable image \({kind}: .* first, with "):
        images.read(head + bytes(100))


def test_an_avif_of_a_general_brand_is_read():
    data = saved(Image.fromarray(drawn()), "AVIF")
    assert images.read(data.replace(b"ftypavif", b"ftypmif1", 1)).format == "AVIF"
