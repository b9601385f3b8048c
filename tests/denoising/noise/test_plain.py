"""Each kind of noise is what its formula says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaetool.denoising.noise import plain

COUNT, SIZE = 64, 64


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def grey(value: float = 0.5, count: int = COUNT, channels: int = 3) -> torch.Tensor:
    return torch.full((count, channels, SIZE, SIZE), value)


def neighbours(noise: torch.Tensor) -> torch.Tensor:
    """The correlation of each pixel with the one beside it, per picture."""
    left, right = noise[..., :-1], noise[..., 1:]
    return (left * right).mean(dim=(1, 2, 3)) / noise.square().mean(dim=(1, 2, 3))


@pytest.mark.parametrize("kind", [*plain.KINDS, lambda x, g: plain.white(x, g, 55 / 255)])
def test_noise_has_no_mean_and_its_strength_varies(kind, generator):
    noise = kind(grey(), generator)
    assert noise.shape == (COUNT, 3, SIZE, SIZE)
    assert noise.mean().abs() < 2e-3
    sigmas = noise.std(dim=(1, 2, 3))
    assert sigmas.max() > 3 * sigmas.min()


@pytest.mark.parametrize("kind", plain.KINDS)
def test_grey_pictures_of_one_channel_take_noise_too(kind, generator):
    assert kind(grey(channels=1), generator).std() > 1e-3


def test_the_sigma_of_white_noise_is_uniform(generator):
    sigmas = 255 * plain.white(grey(count=2000)[:, :, :8, :8], generator, 40 / 255).std(dim=(1, 2, 3))
    assert np.quantile(sigmas.numpy(), [0.25, 0.5, 0.75]) == pytest.approx([10, 20, 30], rel=0.1)


def test_white_noise_is_white_and_correlated_noise_is_not(generator):
    assert neighbours(plain.white(grey(), generator, 0.2)).abs().max() < 0.1
    assert neighbours(plain.correlated(grey(), generator)).median() > 0.5


def test_the_variance_of_noise_of_light_grows_with_the_light(generator, monkeypatch):
    monkeypatch.setattr(plain, "MAX_READ", 0.0)
    monkeypatch.setattr(plain, "PHOTONS", (100.0, 100.0))
    for value in (0.1, 0.4, 0.9):
        assert float(plain.shot_noise(grey(value, 8), generator).var()) == pytest.approx(value / 100, rel=0.02)


def test_noise_of_colours_is_mostly_in_the_colours(generator):
    noise = plain.chroma_noise(grey(), generator)
    assert noise.mean(dim=1).square().mean() < 0.3 * noise.square().mean()


def test_grain_is_the_same_in_all_colours_and_strongest_in_the_middle(generator):
    noise = plain.grain(grey(), generator)
    assert torch.equal(noise[:, 0], noise[:, 2])
    assert noise.var() > 2 * plain.grain(grey(0.98), generator).var()


def test_impulses_are_black_and_white_pixels_and_no_more_than_their_share(generator):
    clean = grey(0.25)
    noisy = clean + plain.impulses(clean, generator)
    hit = noisy != clean
    assert set(noisy[hit].tolist()) == {0.0, 1.0}
    shares = hit.float().mean(dim=(1, 2, 3))
    low, high = plain.IMPULSES
    assert low / 2 < shares.min() < 3 * low
    assert high / 2 < shares.max() < 1.2 * high
    together = (hit[:, :1] == hit).flatten(1).all(dim=1)
    assert 20 < together.sum() < 44
