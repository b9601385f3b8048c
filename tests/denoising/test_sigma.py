"""What maps of sigma are made from."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from vaetool import load
from vaetool.denoising.sigma import has_salt_and_pepper
from vaetool.images.metrics import psnr


def salted(clean: np.ndarray, share: float) -> np.ndarray:
    draw = np.random.default_rng(0).random((*clean.shape[:2], 1))
    top = np.iinfo(clean.dtype).max
    return np.where(draw < share / 2, 0, np.where(draw > 1 - share / 2, top, clean)).astype(clean.dtype)


@pytest.fixture(params=["china.jpg", "flower.jpg"])
def photo(request) -> np.ndarray:
    return load_sample_image(request.param)


def test_salt_and_pepper_is_seen_in_pictures_of_every_kind(photo):
    for clean in (photo, photo[:, :, :1], photo.astype(np.uint16) * 257):
        assert has_salt_and_pepper(salted(clean, 0.02))
        assert not has_salt_and_pepper(clean)
    assert has_salt_and_pepper(salted(photo, 0.02) / 255)


@pytest.mark.parametrize("sigma", [5, 25])
def test_other_noise_is_no_salt_and_pepper(photo, sigma):
    noise = np.random.default_rng(0).normal(0, sigma, (*photo.shape[:2], 1))
    assert not has_salt_and_pepper(np.rint(photo + noise).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("shape", [(1, 1, 3), (2, 5, 1)])
def test_tiny_pictures_have_none(shape):
    assert not has_salt_and_pepper(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("share", [0.01, 0.05])
def test_salt_and_pepper_goes(photo, share):
    noisy = salted(photo, share)
    clean = load("photo-denoise", device="cpu").denoise(noisy)
    assert psnr(clean, photo, 255) > psnr(noisy, photo, 255) + GAIN[share]


def test_a_share_of_salt_and_pepper_goes(photo):
    noisy = salted(photo, 0.05).astype(np.float32) / 255
    model = load("photo-denoise", device="cpu")
    everything, half = (model.denoise(noisy, strength=strength) - noisy for strength in (1, 0.5))
    assert np.abs(everything).max() > 0.5
    assert np.allclose(half, 0.5 * everything, atol=1e-4)


GAIN = {0.01: 0.5, 0.05: 3.0}  # decibels
