"""Files that were written once decode for ever, to the same symbols: their bytes are in tests/golden.

    VAETOOL_MAKE_GOLDEN=1 pytest -n 0 tests/test_golden.py

makes those that are missing, with the bundled codec, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaetool
from vaetool import images
from vaetool.compression.decode import find_codec
from vaetool.compression.encode import compress, container, restore
from vaetool.images import MAX_PIXELS, Picture

GOLDEN = Path(__file__).parent / "golden"


def colour(photographs) -> Picture:
    return images.from_pil(photographs["china"])


def grey_with_everything(photographs) -> Picture:
    """Grey with a soft alpha channel and EXIF."""
    grey = photographs["flower"].convert("L").resize((96, 61))
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (61, 1))
    exif = Image.Exif()
    exif[0x010E] = "a flower"
    return Picture(np.asarray(grey)[:, :, None].copy(), alpha, exif=exif.tobytes())


def colour_in_two_tiles(photographs) -> Picture:
    return images.from_pil(photographs["china"].resize((1090, 60)))


def sixteen_bits(photographs) -> Picture:
    pixels = np.asarray(photographs["flower"].convert("L"))[:50, :70]
    return Picture((pixels.astype(np.uint16) * 257)[:, :, None])


def drawing(photographs) -> Picture:
    pixels = np.full((90, 120, 3), 255, np.uint8)
    pixels[20:60, 30:90] = (200, 30, 30)
    return Picture(pixels)


MADE: dict[str, tuple[Callable[..., Picture], int]] = {
    "colour-q20": (colour, 20),
    "colour-q80": (colour, 80),
    "grey-alpha-exif-q50": (grey_with_everything, 50),
    "grey-16-bit-q60": (sixteen_bits, 60),
    "colour-two-tiles-q10": (colour_in_two_tiles, 10),
    "stored": (drawing, 50),
}


@pytest.mark.skipif("VAETOOL_MAKE_GOLDEN" not in os.environ, reason="only when asked to")
@pytest.mark.parametrize("name", MADE)
def test_make_what_is_missing(name, photographs):
    path = GOLDEN / f"{name}.vae"
    if path.exists():
        pytest.skip("it is there")
    make, quality = MADE[name]
    data = compress(make(photographs), vaetool.load("photo-codec", device="cpu"), quality=quality)
    path.write_bytes(data)
    (GOLDEN / f"{name}.png").write_bytes(images.encode(decoded(data), "PNG"))


def decoded(data: bytes) -> Picture:
    content = container.unpack(data, MAX_PIXELS)
    codec = find_codec(content.coded.model, device="cpu") if content.coded else None
    return restore(content, codec)


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
    assert found.exif == expected.exif


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.vae")), ids=lambda path: path.stem)
def test_a_golden_file_is_written_again_byte_by_byte(path):
    data = path.read_bytes()
    assert container.pack(container.unpack(data, MAX_PIXELS)) == data


def test_the_public_function_reads_one():
    data = (GOLDEN / "colour-q80.vae").read_bytes()
    with Image.open(GOLDEN / "colour-q80.png") as expected:
        difference = np.asarray(vaetool.decompress(data)).astype(int) - np.asarray(expected)
    assert np.abs(difference).max() <= 1
