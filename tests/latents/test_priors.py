"""Densities of codes: what is fitted, how likely codes are, and what is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from vaetool.latents import priors
from vaetool.latents.priors import Mixture, Normal, fit_mixture


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def two_clouds() -> Mixture:
    factors = np.array([[[0.5, 0.0], [0.4, 0.2]], [[1.0, 0.0], [-0.5, 0.7]]])
    return Mixture(np.array([0.25, 0.75]), np.array([[3.0, 0.0], [-2.0, 1.0]]), factors, np.zeros(2))


def test_the_log_density_of_a_normal_is_that_of_scipy(generator):
    z = generator.normal(size=(20, 3))
    assert np.allclose(Normal(3).log_density(z), multivariate_normal(np.zeros(3)).logpdf(z))


def test_the_log_density_of_a_mixture_is_that_of_scipy(generator, two_clouds):
    z = generator.normal(size=(20, 2), scale=3)
    parts = zip(two_clouds.weights, two_clouds.means, two_clouds.factors, strict=True)
    expected = np.log(sum(weight * multivariate_normal(m, f @ f.T).pdf(z) for weight, m, f in parts))
    assert np.allclose(two_clouds.log_density(z), expected)


def test_samples_have_the_mean_and_the_covariance_of_the_mixture(generator, two_clouds):
    codes = two_clouds.sample(40_000, 1.0, generator)
    mean = two_clouds.weights @ two_clouds.means
    within = sum(w * f @ f.T for w, f in zip(two_clouds.weights, two_clouds.factors, strict=True))
    apart = (two_clouds.means - mean) * np.sqrt(two_clouds.weights)[:, None]
    assert np.allclose(codes.mean(axis=0), mean, atol=0.05)
    assert np.allclose(np.cov(codes.T), within + apart.T @ apart, atol=0.1)


def test_temperature_scales_what_is_within_components_and_not_what_is_between(generator, two_clouds):
    cold = two_clouds.sample(50, 0.0, generator)
    assert {tuple(code) for code in cold.tolist()} == {(3.0, 0.0), (-2.0, 1.0)}
    assert np.allclose(Normal(4).sample(20_000, 0.5, generator).std(axis=0), 0.5, atol=0.02)


def test_the_same_generator_gives_the_same_codes(two_clouds):
    for density in (two_clouds, Normal(2)):
        one, same, other = (density.sample(5, 1.0, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)
        assert (one.shape, one.dtype) == ((5, 2), np.float32)


def test_weights_in_single_precision_choose_every_component(generator):
    """As they come out of a model file: their sum is not quite one."""
    thirds = Mixture(np.full(3, 1 / 3, np.float32), np.arange(3.0)[:, None], np.zeros((3, 1, 1)), np.zeros(2))
    counts = np.bincount(thirds.sample(3000, 1.0, generator)[:, 0].astype(int))
    assert counts.min() > 900


def test_separate_clouds_are_found_and_beat_the_normal(generator):
    centres = np.array([[4, 0], [-4, 0], [0, 4], [0, -4]])
    codes = centres[generator.integers(4, size=1200)] + 0.3 * generator.normal(size=(1200, 2))
    mixture = fit_mixture(codes[200:], codes[:200], 0)
    assert len(mixture.weights) == 4
    assert mixture.is_better
    assert mixture.scores == pytest.approx([d.log_density(codes[:200]).mean() for d in (Normal(2), mixture)])


def test_one_gaussian_is_enough_for_codes_of_one(generator):
    codes = generator.normal(size=(2000, 3)) @ np.array([[1, 0.8, 0], [0, 0.5, 0], [0, 0, 2.0]])
    mixture = fit_mixture(codes, codes[:100], 0)
    assert len(mixture.weights) == 1
    fitted_to = np.delete(codes, slice(priors.LEFT_OUT - 1, None, priors.LEFT_OUT), axis=0)
    assert np.allclose(mixture.factors[0] @ mixture.factors[0].T, np.cov(fitted_to.T), rtol=0.01, atol=0.01)


def test_as_many_gaussians_as_codes_left_out_ask_for(generator):
    """By the BIC, forty clouds that are sixteen numbers wide are two or fewer: it counts a covariance for each."""
    centres = 2.5 * generator.normal(size=(40, 16))
    codes = centres[generator.integers(40, size=6000)] + generator.normal(size=(6000, 16))
    mixture = fit_mixture(codes[1000:], codes[:1000], 0)
    one = multivariate_normal(codes.mean(axis=0), np.cov(codes.T)).logpdf(codes[:1000]).mean()
    assert len(mixture.weights) >= 16
    assert mixture.scores[1] > one + 1


def test_few_codes_for_their_length_get_diagonal_covariances(generator):
    codes = generator.normal(size=(60, 30))
    (factor, *_) = fit_mixture(codes, codes[:5], 0).factors
    assert np.array_equal(factor, np.diag(np.diagonal(factor)))


def test_the_same_seed_gives_the_same_mixture(generator):
    codes = generator.normal(size=(500, 4)) ** 3
    one, same = (fit_mixture(codes, codes[:9], 3) for _ in range(2))
    assert all(np.array_equal(getattr(one, name), getattr(same, name)) for name in ("weights", "means", "factors"))


def test_the_covariances_stay_small_enough_for_a_model_file(generator, monkeypatch):
    monkeypatch.setattr(priors, "MAX_FACTORS", 50)
    codes = np.repeat(np.eye(5) * 20, 100, axis=0) + generator.normal(size=(500, 5))
    assert fit_mixture(codes, codes[:9], 0).factors.size <= 50


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros((1, 3)),
        np.zeros((50, 3)),
        np.full((5, 40), 3.0),
        np.repeat(np.eye(4), 300, axis=0),
        np.concatenate([np.random.default_rng(0).normal(size=(500, 2)), np.full((500, 1), 7.0)], axis=1),
        np.repeat(np.random.default_rng(0).normal(size=(500, 1)), 3, axis=1),
        1e-9 * np.random.default_rng(0).normal(size=(400, 1)),
        1e9 * np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32),
        np.random.default_rng(0).normal(size=(3, 100)),
    ],
    ids=[
        "one",
        "all zero",
        "all the same",
        "four",
        "constant unit",
        "equal units",
        "tiny",
        "huge",
        "three of a hundred",
    ],
)
def test_degenerate_codes_are_fitted_without_a_warning(codes, generator):
    mixture = fit_mixture(codes, codes[:2], 0)
    for values in (mixture.scores, mixture.factors, mixture.means, mixture.sample(10, 1.0, generator)):
        assert np.isfinite(values.astype(np.float32)).all()
    assert mixture.weights.sum() == pytest.approx(1)
