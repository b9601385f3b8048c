"""Nearest patches: found where there are such, in step with each other, of many places, and the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from vaetool.inpainting.patches import REACH, SIDE, Field, describe

SHAPE = (80, 120)


def middle() -> np.ndarray:
    """Where patches are wanted."""
    wanted = np.zeros(SHAPE, bool)
    wanted[30:50, 45:75] = True
    return wanted


def known() -> np.ndarray:
    sources = np.zeros(SHAPE, bool)
    sources[REACH:-REACH, REACH:-REACH] = True
    sources[30 - REACH : 50 + REACH, 45 - REACH : 75 + REACH] = False
    return sources


def noise(channels: int = 3) -> np.ndarray:
    return np.random.default_rng(1).random((*SHAPE, channels), np.float32)


def field(seed: int = 0) -> Field:
    return Field(middle(), known(), np.random.default_rng(seed))


def features(pixels: np.ndarray) -> np.ndarray:
    return describe(pixels, known(), np.random.default_rng(0))


def test_descriptions_tell_how_much_patches_differ():
    pixels = np.repeat(np.repeat(noise(), 4, axis=0), 4, axis=1)[: SHAPE[0], : SHAPE[1]]  # not white: it has components
    described, places = features(pixels), np.argwhere(known())[::97]
    rows, columns = places.T
    patch = np.arange(SIDE) - REACH
    patches = pixels[(rows[:, None] + patch)[:, :, None], (columns[:, None] + patch)[:, None]].reshape(len(places), -1)
    true = np.square(patches[:-1] - patches[1:]).mean(axis=1)
    found = np.square(np.diff(described[rows, columns], axis=0)).sum(axis=1)
    assert np.all(found <= true * 1.001)
    assert found.mean() > 0.7 * true.mean()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_copy_is_found(channels):
    pixels = noise(channels)
    pixels[26:54, 41:79] = pixels[40:68, 2:40]
    found = field()
    found.search(features(pixels), 6)
    blank = pixels.copy()
    blank[middle()] = 0
    assert np.abs(found.vote(blank, middle()) - pixels)[middle()].mean() < 0.03


def test_a_field_of_half_the_size_is_where_a_search_begins():
    pixels = noise()
    pixels[28:52, 43:77] = pixels[40:64, 7:41]
    sources = known()[::2, ::2]
    sources[:REACH] = sources[-REACH:] = sources[:, :REACH] = sources[:, -REACH:] = False
    small = Field(middle()[::2, ::2], sources, np.random.default_rng(0))
    small.search(features(pixels)[::2, ::2], 6)
    finer, blank = field(), np.where(middle()[..., None], 0, pixels)
    finer.start_from(small)
    finer.search(features(pixels), 0)
    assert np.abs(finer.vote(blank, middle()) - pixels)[middle()].mean() < 0.05


def test_votes_are_of_known_pixels_and_for_wanted_ones():
    pixels = noise()
    found = field()
    found.search(features(pixels), 1)
    blank = np.where(middle()[..., None], np.float32(-100), pixels)
    voted = found.vote(blank, middle(), reach=0)
    assert voted[middle()].min() >= 0
    assert np.array_equal(voted[~middle()], pixels[~middle()])


def test_what_is_alike_everywhere_is_taken_from_many_places():
    """Not one patch stamped again and again."""
    flat, places = np.zeros((*SHAPE, 1), np.float32), np.zeros((*SHAPE, 2), np.float32)
    places[..., 0], places[..., 1] = np.indices(SHAPE)
    found = field()
    found.search(1e-3 * noise(1) + flat, 3)
    taken = found.vote(places, middle(), reach=0)[middle()]
    assert len(np.unique(taken, axis=0)) > 0.4 * len(taken)


def test_the_same_seed_gives_the_same_field():
    def voted(seed: int) -> np.ndarray:
        found = field(seed)
        found.search(features(noise()), 2)
        return found.vote(noise(), middle())

    assert np.array_equal(voted(0), voted(0))
    assert not np.array_equal(voted(0), voted(1))
