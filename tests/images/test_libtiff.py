"""What libtiff would print goes into warnings, and nothing to standard error."""

import io
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

from tests.images.samples import saved
from vaetool import images
from vaetool.errors import ImageError

DAMAGED = ("is a damaged TIFF file: parts of the picture may be missing",)


def fax():
    page = np.random.default_rng(0).integers(0, 2, (40, 64)).astype(bool)
    return bytearray(saved(Image.fromarray(page), "TIFF", compression="group4"))


def damaged_fax():
    data = fax()
    data[200:204] = b"\xff" * 4
    return bytes(data)


@pytest.mark.parametrize("whole", [False, True])
def test_a_damaged_fax_is_read_as_far_as_it_goes_and_that_is_said(whole):
    assert images.read(bytes(fax()), whole=whole).warnings == ()
    assert images.read(damaged_fax(), whole=whole).warnings == DAMAGED


def test_nothing_goes_to_standard_error(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        sound = saved(Image.fromarray(pixels), "TIFF", compression=compression)
        for number in range(20):
            data = bytearray(sound)
            for place in rng.integers(8, len(data), 3):
                data[place] = rng.integers(0, 256)
            (tmp_path / f"{compression}{number}.tif").write_bytes(data)
    (tmp_path / "fax.tif").write_bytes(damaged_fax())
    program = """
import logging, pathlib, sys, vaetool.errors, vaetool.images
logging.getLogger().addHandler(logging.NullHandler())  # as the command does
for path in pathlib.Path(sys.argv[1]).iterdir():
    try:
        vaetool.images.read(path, max_pixels=10**6)
    except vaetool.errors.ImageError:
        pass
"""
    done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, env=os.environ, check=True)
    assert done.stderr == b""


def test_threads_hear_of_their_own_files():
    found = {}

    def read(number):
        data = damaged_fax() if number % 2 else bytes(fax())
        found[number] = [images.read(io.BytesIO(data)).warnings for _ in range(20)]

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [DAMAGED if number % 2 else ()] * 20 for number in range(4)}


def test_what_cannot_be_decoded_at_all_is_an_error():
    data = bytearray(saved(Image.effect_noise((40, 40), 50), "TIFF", compression="tiff_adobe_deflate"))
    data[30] ^= 255
    with pytest.raises(ImageError, match="not a readable image"):
        images.read(bytes(data))
