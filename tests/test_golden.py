"""Files that were written once decode for ever, to the same symbols: their bytes are in tests/golden."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaetool
from tests.compression.test_exact import ROOT, SURROUNDINGS
from tests.make_golden import GOLDEN, MADE, decoded
from vaetool import images
from vaetool.compression import container
from vaetool.compression.unpacking import unpack
from vaetool.images import MAX_PIXELS
from vaetool.store import catalogue

FILES = sorted(GOLDEN.glob("*.vae"))

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def check_decoding(path: Path) -> None:
    """Symbols are checked by the checksum in the file; pixels may differ by a level, as floating point does."""
    found, expected = decoded(path.read_bytes()), images.read(path.with_suffix(".png"))
    assert found.pixels.dtype == expected.pixels.dtype
    assert found.pixels.shape == expected.pixels.shape
    level = 257 if found.pixels.dtype == np.uint16 else 1
    assert np.abs(found.pixels.astype(int) - expected.pixels).max() <= level
    np.testing.assert_array_equal(found.alpha, expected.alpha)
    assert (found.exif, found.xmp, found.texts) == (expected.exif, expected.xmp, expected.texts)
    assert found.dpi == (expected.dpi and pytest.approx(expected.dpi))


def test_all_golden_files_are_here():
    assert {path.stem for path in FILES} >= set(MADE)


def test_every_bundled_codec_has_golden_files():
    bundled = {entry["id"] for entry in catalogue.manifest().values() if entry["kind"] == "codec"}
    coded = [unpack(path.read_bytes(), MAX_PIXELS).coded for path in FILES]
    assert {streams.model.hex() for streams in coded if streams} == bundled


@every_file
def test_a_golden_file_decodes_as_it_always_did(path):
    check_decoding(path)


@pytest.mark.parametrize("surroundings", SURROUNDINGS)
def test_golden_files_decode_the_same_with_other_instructions_or_threads(surroundings):
    code = "from tests.test_golden import FILES, check_decoding\nfor path in FILES: check_decoding(path)"
    environment = {**os.environ, **SURROUNDINGS[surroundings]}
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, env=environment, check=True)


@every_file
def test_a_golden_file_is_written_again_byte_by_byte(path):
    data = path.read_bytes()
    assert container.pack(unpack(data, MAX_PIXELS)) == data


def test_the_public_function_reads_one():
    data = (GOLDEN / "colour-q80.vae").read_bytes()
    with Image.open(GOLDEN / "colour-q80.png") as expected:
        difference = np.asarray(vaetool.decompress(data)).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1
