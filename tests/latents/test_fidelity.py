"""What samples are judged by: a figure in a table is worth no more than that."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import torch

from vaetool.latents import fidelity
from vaetool.latents.fidelity import features, frechet_distance, precision_and_recall, spread_ratio


def normal(mean, covariance, count=4000, seed=0) -> np.ndarray:
    """Samples with exactly these moments."""
    samples = np.random.default_rng(seed).normal(size=(count, len(mean)))
    samples -= samples.mean(axis=0)
    samples = np.linalg.solve(np.linalg.cholesky(np.cov(samples, rowvar=False)), samples.T).T
    values, vectors = np.linalg.eigh(covariance)
    return samples @ (vectors * np.sqrt(values.clip(0))).T + mean


def test_the_examples_are_right():
    assert doctest.testmod(fidelity).failed == 0


def test_frechet_distance_of_gaussians_that_share_axes_is_that_of_their_spreads():
    a, b = normal([0, 0, 0], np.diag([1.0, 4.0, 9.0])), normal([1, 2, 2], np.diag([4.0, 4.0, 1.0]), seed=1)
    assert frechet_distance(a, b) == pytest.approx(9 + 1 + 0 + 4)


def test_frechet_distance_is_that_of_the_root_of_the_product_of_covariances():
    from scipy.linalg import sqrtm

    factors = np.random.default_rng(2).normal(size=(2, 5, 5))
    first, second = (factor @ factor.T for factor in factors)
    expected = np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second)).real
    assert frechet_distance(normal(np.zeros(5), first), normal(np.zeros(5), second)) == pytest.approx(expected)


def test_frechet_distance_does_not_depend_on_the_order_and_is_zero_for_the_same():
    a, b = (np.random.default_rng(seed).exponential(size=(300, 20)) for seed in (0, 1))
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_is_finite_where_covariances_have_no_full_rank():
    rows = np.random.default_rng(0).normal(size=(50, 100)).astype(np.float32)  # fewer samples than features
    rows[:, :30] = 0  # features that are always off
    assert 0 <= frechet_distance(rows, rows) < 1e-4
    assert frechet_distance(rows, rows + 1) == pytest.approx(100, rel=1e-4)


def test_single_pictures_are_as_far_apart_as_their_features():
    assert frechet_distance(np.zeros((1, 2)), np.array([[3.0, 4.0]])) == pytest.approx(25)


def test_blur_costs_precision_and_collapse_recall():
    """Of two clusters: samples between them, in one of them, and in both."""
    rows = np.random.default_rng(0).normal(size=(400, 5)) + 20 * (np.arange(400) % 2)[:, None]
    again = np.random.default_rng(1).normal(size=(400, 5)) + 20 * (np.arange(400) % 2)[:, None]
    assert precision_and_recall(rows, np.full((400, 5), 10.0) + rows / 100) == (0, 0)
    precision, recall = precision_and_recall(rows, again[::2])
    assert precision > 0.7
    assert 0.3 < recall < 0.5
    assert min(precision_and_recall(rows, again)) > 0.7


def test_precision_and_recall_change_places_with_their_arguments():
    a, b = (np.random.default_rng(seed).normal(size=(150 + seed, 4)) for seed in (0, 1))
    assert precision_and_recall(a, b) == precision_and_recall(b, a)[::-1]


def test_the_same_picture_again_and_again_has_no_spread():
    rows = np.random.default_rng(0).normal(size=(100, 6))
    assert spread_ratio(rows, np.repeat(rows[:1], 100, axis=0)) == pytest.approx(0, abs=1e-9)
    assert spread_ratio(rows, rows[::-1]) == pytest.approx(1)


@pytest.mark.parametrize(("channels", "size"), [(1, 16), (1, 28), (3, 64), (3, 100)])
def test_features_are_those_of_each_picture_alone(channels, size):
    pictures = torch.rand(5, channels, size, size, generator=torch.Generator().manual_seed(0))
    found = features(pictures)
    assert found.shape == (5, 152)
    assert found == pytest.approx(np.concatenate([features(each[None]) for each in pictures]), abs=1e-4)
    assert np.ptp(found, axis=0).max() > 0.1


def test_features_tell_blurred_pictures_from_sharp_ones():
    sharp = torch.rand(200, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, stride=1, padding=1, count_include_pad=False)
    half, other, soft = features(sharp[:100]), features(sharp[100:]), features(blurred[100:])
    assert frechet_distance(half, soft) > 10 * frechet_distance(half, other)
    assert precision_and_recall(half, soft)[0] < 0.1 < precision_and_recall(half, other)[0]
