"""How well the bundled inpainter fills holes in photographs that it has never seen.

The floors are guards, well below what was measured: the figures themselves are in docs/benchmarks.md.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from vaetool.images import Picture
from vaetool.images.filling import fill_hidden
from vaetool.images.metrics import psnr
from vaetool.inpainting.task import inpaint_picture

MODEL = "photo-inpaint"

GAIN = 0.4  # dB inside the hole over the smooth filling, on the mean of scratches and blots
SEAM = 1.6  # the step across the edge of a hole, of the mean step between neighbours just outside
COLOUR = 0.75  # how far the colours of what is filled are from the truth, of how far a smooth filling's are


@pytest.fixture(scope="module", params=["china", "flower"])
def photo(request, photos) -> np.ndarray:
    """The middle of a photograph, (320, 480, 3) uint8."""
    return photos[request.param][60:380, 80:560]


def scratches(shape) -> np.ndarray:
    rows, columns = np.indices(shape[:2])
    hole = np.zeros(shape[:2], bool)
    for slope, offset in ((0.3, 20), (-0.5, 280), (0.9, -60), (0.05, 150)):
        hole |= np.abs(rows - slope * columns - offset - 6 * np.sin(columns / 25)) < 3
    return hole


def blots(shape) -> np.ndarray:
    rows, columns = np.indices(shape[:2])
    places = ((60, 70), (150, 250), (250, 400), (260, 120), (70, 380))
    return np.logical_or.reduce([np.hypot(rows - row, columns - column) < 22 for row, column in places])


def masks(shape) -> dict[str, np.ndarray]:
    box = np.zeros(shape[:2], bool)
    box[120:200, 180:290] = True
    return {"scratches": scratches(shape), "blots": blots(shape), "box": box}


MASKS = masks((320, 480))


@pytest.mark.parametrize("name", ["scratches", "blots"])
def test_it_is_better_than_a_smooth_filling(model, photo, name):
    hole = MASKS[name]
    smooth, filled = fill_hidden(photo, ~hole), model.inpaint(photo, hole, texture=False)  # texture costs squared error
    assert psnr(filled[hole], photo[hole], 255) > psnr(smooth[hole], photo[hole], 255) + GAIN


@pytest.mark.parametrize("hole", MASKS.values(), ids=MASKS)
def test_there_is_no_seam(model, photo, hole):
    """Neighbours on either side of the edge differ about as much as neighbours just outside do."""
    filled = model.inpaint(photo, hole).astype(np.float64) / 255
    near = ndimage.binary_dilation(hole, iterations=6) & ~hole

    def mean_step(axis: int, chosen) -> tuple[float, int]:
        first = np.take(hole, range(hole.shape[axis] - 1), axis), np.take(near, range(hole.shape[axis] - 1), axis)
        second = np.take(hole, range(1, hole.shape[axis]), axis), np.take(near, range(1, hole.shape[axis]), axis)
        where = chosen(*first, *second)
        steps = np.abs(np.diff(filled, axis=axis)).mean(axis=2)[where]
        return steps.sum(), steps.size

    def both(chosen) -> float:
        sums, counts = zip(*(mean_step(axis, chosen) for axis in (0, 1)), strict=True)
        return sum(sums) / sum(counts)

    across = both(lambda hole_a, near_a, hole_b, near_b: hole_a != hole_b)
    outside = both(lambda hole_a, near_a, hole_b, near_b: near_a & near_b)
    assert across < SEAM * outside


def test_colours_are_closer_to_the_truth_than_those_of_a_smooth_filling(model, photo):
    """After a wide blur, on the mean of eight boxes: of one alone, the smooth filling may have guessed right."""
    rng = np.random.default_rng(0)

    def shift(pixels, hole) -> float:
        error = (pixels.astype(float) - photo) / 255
        return np.abs(ndimage.gaussian_filter(error, (8, 8, 0))[hole].mean(axis=0)).max()

    shifts = []
    for _ in range(8):
        height, width = rng.integers(30, 90, 2)
        top, left = rng.integers(0, photo.shape[0] - height), rng.integers(0, photo.shape[1] - width)
        hole = np.zeros(photo.shape[:2], bool)
        hole[top : top + height, left : left + width] = True
        shifts.append((shift(model.inpaint(photo, hole), hole), shift(fill_hidden(photo, ~hole), hole)))
    filled, smooth = np.mean(shifts, axis=0)
    assert filled < COLOUR * smooth  # measured: 0.53, 0.50


def test_a_constant_picture_stays_about_constant(model):
    constant = np.full((200, 240, 3), (90, 140, 60), np.uint8)
    filled = model.inpaint(constant, np.pad(np.ones((40, 60), bool), ((80, 80), (90, 90))))
    assert np.abs(filled.astype(int) - constant).max() <= 4


def test_a_large_hole_is_filled_at_every_size(model, photo):
    large = photo.repeat(2, axis=0).repeat(2, axis=1)
    hole = np.zeros(large.shape[:2], bool)
    hole[150:450, 200:700] = True
    filled = model.inpaint(large, hole)
    assert np.array_equal(filled[~hole], large[~hole])
    smooth = fill_hidden(large, ~hole)
    assert np.abs(filled[hole].mean(axis=0) - smooth[hole].mean(axis=0)).max() < 60


def test_a_guess_is_told_and_a_sky_is_none(model, photos):
    sky = np.zeros((320, 480), bool)
    sky[10:50, 380:440] = True
    filled, facts = inpaint_picture(model, Picture(photos["china"][60:380, 80:560]), sky)
    assert (facts["guessed"], filled.warnings) == (0, ())
    squares = 20 + 200 * np.random.default_rng(0).integers(0, 2, (10, 15, 1), np.uint8).repeat(20, 0).repeat(20, 1)
    hole = np.zeros((200, 300), bool)
    hole[60:110, 120:170] = hole[20:70, 220:270] = True
    filled, facts = inpaint_picture(model, Picture(squares), hole)
    assert facts["guessed"] == 2
    assert filled.warnings[0].endswith("is a guess, as in 1 more: look at it")
