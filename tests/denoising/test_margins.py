"""Small pictures: mirrored, cleaned, cut again."""

from __future__ import annotations

import numpy as np
import pytest

import vaetool
from vaetool.denoising.margins import LEAST_SIDE, cut_off, margins_of, mirrored
from vaetool.images.metrics import psnr


@pytest.mark.parametrize("shape", [(48, 64, 1), (1, 1, 3), (30, 400, 3), (143, 145, 3)])
def test_what_is_mirrored_is_large_and_can_be_cut_off_again(shape):
    pixels = np.random.default_rng(0).random(shape)
    margins = margins_of(pixels, 4)
    larger = mirrored(pixels, margins)
    assert min(larger.shape[:2]) >= LEAST_SIDE
    assert not any(margins_of(larger, 4))
    assert np.array_equal(cut_off(larger, margins), pixels)
    places = np.zeros([-(-size // 4) for size in shape[:2]])
    places[-1, -1] = 1
    larger_map = mirrored(places[..., None], margins, 4)
    assert larger_map.shape[:2] == tuple(-(-size // 4) for size in larger.shape[:2])
    assert np.array_equal(cut_off(larger_map, margins, 4)[..., 0], places)


def test_large_pictures_have_no_margins():
    assert margins_of(np.zeros((LEAST_SIDE, 2000, 3)), 4) == (0, 0)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("place", [np.s_[20:68, 40:88], np.s_[40:70, 40:140], np.s_[:64, :64]])
def test_small_pictures_are_cleaned_as_if_their_noise_was_known(photographs, mode, place):
    """Without margins, sigma was taken for about 1 in most of these, and almost nothing was removed."""
    model = vaetool.load("photo-denoise", device="cpu", precision="float32")
    for picture in photographs.values():
        clean = np.asarray(picture.convert(mode), float)[place] / 255
        noisy = (clean + np.random.default_rng(0).normal(0, 15 / 255, clean.shape)).clip(0, 1)
        blind, informed = (psnr(model.denoise(noisy, sigma), clean) for sigma in (None, 15))
        assert blind > psnr(noisy, clean) + 2
        assert blind > informed - 0.6


def test_a_single_pixel_is_cleaned():
    model = vaetool.load("photo-denoise", device="cpu")
    assert np.asarray(model.denoise(np.full((1, 1, 3), 0.5), sigma=20)).shape == (1, 1, 3)
