"""A score learnt from a few pictures that are known to be bad."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from vaetool.scoring.labelled import learn

ALIKE = (1, 1, 1)


def pictures(rng: np.random.Generator, count: int, shift: tuple[float, float, float]) -> np.ndarray:
    """Components that have much in common, shifted: (count, 3)."""
    return rng.normal(size=(count, 1)) + 0.5 * rng.normal(size=(count, 3)) + shift


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    return roc_auc_score(np.repeat([0, 1], [len(good), len(bad)]), np.concatenate([good, bad]))


@pytest.mark.parametrize("seed", range(5))
def test_the_component_that_tells_bad_pictures_counts_more(seed):
    rng = np.random.default_rng(seed)
    good, new, bad, new_bad = (
        pictures(rng, count, shift) for shift in ((0, 0, 0), (0, 0, 1.5)) for count in (300, 1000)
    )
    weighing = learn(good, bad[:20], ALIKE).weighing
    assert weighing.weights[2] > 2 * abs(weighing.weights[0])
    assert auroc(weighing(new), weighing(new_bad)) > auroc(new.sum(axis=1), new_bad.sum(axis=1)) + 0.05


@pytest.mark.parametrize("count", [1, 5, 10, 40])
@pytest.mark.parametrize("shift", [0.5, 1, 2])
def test_where_all_components_count_alike_it_is_hardly_worse_than_their_sum(count, shift):
    shift = (shift, shift, shift)
    rng = np.random.default_rng(0)
    new, new_bad = pictures(rng, 2000, (0, 0, 0)), pictures(rng, 2000, shift)
    plain = auroc(new.sum(axis=1), new_bad.sum(axis=1))
    learnt = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        weighing = learn(pictures(rng, 300, (0, 0, 0)), pictures(rng, count, shift), ALIKE).weighing
        learnt.append(auroc(weighing(new), weighing(new_bad)))
    assert np.mean(learnt) > plain - 0.01


def test_one_bad_picture_leaves_the_weights_equal():
    rng = np.random.default_rng(0)
    learnt = learn(pictures(rng, 50, (0, 0, 0)), pictures(rng, 1, (0, 0, 3)), ALIKE)
    assert learnt.weighing.weights == pytest.approx(learnt.weighing.weights[0])
    assert learnt.words("abc") == "nothing learnt from 1 bad pictures, all weights stay as they are: 8 are needed"


def test_a_component_that_does_not_count_otherwise_can_be_learnt():
    rng = np.random.default_rng(0)
    good, new, bad, new_bad = (pictures(rng, count, shift) for shift in ((0, 0, 0), (0, 0, 2)) for count in (300, 1000))
    weighing = learn(good, bad[:30], (1, 1, 0)).weighing
    assert weighing.weights[2] > abs(weighing.weights[0])
    assert auroc(weighing(new), weighing(new_bad)) > 0.95
    few = learn(good, bad[:3], (1, 1, 0)).weighing
    assert few.weights[2] == 0


def test_words_have_the_weights():
    rng = np.random.default_rng(0)
    words = learn(pictures(rng, 300, (0, 0, 0)), pictures(rng, 20, (0, 0, 2)), ALIKE).words("abc")
    assert words.startswith("learnt from 20 bad pictures: weights a ")


def test_scores_are_standardised_and_those_of_good_pictures_are_of_pictures_left_out():
    rng = np.random.default_rng(0)
    good, bad = pictures(rng, 300, (0, 0, 0)), pictures(rng, 20, (0, 0, 2))
    learnt = learn(good, bad, ALIKE)
    assert (learnt.weighing(good).mean(), learnt.weighing(good).std()) == pytest.approx((0, 1), abs=1e-6)
    assert learnt.good.shape == (300,)
    assert learnt.bad.shape == (20,)
    assert learnt.good == pytest.approx(learnt.weighing(good), abs=1)
    assert not np.array_equal(learnt.good, learnt.weighing(good))


def test_p_values_by_what_was_learnt_are_valid():
    """Of new good pictures, 5 % have a score that at most 5 % of the good ones reach."""
    shares = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        learnt = learn(pictures(rng, 199, (0, 0, 0)), pictures(rng, 10, (0, 0, 1)), ALIKE)
        new = learnt.weighing(pictures(rng, 2000, (0, 0, 0)))
        as_unusual = (learnt.good[None] >= new[:, None]).sum(axis=1)
        shares.append(np.mean((1 + as_unusual) / 200 <= 0.05))
    assert np.mean(shares) == pytest.approx(0.05, abs=0.012)
