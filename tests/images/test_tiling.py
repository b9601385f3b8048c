"""Tiles: everything kept once, everything inside the image, enough around it, and never much larger than asked."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetool.images.tiling import Tile, pad_to_multiple, tiles

SCALE = 4
"""Of the noise map of a denoiser: strides are multiples of it."""

in_any_time = settings(deadline=None)  # a busy machine is no failure


@st.composite
def cuts(draw):
    """An image's height and width, and how it is cut: size, halo and stride."""
    stride = draw(st.sampled_from([4, 8, 16, 32]))
    size = draw(st.integers(8, 200))
    halo = stride * draw(st.integers(0, 4))
    height, width = draw(st.integers(1, 400)), draw(st.integers(1, 400))
    return height, width, size, halo, stride


def length(part: slice) -> int:
    return part.stop - part.start


def sides(tile: Tile, height: int, width: int):
    """For rows, then columns: what is read, what is kept of it, and the length of the image's side."""
    return [(tile.rows, tile.kept_rows, height), (tile.columns, tile.kept_columns, width)]


@in_any_time
@given(cuts(), st.sampled_from([1, SCALE]))
def test_kept_parts_cover_the_image_once_also_in_a_smaller_array(cut, scale):
    height, width, *_ = cut
    times_kept = np.zeros((-(-height // scale), -(-width // scale)), int)
    for tile in tiles(*cut):
        times_kept[tile.kept(scale)] += 1
    assert (times_kept == 1).all()


@in_any_time
@given(cuts())
def test_windows_lie_inside_the_image(cut):
    height, width, *_ = cut
    for tile in tiles(*cut):
        assert all(0 <= window.start < window.stop <= end for window, _, end in sides(tile, height, width))


@in_any_time
@given(cuts())
def test_windows_and_kept_parts_begin_on_the_grid_of_the_network(cut):
    height, width, *_, stride = cut
    for tile in tiles(*cut):
        for window, kept, _ in sides(tile, height, width):
            assert (window.start % stride, kept.start % stride) == (0, 0)


@in_any_time
@given(cuts())
def test_there_is_a_halo_all_around_except_at_the_edges_of_the_image(cut):
    height, width, _, halo, _ = cut
    for tile in tiles(*cut):
        for window, kept, end in sides(tile, height, width):
            assert kept.start - window.start == min(halo, kept.start)
            assert window.stop - kept.stop == min(halo, end - kept.stop)


@in_any_time
@given(cuts(), st.sampled_from([1, SCALE]))
def test_the_middle_of_a_window_is_what_is_kept(cut, scale):
    height, width, *_ = cut
    places = np.arange(-(-height // scale) * -(-width // scale)).reshape(-(-height // scale), -1)
    for tile in tiles(*cut):
        assert np.array_equal(places[tile.window(scale)][tile.middle(scale)], places[tile.kept(scale)])


@in_any_time
@given(cuts())
def test_no_tile_keeps_much_more_than_asked(cut):
    height, width, size, _, stride = cut
    for tile in tiles(*cut):
        assert all(length(kept) < 1.5 * size + stride + 1 for _, kept, _ in sides(tile, height, width))


@in_any_time
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([4, 16]))
def test_an_image_not_larger_than_a_tile_is_not_cut(height, width, stride):
    everything = (slice(0, height), slice(0, width))
    (tile,) = tiles(height, width, max(height, width), 2 * stride, stride)
    assert (tile.window(), tile.kept(), tile.middle()) == (everything, everything, everything)


@in_any_time
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([4, 16]))
def test_padding_reaches_the_next_multiple_and_keeps_what_is_there(height, width, stride):
    values = np.arange(height * width, dtype=np.float32).reshape(height, width, 1)
    padded = pad_to_multiple(values, stride)
    assert padded.shape == (height + -height % stride, width + -width % stride, 1)
    assert np.array_equal(padded[:height, :width], values)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_padding_a_constant_adds_nothing_new(value):
    assert (pad_to_multiple(np.full((3, 21, 3), value, np.uint8), 16) == value).all()
