"""What scores are made of: means of the largest, and the length of a picture in a lossless code."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vaetool.images import Picture, encode
from vaetool.scoring.statistics import lossless_bits, mean_of_largest


def test_the_mean_of_the_largest_is_of_a_hundredth():
    values = np.tile(np.arange(300.0), (2, 1))
    values[1] = values[1][::-1] + 1
    assert mean_of_largest(values).tolist() == [298, 299]


def test_the_largest_of_few_is_one():
    assert mean_of_largest(np.array([[1.0, 5.0, 3.0]])).tolist() == [5]


def test_a_defect_of_a_few_pixels_moves_it_and_hardly_the_mean():
    good = np.full((1, 10_000), 0.1)
    defective = good.copy()
    defective[0, :50] = 1.0
    assert mean_of_largest(defective)[0] > 5 * mean_of_largest(good)[0]
    assert defective.mean() < 1.1 * good.mean()


def pictures(photographs) -> np.ndarray:
    return np.stack([np.asarray(photo) for photo in photographs.values()])


def test_the_length_is_about_that_of_a_png(photographs):
    pixels = pictures(photographs)
    png = [8 * len(encode(Picture(each), "PNG")) / each.size for each in pixels]
    assert lossless_bits(pixels) == pytest.approx(png, rel=0.25)
    assert (lossless_bits(pixels) < png).all()


def test_noise_has_all_its_bits_and_a_plain_picture_none():
    noise = np.random.default_rng(0).integers(0, 256, (1, 128, 128, 3), np.uint8)
    assert lossless_bits(noise)[0] == pytest.approx(8, abs=0.1)
    assert lossless_bits(np.full((1, 128, 128, 3), 77, np.uint8))[0] < 0.01


def test_colours_that_are_grey_cost_little_more(photographs):
    grey = np.asarray(photographs["china"].convert("L"))[None, :, :, None]
    assert 3 * lossless_bits(grey.repeat(3, axis=3))[0] < 1.2 * lossless_bits(grey)[0]


def test_the_length_is_that_of_an_adaptive_code(photographs):
    """Of a picture of one row: each class is coded by how often it came before in the same context, plus a half."""
    row = np.asarray(photographs["china"].convert("L"))[50].astype(int)
    counts, bits, before = np.full((4, 17), 0.5), 0.0, 0
    for residual in (np.diff(row, prepend=0) + 128) % 256 - 128:
        context = np.searchsorted([1, 6, 24], before, side="right")
        level = math.floor(math.log2(abs(residual))) + 1 if residual else 0
        symbol = 8 + int(np.sign(residual)) * level
        bits += max(0, level - 1) - math.log2(counts[context, symbol] / counts[context].sum())
        counts[context, symbol] += 1
        before = abs(residual)
    found = lossless_bits(row.astype(np.uint8)[None, None, :, None])
    assert found[0] == pytest.approx(bits / len(row))


def test_lengths_do_not_depend_on_the_other_pictures(photographs):
    pixels = pictures(photographs)
    assert lossless_bits(pixels).tolist() == [lossless_bits(each[None])[0] for each in pixels]
