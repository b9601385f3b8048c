"""Work that is heard of while it is done."""

from __future__ import annotations

import numpy as np
import pytest

from tests.photographs import small_photographs
from vaetool import load
from vaetool.progress import listening, tracked


def test_a_listener_hears_how_many_parts_are_finished():
    heard = []
    with listening(lambda *news: heard.append(news)):
        assert list(tracked(iter("abc"), "spelling")) == ["a", "b", "c"]
    assert heard == [("spelling", done, 3) for done in range(4)]
    list(tracked("ab", "spelling"))
    assert len(heard) == 4


def test_without_a_listener_parts_come_one_by_one():
    taken = []
    parts = tracked((taken.append(number) or number for number in range(3)), "counting")
    assert (next(parts), taken) == (0, [0])


@pytest.fixture(scope="module")
def large() -> np.ndarray:
    return np.tile(np.asarray(small_photographs()["china"]), (12, 12, 1))


def test_all_that_goes_through_a_large_picture_tells_how_far_it_is(large):
    noisy = np.clip(large + np.random.default_rng(0).normal(0, 15, large.shape), 0, 255).astype(np.uint8)
    hole = np.zeros(large.shape[:2], bool)
    hole[::400, 30:1800] = True
    codec = load("photo-codec")
    tasks: dict[str, list[int]] = {}

    def note(task: str, done: int, total: int) -> None:
        tasks.setdefault(task, []).append(done)
        assert done <= total

    with listening(note):
        load("photo-denoise").denoise(noisy)
        load("photo-inpaint").inpaint(noisy, hole)
        coded, _ = codec.encode_pixels(large, 30)
        codec.decode_pixels(coded, *large.shape)
    assert tasks.keys() == {
        "finding noise",
        "cleaning",
        "filling",
        "texture",
        "grain",
        "coding",
        "decoding",
        "painting",
    }
    assert all(max(heard) > 1 for task, heard in tasks.items() if task != "texture")  # of which there is one place
