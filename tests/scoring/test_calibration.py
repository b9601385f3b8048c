"""Scores and p-values: what they promise, over many splits of synthetic statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from vaetool.errors import UsageError
from vaetool.scoring.calibration import (
    Calibration,
    benjamini_hochberg,
    check_alpha,
    drift,
    false_alarm_bound,
    false_alarm_rate,
)

NAMES = ("elbo", "recon", "kl", "top", "bits", "code")


def statistics(count: int, seed: int = 0) -> np.ndarray:
    """Correlated and skewed, as those of pictures are: (count, 6)."""
    noise = np.random.default_rng(seed).standard_normal((count, len(NAMES)))
    mixed = noise @ (np.eye(len(NAMES)) + 0.4)
    return np.stack([-mixed[:, 0], np.exp(mixed[:, 1]), mixed[:, 2] ** 3, *mixed.T[3:]], axis=1)


def calibration(count: int, seed: int = 0) -> Calibration:
    return Calibration(NAMES, statistics(count, seed))


def shifted(name: str, by: float) -> np.ndarray:
    """Ordinary statistics but for one."""
    values = np.median(statistics(10_000), axis=0)[None]
    values[0, NAMES.index(name)] += by
    return values


# p-values


@pytest.mark.parametrize("by", ["typical", "elbo"])
def test_over_200_splits_false_alarms_follow_the_beta_law(by):
    fresh, p_values = 500, []
    for split in range(200):
        known = calibration(400, seed=split)
        p_values.append(known.p_values(known.scores(statistics(fresh, seed=1000 + split), by), by))
    n, rng = known.count(by), np.random.default_rng(0)
    for alpha in (0.01, 0.05, 0.1):
        rates = (np.array(p_values) <= alpha).mean(axis=1)
        allowed = int(alpha * (n + 1))
        # The law, and that a rate is measured on so many pictures only.
        expected = rng.binomial(fresh, rng.beta(allowed, n + 1 - allowed, 20_000)) / fresh
        assert rates.mean() == pytest.approx(false_alarm_rate(alpha, n), abs=3 * expected.std() / np.sqrt(200))
        low, high = np.quantile(expected, [0.025, 0.975])
        assert ((low <= rates) & (rates <= high)).mean() > 0.9
        smooth = [values + rng.random(len(values)) / fresh for values in (rates, expected)]
        assert kstest(*smooth).pvalue > 0.001


def test_p_values_of_good_pictures_are_uniform():
    pooled = []
    for seed in range(40):
        known = calibration(200, seed)
        pooled.append(known.p_values(known.scores(statistics(20, 500 + seed), "typical"), "typical"))
    assert kstest(np.concatenate(pooled), "uniform").pvalue > 0.01


def test_a_p_value_counts_the_held_out_scores_that_are_as_high():
    known = Calibration(("recon",), np.arange(9.0)[:, None])
    assert known.p_values(np.array([-1.0, 4.0, 4.5, 8.0, 100.0]), "recon").tolist() == [1, 0.6, 0.5, 0.2, 0.1]


def test_scores_of_typical_are_calibrated_with_others_than_they_were_fitted_on():
    known = calibration(100)
    assert (known.count("typical"), known.count("kl")) == (66, 100)
    changed = known.components.copy()
    changed[np.arange(100) % 3 > 0] += 5  # those that calibrate
    assert np.array_equal(
        known.scores(statistics(9, 1), "typical"), Calibration(NAMES, changed).scores(statistics(9, 1), "typical")
    )


def test_what_was_not_computed_of_an_image_does_not_count():
    components = statistics(60)
    components[20:, 0] = np.nan
    known = Calibration(NAMES, components)
    assert known.count("elbo") == 20
    assert known.count("kl") == 60
    assert np.isfinite(known.scores(statistics(5, 1), "typical")).all()


def test_a_detector_that_says_the_same_of_everything_accuses_nobody():
    known = Calibration(NAMES, np.ones((50, len(NAMES))))
    for by in ("typical", *NAMES):
        scores = known.scores(np.ones((5, len(NAMES))), by)
        assert known.p_values(scores, by).tolist() == [1] * 5


def test_a_statistic_that_never_changes_hides_no_other():
    components = statistics(200)
    components[:, NAMES.index("kl")] = 0.0  # of a posterior that collapsed
    known = Calibration(NAMES, components)
    new = statistics(100, 1)
    new[:, NAMES.index("kl")] = 0.0
    p = known.p_values(known.scores(new, "typical"), "typical")
    assert kstest(p, "uniform").pvalue > 0.001
    new[:, NAMES.index("recon")] = 1000.0
    assert known.p_values(known.scores(new, "typical"), "typical").max() < 0.02


# The score `typical`


@pytest.mark.parametrize("name", ["recon", "kl", "top", "bits"])
@pytest.mark.parametrize("by", [-1e4, 1e4])
def test_both_tails_are_unusual(name, by):
    known = calibration(500)
    middle, far = known.scores(shifted(name, 0), "typical"), known.scores(shifted(name, by), "typical")
    assert known.p_values(middle, "typical") > 0.3
    assert known.p_values(far, "typical") == pytest.approx(1 / 334)


def test_a_code_is_unusual_only_where_there_are_few():
    known = calibration(500)
    low, middle, high = (known.scores(shifted("code", by), "typical")[0] for by in (-100, 0, 100))
    assert low <= middle < high


def test_far_outliers_do_not_tie():
    known = calibration(100)
    scores = [known.scores(shifted("kl", by), "typical")[0] for by in (1e2, 1e4, 1e8, 1e12)]
    assert np.isfinite(scores).all()
    assert (np.diff(scores) > 0).all()


def test_an_unusual_combination_of_usual_numbers_is_unusual():
    together = np.random.default_rng(0).standard_normal((500, 1)).repeat(4, axis=1)
    together += 0.1 * np.random.default_rng(1).standard_normal((500, 4))
    known = Calibration(("recon", "kl", "top", "bits"), together)
    usual, strange = np.array([[1.0, 1, 1, 1]]), np.array([[1.0, -1, 1, -1]])
    assert known.p_values(known.scores(usual, "typical"), "typical") > 0.1
    assert known.p_values(known.scores(strange, "typical"), "typical") < 0.01


def test_few_images_decide_over_few_statistics():
    moved = shifted("bits", 100)
    assert Calibration(NAMES, statistics(20)).scores(moved, "typical") == pytest.approx(
        Calibration(NAMES, statistics(20)).scores(shifted("bits", 0), "typical")
    )
    known = Calibration(NAMES, statistics(50))
    assert known.scores(moved, "typical") > 2 * known.scores(shifted("bits", 0), "typical")


def test_likelihoods_are_scored_the_other_way_round():
    known = calibration(50)
    low, high = shifted("elbo", -5), shifted("elbo", 5)
    assert known.scores(low, "elbo") > known.scores(high, "elbo")
    assert known.scores(low, "kl") == known.scores(high, "kl")


# Levels


@pytest.mark.parametrize(("n", "mean", "bound"), [(50, 0.0392, 0.0914), (100, 0.0495, 0.0892), (500, 0.0499, 0.0668)])
def test_the_law_of_false_alarms_is_that_of_order_statistics(n, mean, bound):
    """A level of .05 is a threshold at one of the highest of n uniform scores; false alarms are what lies above it."""
    assert false_alarm_rate(0.05, n) == pytest.approx(mean, abs=1e-4)
    assert false_alarm_bound(0.05, n) == pytest.approx(bound, abs=1e-4)
    threshold = np.sort(np.random.default_rng(0).random((5000, n)))[:, -int(0.05 * (n + 1))]
    assert np.quantile(1 - threshold, 0.95) == pytest.approx(bound, rel=0.03)


def test_a_level_that_the_images_cannot_resolve_is_refused_with_what_they_can():
    check_alpha(0.05, 19)
    with pytest.raises(UsageError, match=r"18 good images here.*1/19 = 0\.053.*19 or more"):
        check_alpha(0.05, 18)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, float("nan")])
def test_a_level_is_a_probability(alpha):
    with pytest.raises(UsageError, match="between 0 and 1"):
        check_alpha(alpha, 100)


@pytest.mark.parametrize("n", [9, 29, 99, 499])
def test_the_law_counts_as_the_p_values_do(n):
    known = Calibration(("recon",), np.arange(float(n))[:, None])
    p = known.p_values(np.arange(-1.0, n + 1), "recon")
    for alpha in (0.1, 0.29, 0.3, 0.5):
        assert false_alarm_rate(alpha, n) == pytest.approx(len(set(p[p <= alpha])) / (n + 1))


# Many pictures


def test_benjamini_and_hochberg_take_the_largest_p_below_its_line():
    p = np.array([0.9, 0.01, 0.04, 0.02, 0.5])
    assert benjamini_hochberg(p, 0.1).tolist() == [False, True, True, True, False]
    assert benjamini_hochberg(p, 0.02).tolist() == [False] * 5
    assert benjamini_hochberg(np.array([]), 0.1).tolist() == []


def test_false_discoveries_are_as_many_as_allowed():
    shares = []
    for seed in range(200):
        known = calibration(400, seed)
        new = np.concatenate([statistics(90, 1000 + seed), np.repeat(shifted("recon", 1e3), 30, axis=0)])
        found = benjamini_hochberg(known.p_values(known.scores(new, "recon"), "recon"), 0.1)
        shares.append(found[:90].sum() / max(1, found.sum()))
    assert np.mean(shares) <= 0.1


def test_a_false_discovery_rate_is_a_share():
    with pytest.raises(UsageError, match="between 0 and 1"):
        benjamini_hochberg(np.array([0.5]), 1.5)


def test_a_batch_that_looks_unusual_as_a_whole_is_warned_of():
    rng = np.random.default_rng(0)
    words = drift(rng.random(50) * 0.2)
    assert words is not None
    assert "these 50 pictures" in words
    assert drift(rng.random(50)) is None
    assert drift(np.full(5, 0.01)) is None


def test_good_batches_are_hardly_ever_warned_of():
    warned = 0
    for seed in range(300):
        known = calibration(200, seed)
        warned += drift(known.p_values(known.scores(statistics(20, 900 + seed), "kl"), "kl")) is not None
    assert warned <= 4
