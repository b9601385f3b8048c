"""Figures of merit against scikit-learn's and against what is known by hand, and their plots."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from vaetool.errors import UsageError
from vaetool.scoring.curves import draw_curves, draw_histogram
from vaetool.scoring.evaluation import (
    Confusion,
    PixelTally,
    best_f1_threshold,
    confusion,
    evaluate,
    fpr_at_tpr,
    roc_auc_interval,
)


@pytest.fixture
def batch():
    """Scores of 300 normal images and 100 outliers, which overlap."""
    generator = np.random.default_rng(0)
    labels = np.repeat([False, True], [300, 100])
    return generator.normal(size=400) + 1.5 * labels, labels


def test_scores_that_separate_are_perfect_in_every_figure():
    scores, labels = np.array([1.0, 2, 3, 7, 8]), np.array([False, False, False, True, True])
    result = evaluate(scores, labels, scores > 5)
    assert (result.normal, result.outliers) == (3, 2)
    assert (result.roc_auc, result.average_precision, result.fpr_at_95_tpr) == (1, 1, 0)
    assert result.roc_auc_interval == (1, 1)
    assert result.best_threshold == 7
    assert result.at_best_f1 == result.at_verdict == Confusion(found=2, missed=0, false_alarms=0, passed=3)


def test_scores_that_are_all_the_same_tell_nothing():
    labels = np.repeat([False, True], 10)
    result = evaluate(np.ones(20), labels, np.zeros(20, bool))
    assert (result.roc_auc, result.roc_auc_interval, result.fpr_at_95_tpr) == (0.5, (0.5, 0.5), 1)
    assert result.at_verdict == Confusion(found=0, missed=10, false_alarms=0, passed=10)
    assert result.at_verdict.precision == result.at_verdict.f1 == 0


def test_the_best_f1_is_that_of_the_best_threshold(batch):
    scores, labels = batch
    best = max(confusion(scores >= threshold, labels).f1 for threshold in scores)
    assert confusion(scores >= best_f1_threshold(scores, labels), labels).f1 == best


def test_rates_of_a_confusion():
    counts = Confusion(found=6, missed=2, false_alarms=3, passed=9)
    assert (counts.precision, counts.recall, counts.false_alarm_rate) == (6 / 9, 6 / 8, 3 / 12)
    assert counts.f1 == pytest.approx(2 / (9 / 6 + 8 / 6))


def test_the_false_positive_rate_is_that_of_the_highest_threshold_that_finds_enough(batch):
    scores, labels = batch
    threshold = np.sort(scores[labels])[5]  # 95 of 100 are from there on
    assert fpr_at_tpr(scores, labels, 0.95) == np.mean(scores[~labels] >= threshold)


def test_the_interval_is_where_areas_of_resampled_images_are(batch):
    scores, labels = batch
    generator = np.random.default_rng(1)
    areas = []
    for _ in range(300):
        parts = [generator.choice(np.flatnonzero(kind), kind.sum()) for kind in (labels, ~labels)]
        chosen = np.concatenate(parts)
        areas.append(roc_auc_score(labels[chosen], scores[chosen]))
    low, high = roc_auc_interval(scores, labels)
    assert low < roc_auc_score(labels, scores) < high
    assert (low, high) == pytest.approx(np.quantile(areas, [0.025, 0.975]), abs=0.006)
    assert roc_auc_interval(scores, labels) == (low, high)


def test_an_interval_with_ties_counts_them_half():
    scores, labels = np.array([1.0, 1, 2, 2]), np.array([False, True, False, True])
    areas = [
        roc_auc_score([0, 0, 1, 1], [*good, *bad])
        for good, bad in itertools.product(itertools.product([1, 2], repeat=2), repeat=2)
    ]
    low, high = roc_auc_interval(scores, labels, resamples=2000)
    assert (low, high) == (min(areas), max(areas))


@pytest.mark.parametrize("labels", [[True, True], [False, False]])
def test_one_kind_alone_cannot_be_evaluated(labels):
    with pytest.raises(UsageError, match="needs normal images and outliers"):
        evaluate(np.array([1.0, 2]), np.array(labels), np.array(labels))


# Pixels


def squares(maps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Maps that are higher inside a small and a large square; and the squares."""
    generator = np.random.default_rng(seed)
    masks = np.zeros((maps, 24, 24), bool)
    masks[:, 2:5, 2:5] = True
    masks[:, 10:20, 10:20] = True
    return (generator.normal(size=masks.shape) + masks).astype(np.float16).astype(np.float32), masks


def test_pixels_counted_one_image_at_a_time_have_the_area_of_all_together():
    maps, masks = squares(3)
    tally = PixelTally()
    for values, mask in zip(maps, masks, strict=True):
        tally.add(values, mask)
    assert tally.auroc() == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-9)


def test_the_overlap_of_regions_weighs_each_region_the_same():
    """Against the definition: at each threshold, the mean of the shares of the regions that are above it."""
    maps, masks = squares(1)
    values, regions = maps[0], [np.s_[2:5, 2:5], np.s_[10:20, 10:20]]
    tally = PixelTally()
    tally.add(values, masks[0])
    points = [(0.0, 0.0)]
    for threshold in np.unique(values)[::-1]:
        false = np.mean(values[~masks[0]] >= threshold)
        points.append((false, np.mean([np.mean(values[region] >= threshold) for region in regions])))
    x, y = np.array(points).T
    fine = np.linspace(0, 0.3, 200_001)
    assert tally.regions == 2
    assert tally.per_region_overlap() == pytest.approx(np.interp(fine, x, y).mean(), abs=1e-3)


def test_a_map_that_is_its_mask_is_perfect():
    _, masks = squares(1)
    tally = PixelTally()
    tally.add(masks[0].astype(np.float32), masks[0])
    assert (tally.auroc(), tally.per_region_overlap()) == (1, 1)


def test_values_beyond_half_precision_keep_their_order():
    tally = PixelTally()
    tally.add(np.array([[-1e30, -2.0, 1e-9, 1e30]], np.float32), np.array([[False, False, True, True]]))
    assert tally.auroc() == 1


def test_without_defects_there_is_nothing_to_compare():
    tally = PixelTally()
    tally.add(np.ones((4, 4)), np.zeros((4, 4), bool))
    assert tally.auroc() is tally.per_region_overlap() is None
    result = evaluate(np.array([1.0, 2]), np.array([False, True]), np.array([False, True]), tally)
    assert "pixel AUROC" not in result.words()
    assert "pixel_auroc" not in result.facts()


# Plots


def test_curves_are_a_picture_and_the_same_one_for_the_same_scores(batch):
    scores, labels = batch
    result = evaluate(scores, labels, scores > 1)
    with Image.open(io.BytesIO(draw_curves(scores, labels, result))) as picture:
        assert picture.format == "PNG"
    drawing = draw_curves(scores, labels, result, format="svg")
    assert drawing.lstrip().startswith(b"<?xml")
    assert drawing == draw_curves(scores, labels, result, format="svg")


@pytest.mark.parametrize("scores", [[], [1.0], [1e9, -1e9, 0.2], [0.5, 0.5]], ids=str)
@pytest.mark.parametrize("calibration", [[0.0, 0.3, 1.0], [0.5] * 4], ids=["spread", "constant"])
def test_a_histogram_is_drawn_of_whatever_scores_there_are(calibration, scores):
    values = np.array(scores)
    assert b"<svg" in draw_histogram(np.array(calibration), values, values > 0.4, format="svg")
