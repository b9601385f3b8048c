"""Pictures that no camera took: the size they are asked for, and what they are meant to be."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vaetool.denoising.noise import drawn


@pytest.fixture(scope="module")
def photo(photographs) -> np.ndarray:
    return np.asarray(photographs["china"])[:101, :96]


@pytest.mark.parametrize("kind", drawn.KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_picture_has_the_size_of_the_photo_and_is_the_same_for_a_seed(kind, seed, photo):
    one, same = (kind(photo, random.Random(seed)) for _ in range(2))
    assert one.shape == photo.shape
    assert one.dtype == np.uint8
    assert np.array_equal(one, same)
    assert one.std() > 5


@pytest.mark.parametrize("kind", drawn.KINDS)
def test_another_seed_gives_another_picture(kind, photo):
    assert len({kind(photo, random.Random(seed)).tobytes() for seed in range(6)}) > 1


def test_dithered_pictures_have_few_colours_that_look_like_the_photo(photo):
    for seed in range(10):
        result = drawn.dithered(photo, random.Random(seed))
        assert len(np.unique(result.reshape(-1, 3), axis=0)) <= max(drawn.PALETTES)
        assert abs(result.mean() - photo.mean()) < 20


def test_foliage_has_more_detail_than_the_photo(photo):
    def detail(pixels: np.ndarray) -> float:
        return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())

    assert detail(drawn.foliage(photo, random.Random(0))) > detail(photo)
