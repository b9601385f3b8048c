"""Arithmetic of lower precision, with the bundled weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.photographs import small_photographs
from vaetool import load
from vaetool.nn.precision import has_bf16_units


@pytest.mark.parametrize("name", ["photo-denoise", "photo-denoise-gaussian"])
@pytest.mark.parametrize("sigma", [5, 25, 50])
@pytest.mark.parametrize("photo", small_photographs().values(), ids=small_photographs())
def test_a_picture_cleaned_in_bfloat16_is_the_same_within_one_level(name, sigma, photo):
    clean = np.asarray(photo)
    noisy = np.rint(clean + np.random.default_rng(0).normal(0, sigma, clean.shape)).clip(0, 255).astype(np.uint8)
    exact, fast = (load(name, precision=precision).denoise(noisy) for precision in ("float32", "bfloat16"))
    difference = np.abs(exact.astype(int) - fast)
    assert 0 < difference.max() <= 1
    assert not np.array_equal(exact, noisy)


def test_a_hole_filled_in_bfloat16_is_nearly_the_same():
    photo = np.asarray(small_photographs()["china"])
    hole = np.zeros(photo.shape[:2], bool)
    hole[40:44, 20:120] = True
    exact, fast = (
        load("photo-inpaint", precision=precision).inpaint(photo, hole) for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(exact.astype(int) - fast).max() <= 2


def test_auto_is_bfloat16_where_it_is_fast():
    expected = has_bf16_units(torch.device("cpu"))
    assert load("photo-denoise", device="cpu").unet.fast == expected
    assert load("photo-denoise", device="cpu", precision="bfloat16").unet.fast
    assert not load("photo-denoise", device="cpu", precision="float32").unet.fast
