"""Files that were written once decode for ever, to the same symbols: their bytes are in tests/golden."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import vaetool
from tests.make_golden import GOLDEN, MADE, decoded
from vaetool import images
from vaetool.compression import container
from vaetool.compression.unpacking import unpack
from vaetool.images import MAX_PIXELS


def test_all_golden_files_are_here():
    assert {path.stem for path in GOLDEN.glob("*.vae")} >= set(MADE)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vae")), ids=lambda path: path.stem)
def test_a_golden_file_decodes_as_it_always_did(path):
    """Symbols are checked by the checksum in the file; pixels may differ by a level, as floating point does."""
    found, expected = decoded(path.read_bytes()), images.read(path.with_suffix(".png"))
    assert found.pixels.dtype == expected.pixels.dtype
    assert found.pixels.shape == expected.pixels.shape
    level = 257 if found.pixels.dtype == np.uint16 else 1
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= level
    np.testing.assert_array_equal(found.alpha, expected.alpha)
    assert (found.exif, found.xmp, found.texts) == (expected.exif, expected.xmp, expected.texts)
    assert found.dpi == (expected.dpi and pytest.approx(expected.dpi))


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vae")), ids=lambda path: path.stem)
def test_a_golden_file_is_written_again_byte_by_byte(path):
    data = path.read_bytes()
    assert container.pack(unpack(data, MAX_PIXELS)) == data


def test_the_public_function_reads_one():
    data = (GOLDEN / "colour-q80.vae").read_bytes()
    with Image.open(GOLDEN / "colour-q80.png") as expected:
        difference = np.asarray(vaetool.decompress(data)).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1
