"""Heatmaps mean the same in every picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from vaetool.scoring.heatmaps import STEPS, levels, log_p, overlay, overlay_png, raw_png


@pytest.fixture(scope="module")
def good() -> np.ndarray:
    """Levels of a hundred thousand normal numbers."""
    return levels(np.random.default_rng(0).normal(size=(10, 100, 100)))


def test_one_good_pixel_in_ten_is_at_one_or_more_and_one_in_a_thousand_at_three(good):
    heat = log_p(np.random.default_rng(1).normal(size=(300, 1000)), good)
    assert (heat >= 1).mean() == pytest.approx(0.1, rel=0.05)
    assert (heat >= 3).mean() == pytest.approx(0.001, rel=0.3)


def test_the_scale_ends_at_zero_and_at_four(good):
    assert log_p(np.array([-1e9, 1e9]), good).tolist() == [0, 4]
    assert len(good) == STEPS == 41


def test_a_picture_that_is_as_good_ones_are_stays_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    assert (overlay(pixels, np.full((20, 30), 0.9)) == pixels).all()


def test_what_is_unusual_turns_red():
    shown = overlay(np.full((8, 8, 1), 100, np.uint8), np.full((8, 8), 4.0))
    assert shown.shape == (8, 8, 3)
    red, green, blue = shown[0, 0].tolist()
    assert red > 200 > 100 > green == blue


def test_a_map_of_a_picture_that_was_shrunk_is_laid_over_all_of_it():
    heat = np.zeros((10, 20), np.float32)
    heat[:, 10:] = 4
    with Image.open(io.BytesIO(overlay_png(np.zeros((40, 80, 1), np.uint8), heat))) as image:
        assert image.size == (80, 40)
        assert image.getpixel((79, 20))[0] > 150
        assert image.getpixel((0, 20)) == (0, 0, 0)


def test_the_raw_map_is_grey_with_sixteen_bits():
    with Image.open(io.BytesIO(raw_png(np.array([[0.0, 2.0, 4.0, 9.0]])))) as image:
        assert image.mode.startswith("I")
        assert np.asarray(image).tolist() == [[0, 32768, 65535, 65535]]
