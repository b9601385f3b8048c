"""How well the default denoiser cleans what cameras leave, and how much of a clean picture it leaves as it is.

The floors are guards, well below what was measured: the figures themselves are in docs/benchmarks.md.
"""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from vaetool.demo import by_camera
from vaetool.images.metrics import psnr

MODEL = "photo-denoise"
CLEAN = 42.0  # dB between a clean picture and what comes out
NAMES = ("china", "flower")


def saved(pixels: np.ndarray, quality: int, subsampling: str) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.asarray(Image.open(file))


def white(pixels: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, pixels.shape)
    return np.rint(pixels + noise).clip(0, 255).astype(np.uint8)


def gain(model, noisy: np.ndarray, clean: np.ndarray) -> float:
    return psnr(model.denoise(noisy), clean, 255) - psnr(noisy, clean, 255)


@pytest.mark.parametrize("name", NAMES)
def test_a_cameras_noise_goes(model, photos, name):
    clean, noisy = by_camera(photos[name])
    assert gain(model, noisy, clean) > 2.5


@pytest.mark.parametrize(("sigma", "floor"), [(15, 3), (25, 4.5), (50, 6)])
@pytest.mark.parametrize("name", NAMES)
def test_white_noise_goes(model, photos, name, sigma, floor):
    assert gain(model, white(photos[name], sigma), photos[name]) > floor


@pytest.mark.parametrize(("sigma", "floor"), [(15, 2.5), (25, 3.5), (50, 5.5)])
@pytest.mark.parametrize("name", NAMES)
def test_grey_pictures_are_cleaned_as_well(model, photos, name, sigma, floor):
    clean = np.asarray(Image.fromarray(photos[name]).convert("L"))[:, :, None]
    noisy = white(clean, sigma)
    assert gain(model, noisy, clean) > floor


HIGH = pytest.mark.xfail(strict=True, reason="18.8 instead of 15: the estimate errs on the high side in foliage")


@pytest.mark.parametrize("sigma", [15, 25, 50])
@pytest.mark.parametrize("name", NAMES)
def test_the_noise_of_grey_pictures_is_read(model, photos, name, sigma, request):
    if (name, sigma) == ("china", 15):
        request.applymarker(HIGH)
    noisy = white(np.asarray(Image.fromarray(photos[name]).convert("L"))[:, :, None], sigma)
    assert model.estimate_sigma(noisy) == pytest.approx(sigma, rel=0.25)


def test_the_noise_of_a_flat_16_bit_scan_is_read(model):
    noise = np.random.default_rng(0).normal(0, 3000, (256, 256, 1))
    scan = (30000 + noise).clip(0, 65535).astype(np.uint16)
    assert model.estimate_sigma(scan) == pytest.approx(3000 / 257, rel=0.1)


@pytest.mark.parametrize("quality", [10, 30, 50, 60])
@pytest.mark.parametrize("name", NAMES)
def test_the_blocks_of_strong_jpeg_go(model, photos, name, quality):
    assert gain(model, saved(photos[name], quality, "4:2:0"), photos[name]) > 0.15


def test_in_a_picture_with_colours_grey_texture_is_hardly_noise(model):
    rng = np.random.default_rng(0)
    gravel = 150 + 25 * rng.normal(size=(256, 256, 1)) + 1.5 * rng.normal(size=(256, 256, 3))
    gravel[:20] = (200, 40, 40)
    noise = 255 * model.noise_map(gravel.clip(0, 255).astype(np.uint8))
    assert np.median(noise[24:]) == pytest.approx(5 * 1.5 * (2 / 3) ** 0.5, rel=0.2)


def test_faint_grey_noise_of_a_camera_is_noise_where_its_colours_are_gone(model):
    rng = np.random.default_rng(0)
    wall = np.linspace(40, 100, 256)[None, :, None] * (1, 0.9, 0.8) + np.zeros((256, 1, 1))
    wall[:20] = (200, 40, 40)
    noisy = (wall + 3 * rng.normal(size=(256, 256, 1))).round().clip(0, 255).astype(np.uint8)
    assert 255 * np.median(model.noise_map(noisy)[24:]) == pytest.approx(3, rel=0.35)
    assert np.abs(model.denoise(noisy)[100:] - wall[100:]).mean() < 0.5  # of the noise 2.4


@pytest.mark.parametrize("name", NAMES)
def test_white_noise_that_was_saved_as_jpeg_goes(model, photos, name):
    noisy = saved(white(photos[name], 25), 95, "4:2:0")
    assert gain(model, noisy, photos[name]) > 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("factor", [1, 2])
def test_a_clean_photo_stays_foliage_from_edge_to_edge_included(model, photos, name, factor):
    clean = np.asarray(Image.fromarray(photos[name]).reduce(factor))
    assert psnr(model.denoise(clean), clean, 255) >= CLEAN


@pytest.mark.parametrize("quality", [75, 90])
@pytest.mark.parametrize("name", NAMES)
def test_a_clean_jpeg_stays(model, photos, name, quality):
    clean = saved(photos[name], quality, "4:2:0")
    assert psnr(model.denoise(clean), clean, 255) >= CLEAN


@pytest.mark.parametrize("colours", [4, 64, 200])
@pytest.mark.parametrize("name", NAMES)
def test_a_dithered_picture_stays(model, photos, name, colours):
    image = Image.fromarray(photos[name])
    palette = image.quantize(colours)
    clean = np.asarray(image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))
    assert psnr(model.denoise(clean), clean, 255) >= CLEAN


@pytest.mark.parametrize("mode", ["1", "L"])
def test_a_page_of_text_stays(model, mode):
    page = Image.new("L", (640, 400), 255)
    draw = ImageDraw.Draw(page)
    draw.fontmode = mode
    font = ImageFont.load_default(14)
    for top in range(8, 390, 18):
        draw.text((10, top), f"{top}: The committee met at noon; 14 of 27 items were agreed upon, see p. 3.", 0, font)
    clean = np.asarray(page)
    assert psnr(model.denoise(clean), clean, 255) >= CLEAN
