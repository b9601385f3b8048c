"""Hidden pixels are filled smoothly, in little memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vaetool.images import filling
from vaetool.images.filling import fill_hidden

fillable = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 3), st.integers(0, 2**31), st.floats(0, 1))


@given(fillable)
def test_filled_values_stay_within_the_visible_ones(case):
    height, width, channels, seed, share = case
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, channels), dtype=np.uint8)
    visible = random.random((height, width)) < share
    filled = fill_hidden(pixels, visible)
    assert (filled[visible] == pixels[visible]).all()
    if visible.any():
        assert (filled >= pixels[visible].min(axis=0)).all()
        assert (filled <= pixels[visible].max(axis=0)).all()
    else:
        assert not filled.any()


def test_a_hole_in_a_ramp_is_filled_smoothly():
    ramp = np.repeat(np.linspace(0, 1, 32)[None, :, None], 32, axis=0)
    visible = np.ones((32, 32), bool)
    visible[12:20, 12:20] = False
    filled = fill_hidden(np.where(visible[..., None], ramp, np.nan), visible)
    assert np.abs(filled - ramp).max() < 0.1
    assert np.abs(np.diff(filled, axis=1)).max() < 0.08


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_filling_keeps_the_dtype(dtype):
    filled = fill_hidden(np.ones((5, 7, 2), dtype), np.eye(5, 7, dtype=bool))
    assert filled.dtype == dtype
    assert np.allclose(filled, 1)


@given(fillable)
def test_filling_in_bands_of_rows_is_as_filling_at_once(case):
    height, width, channels, seed, share = case
    random = np.random.default_rng(seed)
    pixels = random.random((3 * height, width, channels))
    visible = random.random((3 * height, width)) < share
    at_once = fill_hidden(pixels, visible)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(filling, "BAND_ROWS", 2)
        np.testing.assert_array_equal(fill_hidden(pixels, visible), at_once)


def test_filling_takes_memory_for_little_more_than_the_result():
    pixels = np.random.default_rng(0).integers(0, 256, (1500, 1000, 3), dtype=np.uint8)
    visible = np.ones((1500, 1000), bool)
    visible[::3] = False
    tracemalloc.start()
    fill_hidden(pixels, visible)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5 * pixels.nbytes
