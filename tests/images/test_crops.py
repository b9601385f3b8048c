"""Squares of pictures, and what is put back into them."""

from __future__ import annotations

import numpy as np
import pytest

from vaetool.errors import UsageError
from vaetool.images.crops import Crop


@pytest.fixture(scope="module")
def waves() -> np.ndarray:
    rows, columns = np.mgrid[:120, :160]
    planes = [127 + 40 * np.sin(rows / 9 + k) * np.cos(columns / 11) for k in range(3)]
    return np.stack(planes, axis=2).astype(np.uint8)


def test_an_upright_crop_at_its_own_size_is_a_slice(waves):
    assert (Crop.of_box((30, 20, 64, 80), waves).take(waves, 64) == waves[28:92, 30:94]).all()


def test_a_quarter_turn_is_a_quarter_turn(waves):
    assert (Crop(62, 52, 64, 90).take(waves, 64) == np.rot90(waves[20:84, 30:94])).all()


def test_beyond_the_edge_the_picture_goes_on(waves):
    taken = Crop(10, 10, 40).take(waves, 40)
    assert (taken[:10, 10:] == waves[0, :30]).all()


def test_a_large_crop_is_averaged(waves):
    blocks = waves[:96, :96].reshape(24, 4, 24, 4, 3).mean(axis=(1, 3))
    assert np.abs(Crop(48, 48, 96).take(waves, 24) - blocks).max() <= 0.5


def test_what_is_put_back_appears_where_it_was_taken_and_nowhere_else(waves):
    crop = Crop(70, 60, 60, 20)
    rows, columns = np.mgrid[:32, :32] - 15.5
    change = 60 * np.exp(-(rows**2 + (columns - 4) ** 2) / 30)[:, :, None] * np.ones(3)
    changed = crop.put_back(waves, change)
    gained = crop.take(changed, 32).astype(float) - crop.take(waves, 32)
    assert np.abs(gained - change).max() < 4
    down, right = np.mgrid[:120, :160] + 0.5 - np.array([60, 70])[:, None, None]
    cosine, sine = np.cos(np.radians(20)), np.sin(np.radians(20))
    outside = np.maximum(abs(cosine * right + sine * down), abs(cosine * down - sine * right)) > 30
    assert (changed[outside] == waves[outside]).all()


def test_a_change_at_the_edge_of_a_crop_fades(waves):
    changed = Crop(0, 0, 80).put_back(np.zeros_like(waves), np.full((16, 16, 3), 100.0))
    assert changed[0, 0, 0] == 100
    assert changed[39, 0, 0] <= 1
    assert np.abs(np.diff(changed[:, 0, 0].astype(int))).max() < 20


def test_a_box_outside_the_picture_is_refused(waves):
    with pytest.raises(UsageError, match="the crop 120,0,64,64 does not lie in the picture, which is 160 x 120 pixels"):
        Crop.of_box((120, 0, 64, 64), waves)
    assert str(Crop.of_box((96, 0, 64, 120), waves)) == "96,28,64,64"
