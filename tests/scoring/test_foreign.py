"""Pictures among the good ones that are far from the others."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vaetool.images.sources import find_sources
from vaetool.scoring import examples
from vaetool.scoring.calibration import Calibration
from vaetool.scoring.examples import different_ones
from vaetool.scoring.foreign import MIN_TO_TELL, foreign, names_in_folds
from vaetool.store.headers import MAX_DOUBT
from vaetool.training.data import DataConfig, load_store


def found(scores: list[float], names: list[str] | None = None) -> str | None:
    names = names or [f"{number}.png" for number in range(len(scores))]
    return foreign(Calibration(("whole",), np.array(scores)[:, None]), names)


def good(count: int = 40, spread: float = 0.4) -> list[float]:
    return list(np.random.default_rng(0).lognormal(0, spread, count))


def test_good_pictures_alone_are_not_named():
    assert found(good()) is None


@pytest.mark.parametrize(
    ("far", "named"),
    [
        ([30.0], "40.png is far"),
        ([30.0, 50.0], "41.png, 40.png are far"),
        ([30.0, 50.0, 40.0, 20.0, 25.0], "41.png, 42.png, 40.png and 2 more are far"),
    ],
)
def test_the_farthest_are_named_first(far, named):
    assert found([*good(), *far]).startswith(named)


def test_what_differs_as_much_as_all_pictures_do_is_not_far():
    assert found([*good(spread=2.0), 30.0]) is None


def test_of_very_few_pictures_none_is_named():
    assert found([*good(MIN_TO_TELL - 2), 30.0]) is None
    assert found([*good(MIN_TO_TELL - 1), 30.0]) is not None


def test_words_about_long_names_fit_into_the_file_of_a_model():
    names = [f"{number}{'x' * 250}.png" for number in range(45)]
    words = found([*good(), 30.0, 31.0, 32.0, 33.0, 34.0], names)
    assert len(words) <= MAX_DOUBT
    assert words.endswith("pass for good")


def test_of_more_pictures_than_are_used_those_that_are_used_are_named(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (32, 32), np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "copy.png").write_bytes((tmp_path / "0.png").read_bytes())
    images = load_store(find_sources([tmp_path]), DataConfig(), 32)
    monkeypatch.setattr(examples, "MAX_IMAGES", 7)
    chosen, words = different_ones(images)
    assert words == " (1 of 13 look the same as others, and are left out) (5 more than can be used are left out)"
    names = [images.origins[index].name for index in chosen]
    assert names_in_folds(images, 3) == [name for fold in range(3) for name in names[fold::3]]
    assert len(names) == 7
