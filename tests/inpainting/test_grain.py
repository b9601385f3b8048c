"""What is filled is as grainy as what is around it, and not more."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from vaetool.images.conversion import from_unit, to_unit
from vaetool.inpainting.grain import add_grain, grain_like, noise_energy

SHAPE = (160, 200)


def hole_of(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    hole = np.zeros(SHAPE, bool)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


HOLE = hole_of((40, 46, 10, 190), (90, 130, 60, 110))


def slope() -> np.ndarray:
    """A picture without details, (height, width, 3) in 0..1."""
    return np.linspace((0.3, 0.4, 0.5), (0.6, 0.5, 0.4), SHAPE[1]) * np.ones((SHAPE[0], 1, 1))


def noisy(sigma: float, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1, (*SHAPE, 3))
    noise = ndimage.gaussian_filter(noise, (0.6, 0.6, 0))
    return slope() + noise * np.multiply(sigma, (1.0, 0.6, 0.8)) / noise.std()


def in_eight_bits(values: np.ndarray) -> np.ndarray:
    return np.rint(values * 255).clip(0, 255).astype(np.uint8)


def strength(pixels: np.ndarray, where: np.ndarray) -> np.ndarray:
    fine = pixels - ndimage.gaussian_filter(pixels.astype(np.float32), (2, 2, 0))
    return fine[where].std(axis=0)


@pytest.mark.parametrize("sigma", [0.01, 0.04])
def test_a_smooth_spot_gets_the_grain_around_it_in_each_colour(sigma):
    true = in_eight_bits(noisy(sigma))
    filled = np.where(HOLE[..., None], in_eight_bits(slope()), true)
    before = filled.copy()
    add_grain(filled, HOLE)
    assert np.array_equal(filled[~HOLE], before[~HOLE])
    for part in (hole_of((40, 46, 10, 190)), hole_of((90, 130, 60, 110))):
        share = strength(filled, part) / strength(true, part)
        assert (share > 0.6).all()
        assert (share < 1.1).all()
    assert abs(filled[HOLE].mean() - before[HOLE].mean()) < 0.5


def test_a_picture_without_noise_gets_none_though_it_has_details():
    pixels = in_eight_bits(slope())
    pixels[30:60:4] = 20  # beside the hole
    before = pixels.copy()
    add_grain(pixels, HOLE)
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("kind", [np.uint16, np.float64, "grey"])
def test_pixels_of_every_kind_get_it_once(kind):
    filled = np.where(HOLE[..., None], slope(), noisy(0.04))
    filled = filled[..., :1] if kind == "grey" else from_unit(filled, np.dtype(kind))
    add_grain(filled, HOLE)
    once = filled.copy()
    add_grain(filled, HOLE)
    inside, outside = (strength(to_unit(once), where).mean() for where in (HOLE, ~HOLE))
    assert 0.6 < inside / outside < 1.1
    assert np.abs(to_unit(filled) - to_unit(once)).mean() < 0.01


def test_noise_is_told_for_each_shade_from_the_calmest_parts():
    values, noise = np.full((*SHAPE, 3), 0.25), np.random.default_rng(0).normal(0, 1, (*SHAPE, 3))
    values[80:] = 0.7
    values += noise * np.where(values < 0.5, 0.01, 0.02)
    values[100:130, ::3] = 0.9
    values[120:, 100:][::2] = 0.4  # details of shades that are nowhere else
    shades, energy = noise_energy(values, hole_of((10, 20, 10, 30)))
    for shade, sigma in ((0.25, 0.01), (0.7, 0.02)):
        assert np.interp(shade, shades, energy) == pytest.approx(sigma**2, rel=0.3)
    assert energy.max() < 4 * 0.02**2


def test_grain_is_like_the_least_of_what_is_known():
    fine = np.random.default_rng(0).normal(0, 0.1, (*SHAPE, 3)).astype(np.float32)
    fine[:, :, 1] = fine[:, :, 0]
    everywhere, nowhere = np.ones(SHAPE, bool), np.zeros(SHAPE, bool)
    grain = grain_like(fine, ~HOLE, everywhere, np.random.default_rng(0)).reshape(fine.shape)
    assert np.square(grain).mean() == pytest.approx(1, abs=0.15)
    assert np.allclose(grain[:, :, 1], grain[:, :, 0], atol=1e-4)
    assert abs(np.corrcoef(grain[:, :, 0].ravel(), grain[:, :, 2].ravel())[0, 1]) < 0.2
    assert grain_like(fine, nowhere, everywhere, np.random.default_rng(0)) is None
    assert grain_like(0 * fine, ~HOLE, everywhere, np.random.default_rng(0)) is None
    some = grain_like(fine, ~HOLE, HOLE, np.random.default_rng(0))
    assert np.array_equal(some.round(4), grain[HOLE].round(4))  # whatever else is wanted
