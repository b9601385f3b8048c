"""The range of values that a picture uses."""

import numpy as np
import pytest

from vaetool.images.ranges import Range, used_range


@pytest.mark.parametrize(
    ("largest", "found"),
    [(4095, Range(0, 4095)), (4096, Range(0, 8191)), (200, Range(0, 255)), (40_000, None), (0, Range(0, 255))],
)
def test_sixteen_bits_use_so_many_as_the_largest_value_needs(largest, found):
    assert used_range(np.array([[[0], [largest]]], np.uint16)) == found


def test_eight_bits_are_used_whole():
    assert used_range(np.zeros((2, 2, 1), np.uint8)) is None


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0, 1, (0, 1)),
        (0.1, 0.7, (0, 1)),
        (0, 0.2, (0, 0.2)),
        (100, 4000, (0, 4000)),
        (-5, 5, (-5, 5)),
        (900, 1000, (900, 1000)),
    ],
)
def test_floats_use_what_most_values_are_within(low, high, found):
    values = np.linspace(low, high, 10_000, dtype=np.float32).reshape(100, 100, 1)
    assert used_range(values) == pytest.approx(found, abs=0.0011 * (high - low))


def test_a_hot_pixel_does_not_count():
    values = np.linspace(0, 100, 10_000, dtype=np.float32).reshape(100, 100, 1)
    values[50, 50] = 1e6
    assert used_range(values).high == pytest.approx(100, rel=0.01)


def test_constant_floats_have_a_range():
    found = used_range(np.full((4, 4, 1), 7, np.float32))
    assert found.high > found.low


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_what_does_not_change_comes_back_exactly(dtype):
    pixels = np.random.default_rng(0).integers(0, 4096, (20, 20, 1)).astype(dtype)
    found = used_range(pixels)
    assert np.array_equal(found.changed(pixels, np.zeros(pixels.shape, np.float32)), pixels)


def test_a_change_is_in_units_of_the_range():
    pixels = np.array([[[100], [4095], [0]]], np.uint16)
    change = np.array([[[0.5], [0.1], [-0.1]]], np.float32)
    assert Range(0, 4095).changed(pixels, change).ravel().tolist() == [2148, 4095, 0]
