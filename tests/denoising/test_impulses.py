"""Salt and pepper goes; what looks a little like it stays."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vaetool.denoising.impulses import without_impulses
from vaetool.images.metrics import psnr

CONVERSIONS = {np.uint8: 255, np.uint16: 65535, np.float32: 1}


@pytest.fixture(scope="module", params=["china", "flower"])
def photo(request, photographs) -> np.ndarray:
    return np.asarray(photographs[request.param])


def with_impulses(pixels: np.ndarray, share: float, *, each_channel: bool = False) -> np.ndarray:
    top = CONVERSIONS[pixels.dtype.type]
    draw = np.random.default_rng(0).random(pixels.shape if each_channel else (*pixels.shape[:2], 1))
    return np.where(draw < share / 2, 0, np.where(draw > 1 - share / 2, top, pixels)).astype(pixels.dtype)


@pytest.mark.parametrize("each_channel", [False, True])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.3])
def test_most_of_it_goes(photo, share, each_channel):
    noisy = with_impulses(photo, share, each_channel=each_channel)
    assert psnr(without_impulses(noisy), photo) > psnr(noisy, photo) + 12


@pytest.mark.parametrize("dtype", CONVERSIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_it_goes_from_every_type(photo, dtype, channels):
    clean = (photo[:, :, :channels] / 255 * CONVERSIONS[dtype]).astype(dtype)
    noisy = with_impulses(clean, 0.05)
    cleaned = without_impulses(noisy)
    assert cleaned.dtype == dtype
    peak = CONVERSIONS[dtype]
    assert psnr(cleaned, clean, peak) > psnr(noisy, clean, peak) + 12


def test_it_goes_from_black_and_white_areas_too():
    clean = np.full((64, 64, 1), 128, np.uint8)
    clean[:32], clean[:, :16] = 0, 255
    noisy = with_impulses(clean, 0.05)
    assert (without_impulses(noisy) != clean).mean() < (noisy != clean).mean() / 5


def test_a_photo_is_not_touched(photo):
    assert without_impulses(photo) is photo


@pytest.mark.parametrize("sigma", [25, 50, 75])
def test_white_noise_that_is_clipped_is_not_touched(photo, sigma):
    noisy = np.random.default_rng(0).normal(photo, sigma).clip(0, 255).round().astype(np.uint8)
    assert without_impulses(noisy) is noisy


def test_stars_are_not_touched():
    sky = np.random.default_rng(0).normal(3, 3, (128, 128, 1)).clip(0, 255).round().astype(np.uint8)
    sky[with_impulses(np.full_like(sky, 128), 0.01) == 255] = 255
    assert without_impulses(sky) is sky


@pytest.mark.parametrize("size", [6, 8, 11, 16])
@pytest.mark.parametrize("colours", ["black on white", "white on black"])
def test_letters_are_not_touched(photo, size, colours):
    ink, paper = colours.split(" on ")
    page = Image.new("RGB", (320, 240), paper)
    pen, font = ImageDraw.Draw(page), ImageFont.load_default(size)
    for top in range(0, 240, size + 3):
        pen.text((2, top), "Sphinx of black quartz, judge my vow: 0123456789 ...", ink, font)
    page.paste(Image.fromarray(photo), (150, 100))
    pixels = np.asarray(page)
    assert without_impulses(pixels) is pixels


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 500, 3), (2, 2, 1)])
def test_small_pictures_are_no_trouble(shape):
    pixels = np.random.default_rng(0).choice(np.array([0, 128, 255], np.uint8), shape)
    assert without_impulses(pixels).shape == shape


def test_noise_that_was_not_clipped_is_not_touched(photo):
    noisy = np.random.default_rng(0).normal(photo / 255, 0.2).astype(np.float32)
    assert without_impulses(noisy) is noisy


def test_large_black_and_white_areas_cost_little():
    pixels = np.zeros((1500, 2000, 3), np.uint8)
    pixels[:500], pixels[:, 990:1010] = 255, 128
    started = time.process_time()
    assert without_impulses(pixels) is pixels
    assert time.process_time() - started < 2  # it takes a tenth of that; looking at each pixel took 20
