"""Where holes are, and the windows in which they are filled."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vaetool import images
from vaetool.images import Picture
from vaetool.images.conversion import white_part
from vaetool.inpainting.holes import (
    BATCH,
    BLOCK,
    CONTEXT,
    CORE,
    DEEP,
    batches,
    count_holes,
    deep_part,
    deepest_place,
    dilate_hole,
    windows,
)

STRIDE = 16
LARGEST = CORE + 2 * CONTEXT[1]


def hole_of(shape: tuple[int, int], *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """A hole of boxes: top, bottom, left, right."""
    hole = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


def specks(shape: tuple[int, int], share: float) -> np.ndarray:
    return np.random.default_rng(0).random(shape) < share


SHAPES = {
    "speck": hole_of((90, 70), (40, 41, 30, 31)),
    "corner": hole_of((90, 70), (0, 12, 0, 9)),
    "whole width": hole_of((90, 70), (40, 44, 0, 70)),
    "nearly everything": ~hole_of((200, 300), (17, 18, 33, 34)),
    "long": hole_of((40, 3000), (20, 23, 5, 2990)),
    "frame": ~hole_of((700, 900), (30, 670, 30, 870)),
    "two far apart": hole_of((1000, 1000), (3, 9, 4, 8), (900, 990, 910, 960)),
    "thousands": specks((600, 800), 0.01),
    "row": hole_of((1, 500), (0, 1, 100, 400)),
    "none": hole_of((50, 50)),
}


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def hole(request) -> np.ndarray:
    return request.param


# Counting and growing


def test_holes_that_touch_by_a_corner_are_one():
    assert count_holes(hole_of((9, 9), (1, 3, 1, 3), (3, 5, 3, 5))) == 1
    assert count_holes(hole_of((9, 9), (1, 3, 1, 3), (4, 5, 3, 5))) == 2
    assert count_holes(hole_of((9, 9))) == 0


@pytest.mark.parametrize("radius", [0, 1, 2, 4, 17, 100])
def test_a_hole_grows_by_a_disc(hole, radius):
    expected = ndimage.distance_transform_edt(~hole) <= radius if hole.any() else hole
    before = hole.copy()
    assert np.array_equal(dilate_hole(hole, radius), expected)
    assert np.array_equal(hole, before)


# Depth


@pytest.mark.parametrize("side", [20, DEEP, 2 * DEEP - 8])
def test_what_is_near_to_the_known_is_not_deep(side):
    assert not deep_part(hole_of((400, 500), (100, 100 + side, 200, 400))).any()


def test_a_deep_hole_is_deep_as_a_whole_and_another_is_not():
    deep, thin = hole_of((400, 500), (100, 300, 100, 300), (200, 203, 300, 360)), hole_of((400, 500), (10, 14, 5, 490))
    assert np.array_equal(deep_part(deep | thin), deep)


def test_a_hole_at_the_border_is_as_deep_as_it_is_wide():
    assert deep_part(hole_of((400, 500), (0, 400, 0, DEEP + 24))).any()


def test_the_deepest_place_is_found_to_within_a_block():
    hole = hole_of((400, 500), (50, 250, 110, 310), (300, 390, 10, 490))
    row, column, depth = deepest_place(hole)
    assert abs(row - 150) <= BLOCK
    assert abs(column - 210) <= BLOCK
    assert abs(depth - 100) <= BLOCK
    assert deepest_place(hole_of((400, 500)))[2] == 0


# Windows


def test_windows_keep_every_pixel_of_the_hole(hole):
    kept = np.zeros_like(hole)
    for window in windows(hole, STRIDE):
        kept[window.kept()] = True
    assert kept[hole].all()


def test_windows_are_bounded_and_around_what_they_keep(hole):
    for window in windows(hole, STRIDE):
        for seen, kept, size in zip(window.window(), window.kept(), hole.shape, strict=True):
            assert 0 <= seen.start <= kept.start < kept.stop <= seen.stop <= size
            assert kept.stop - kept.start <= CORE
            assert seen.stop - seen.start <= LARGEST + STRIDE
            assert (seen.stop - seen.start) % STRIDE == 0 or (seen.start, seen.stop) == (0, size)
            for margin in (kept.start - seen.start, seen.stop - kept.stop):
                assert margin >= CONTEXT[0] or seen.start == 0 or seen.stop == size


def test_windows_can_be_larger_and_see_more(hole):
    for window in windows(hole, 1, (96, 192), 384):
        for seen, kept, size in zip(window.window(), window.kept(), hole.shape, strict=True):
            assert kept.stop - kept.start <= 384
            for margin in (kept.start - seen.start, seen.stop - kept.stop):
                assert margin <= 192
                assert margin >= 96 or seen.start == 0 or seen.stop == size


def test_a_small_hole_is_in_one_window():
    holes = hole_of((1000, 1000), (250, 270, 240, 265), (500, 670, 500, 680))
    assert len(list(windows(holes, STRIDE))) == 2


def test_thousands_of_holes_are_few_windows():
    hole = specks((1024, 1024), 0.001)
    assert count_holes(hole) > 900
    assert len(list(windows(hole, STRIDE))) <= 64


def test_a_thin_line_across_is_cut_so_that_little_is_seen():
    line = hole_of((1000, 1000))
    line[np.arange(100, 900), np.arange(100, 900)] = True
    seen = sum(np.prod([part.stop - part.start for part in window.window()]) for window in windows(line, STRIDE))
    assert seen < 800 * 800 / 3
    straight = list(windows(hole_of((1000, 1000), (500, 503, 200, 380)), STRIDE))
    assert len(straight) == 1


def test_windows_that_are_filled_together_are_of_one_size_and_do_not_see_each_other(hole):
    single = list(windows(hole, STRIDE))
    together = list(batches(single))
    assert sorted(map(repr, single)) == sorted(repr(window) for batch in together for window in batch)
    for batch in together:
        sizes = {tuple(part.stop - part.start for part in window.window()) for window in batch}
        assert len(sizes) == 1
        assert len(batch) == 1 or len(batch) * np.prod(sizes.pop()) <= BATCH
        seen = np.zeros(hole.shape, int)
        for window in batch:
            seen[window.window()] += 1
        assert all((seen[window.kept()] == 1).all() for window in batch)


def test_scattered_windows_are_filled_in_few_batches():
    scattered = hole_of((1000, 1000), *[(row, row + 5, 50, 56) for row in range(30, 980, 100)])
    assert [len(batch) for batch in batches(windows(scattered, STRIDE))] == [10]


def test_where_there_is_no_hole_there_is_no_window():
    assert list(windows(hole_of((50, 50)), STRIDE)) == []


# Masks as pictures


@pytest.mark.parametrize(
    "mask",
    [
        Image.new("1", (1, 1), 1),
        Image.new("L", (1, 1), 128),
        Image.new("I;16", (1, 1), 32768),
        Image.new("RGB", (1, 1), (128, 128, 128)),
        Image.new("RGB", (1, 1), (0, 255, 0)),
        Image.new("LA", (1, 1), (255, 255)),
        Image.new("RGBA", (1, 1), (255, 255, 255, 200)),
        Image.new("P", (1, 1), 0),
    ],
    ids=lambda mask: f"{mask.mode} {mask.getpixel((0, 0))}",
)
def test_what_is_nearer_to_white_is_hole(mask):
    if mask.mode == "P":
        mask.putpalette([255, 255, 255])
    assert white_part(images.from_pil(mask)).tolist() == [[True]]


@pytest.mark.parametrize(
    "mask",
    [
        Image.new("1", (1, 1), 0),
        Image.new("L", (1, 1), 127),
        Image.new("I;16", (1, 1), 32767),
        Image.new("RGB", (1, 1), (127, 127, 127)),
        Image.new("RGB", (1, 1), (255, 0, 0)),
        Image.new("RGBA", (1, 1), (255, 255, 255, 0)),
    ],
    ids=lambda mask: f"{mask.mode} {mask.getpixel((0, 0))}",
)
def test_what_is_nearer_to_black_or_transparent_is_not(mask):
    assert white_part(images.from_pil(mask)).tolist() == [[False]]


def test_a_mask_of_floating_point_is_white_above_half():
    assert white_part(Picture(np.array([[[0.0], [0.4], [0.6], [1.0]]], np.float32))).tolist() == [
        [False, False, True, True]
    ]


def test_a_mask_has_the_shape_of_its_picture():
    assert white_part(Picture(np.zeros((3, 5, 3), np.uint8))).shape == (3, 5)
