"""Detail in the gradient domain: what changes fast is taken over, what changes slowly is not, and nothing outside."""

from __future__ import annotations

import numpy as np
import pytest

from vaetool.inpainting.blending import WAVELENGTH, blend, gradients

SIZE = 96
INSIDE = np.zeros((SIZE, SIZE), np.float32)
INSIDE[16:80, 16:80] = 1


def wave(length: float) -> np.ndarray:
    return np.tile(np.sin(2 * np.pi * np.arange(SIZE) / length), (SIZE, 1)).astype(np.float32)[..., None]


def test_its_own_gradients_leave_a_picture_as_it_is():
    picture = np.random.default_rng(0).random((SIZE, SIZE, 3), np.float32)
    assert np.array_equal(blend(picture, gradients(picture), INSIDE), picture)


def test_outside_nothing_changes():
    picture = np.random.default_rng(0).random((SIZE, SIZE, 3), np.float32)
    blended = blend(picture, gradients(1 - picture), INSIDE)
    assert np.array_equal(blended[INSIDE == 0], picture[INSIDE == 0])
    assert (blended != picture)[INSIDE > 0].mean() > 0.9


@pytest.mark.parametrize(("length", "low", "high"), [(WAVELENGTH / 6, 0.9, 1.05), (WAVELENGTH * 6, 0.0, 0.1)], ids=str)
def test_short_waves_are_added_and_long_ones_are_not(length, low, high):
    flat = np.zeros((SIZE, SIZE, 1), np.float32)
    blended = blend(flat, gradients(wave(length)), INSIDE)[32:64, 32:64]
    assert low < blended.std() / wave(length).std() < high


def test_a_constant_difference_is_no_seam():
    """Patches from a lighter place bring their pattern, not their lightness."""
    flat = np.full((SIZE, SIZE, 1), 0.3, np.float32)
    lighter = flat + 0.4
    assert np.abs(blend(flat, gradients(lighter), INSIDE) - flat).max() < 1e-3


def test_half_of_it_is_half_the_change():
    flat = np.zeros((SIZE, SIZE, 1), np.float32)
    whole, half = (blend(flat, gradients(wave(5)), share * INSIDE) for share in (1.0, 0.5))
    assert np.allclose(half, whole / 2, atol=1e-3)
