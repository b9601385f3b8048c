"""Directions between kinds of codes: where they lead, how well they tell kinds apart, and which are refused."""

from __future__ import annotations

import numpy as np
import pytest

from vaetool.errors import UsageError
from vaetool.latents.directions import direction_between, held_out_auc, named_directions


@pytest.fixture
def codes() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)


def shifted(codes: np.ndarray, by: float, unit: int = 0) -> np.ndarray:
    moved = codes.copy()
    moved[:, unit] += by
    return moved


def test_one_step_leads_from_one_mean_to_the_other(codes):
    having, lacking = shifted(codes[:200], 3), codes[200:]
    vector, auc = direction_between(having, lacking)
    assert np.allclose(vector, having.mean(axis=0) - lacking.mean(axis=0), atol=0.35)
    assert np.allclose(vector, [3, 0, 0, 0, 0], atol=0.4)
    assert 0.97 < auc < 1


def test_the_way_back_is_the_opposite(codes):
    there, auc = direction_between(shifted(codes[:200], 3), codes[200:])
    back, same_auc = direction_between(codes[200:], shifted(codes[:200], 3))
    assert np.allclose(there, -back, atol=1e-3)
    assert auc == pytest.approx(same_auc)


def test_units_of_other_scales_lead_as_far(codes):
    """What counts is where codes are in the spread of each unit: plain autoencoders leave scales to chance."""
    scales = np.array([1, 10, 0.1, 1, 1], np.float32)
    having, lacking = shifted(codes[:200], 2, unit=2), codes[200:]
    vector, auc = direction_between(having, lacking)
    scaled, same_auc = direction_between(having * scales, lacking * scales)
    assert np.allclose(vector, scaled / scales, atol=1e-3)
    assert auc == pytest.approx(same_auc, abs=1e-3)


def test_the_auc_is_of_codes_that_the_direction_was_found_without(codes):
    """Chance differences in many numbers tell the codes apart that they were found in, and no others."""
    noise = np.random.default_rng(1).normal(size=(40, 200))
    assert held_out_auc(noise[:20], noise[20:]) < 0.75


def test_what_cannot_be_told_apart_is_refused(codes):
    with pytest.raises(UsageError, match=r"AUC is 0\.\d\d, at least 0\.6 is needed"):
        direction_between(codes[:200], codes[200:])
    with pytest.raises(UsageError, match=r"AUC is 0\.50"):
        direction_between(np.ones((9, 3)), np.ones((9, 3)))


def test_too_few_pictures_are_refused(codes):
    with pytest.raises(UsageError, match="needs 5 pictures or more of each kind, not 4"):
        direction_between(codes, codes[:4])


def test_units_that_never_change_do_no_harm(codes):
    constant = np.concatenate([codes, np.full((400, 2), 7, np.float32)], axis=1)
    vector, _ = direction_between(shifted(constant[:200], 3), constant[200:])
    assert np.array_equal(vector[5:], [0, 0])


def test_each_of_two_labels_has_a_direction_opposite_to_the_others(codes):
    labels = ["smile"] * 200 + ["neutral"] * 200
    found = named_directions(np.concatenate([shifted(codes[:200], 3), codes[200:]]), labels)
    assert list(found) == ["neutral", "smile"]
    assert np.allclose(found["smile"][0], -found["neutral"][0], atol=1e-3)
    assert found["smile"][0][0] > 2


def test_each_of_many_labels_is_set_against_all_others(codes):
    labels = [str(number % 4) for number in range(400)]
    for unit in range(4):
        codes[unit::4, unit] += 4
    found = named_directions(codes, labels)
    assert list(found) == ["0", "1", "2", "3"]
    assert [int(np.argmax(vector)) for vector, _ in found.values()] == [0, 1, 2, 3]


def test_a_label_that_means_nothing_in_the_codes_is_left_out(codes):
    labels = ["a" if number % 2 else "b" for number in range(400)]
    assert named_directions(codes, labels) == {}


@pytest.mark.parametrize(
    "labels",
    [
        [""] * 400,
        ["all"] * 400,
        ["one"] * 200 + [""] * 200,
        [f"person {number // 8}" for number in range(400)],
        ["few"] * 10 + ["fewer"] * 4 + [""] * 386,
    ],
    ids=["none", "one", "one and none", "too many", "too few of each"],
)
def test_labels_that_make_no_directions(codes, labels):
    assert named_directions(shifted(codes, 3), labels) == {}


def test_a_rare_label_counts_among_the_others_without_a_direction(codes):
    labels = ["often"] * 385 + ["rare"] * 15
    found = named_directions(np.concatenate([shifted(codes[:385], 4), codes[385:]]), labels)
    assert list(found) == ["often"]
