"""One machine, one picture: however many threads compute it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vaetool
from vaetool.compression.decode import decompress_picture
from vaetool.compression.encode import compress
from vaetool.images import Picture

FAST = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")


@pytest.mark.skipif(not FAST, reason="of other processors it is not known")
@pytest.mark.parametrize("name", ["photo-codec", "photo-codec-0"])
def test_a_picture_is_decoded_to_the_same_pixels_on_any_number_of_threads(photographs, name):
    codec = vaetool.load(name, device="cpu")
    data = compress(Picture(np.asarray(photographs["china"])[:180, :250]), codec, quality=60)
    before = torch.get_num_threads()
    pictures = []
    try:
        for count in (1, 2, 3, 8):
            torch.set_num_threads(count)
            pictures.append(decompress_picture(data, codec)[0].pixels)
    finally:
        torch.set_num_threads(before)
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)
