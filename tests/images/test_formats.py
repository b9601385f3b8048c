"""The format that a name asks for: `vaetool.images.formats`."""

import pytest

from vaetool import images
from vaetool.errors import UsageError


@pytest.mark.parametrize(
    ("path", "file_format"), [("a.png", "PNG"), ("b/c.JPEG", "JPEG"), ("x.y.tif", "TIFF"), ("g.pgm", "PPM")]
)
def test_the_suffix_of_an_output_decides_its_format(path, file_format):
    assert images.format_for(path) == file_format


@pytest.mark.parametrize("path", ["a.docx", "noend", "a.gif", "a."])
def test_an_unknown_suffix_is_a_usage_error(path):
    with pytest.raises(UsageError, match=r"choose .png, .jpg"):
        images.format_for(path)
