"""Likelihoods and divergences: in nats, summed, and what they claim to be."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from vaetool.latents.likelihoods import (
    LIKELIHOODS,
    MIN_VARIANCE,
    Bernoulli,
    Gaussian,
    Logistic,
    bits_per_dim,
    gaussian_kl,
    log_normal,
)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def pictures(generator: torch.Generator, count: int = 3, channels: int = 1) -> torch.Tensor:
    """With pixels on all 256 levels."""
    return torch.randint(256, (count, channels, 16, 16), generator=generator) / 255


def outputs(name: str, generator: torch.Generator, count: int = 3) -> torch.Tensor:
    return torch.randn((count, LIKELIHOODS[name].outputs_per_channel, 16, 16), generator=generator)


def test_the_closed_form_of_the_kl_is_what_sampling_gives(generator):
    mean, log_var = torch.tensor([[0.0, 1.5, -0.3]]), torch.tensor([[0.0, -2.0, 1.0]])
    z = mean + (0.5 * log_var).exp() * torch.randn((200_000, 3), generator=generator)
    ratio = log_normal(z[..., None], mean[..., None], log_var[..., None]) - log_normal(z[..., None])
    assert torch.allclose(gaussian_kl(mean, log_var)[0], ratio.mean(dim=0), atol=0.02)


def test_the_closed_form_of_the_kl_is_torchs_own(generator):
    mean, log_var = torch.randn((2, 4, 5), generator=generator)
    posterior = Normal(mean, (0.5 * log_var).exp())
    assert torch.allclose(gaussian_kl(mean, log_var), kl_divergence(posterior, Normal(0.0, 1.0)), atol=1e-5)


def test_a_posterior_that_is_the_prior_has_no_kl():
    assert gaussian_kl(torch.zeros(1, 3), torch.zeros(1, 3)).abs().max() == 0


def test_log_normal_is_torchs_own(generator):
    z, mean, log_var = torch.randn((3, 4, 5), generator=generator)
    expected = Normal(mean, (0.5 * log_var).exp()).log_prob(z).sum(dim=-1)
    assert torch.allclose(log_normal(z, mean, log_var), expected, atol=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_nats_are_sums_over_pixels(name, generator):
    likelihood, output, x = LIKELIHOODS[name]().eval(), outputs(name, generator), pictures(generator)
    once = likelihood(output, x)
    twice = likelihood(torch.cat([output, output], dim=3), torch.cat([x, x], dim=3))
    assert once.shape == (3,)
    assert torch.allclose(twice, 2 * once, rtol=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_picture_is_in_range(name, generator):
    picture = LIKELIHOODS[name]().picture(5 * outputs(name, generator))
    assert picture.shape == (3, 1, 16, 16)
    assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize("log_scale", [-9.0, -7.0, -5.0, -2.0, 1.0])
@pytest.mark.parametrize("mean", [-0.5, 0.0, 0.3, 1.0, 1.4])
def test_the_discretised_logistic_sums_to_one_over_all_levels(mean, log_scale):
    x = (torch.arange(256) / 255).view(256, 1, 1, 1)
    output = torch.tensor([mean, log_scale]).view(1, 2, 1, 1).expand(256, 2, 1, 1)
    assert Logistic()(output, x).exp().sum().item() == pytest.approx(1, abs=1e-4)


def test_the_discretised_logistic_has_finite_gradients_far_from_the_mean():
    output = torch.tensor([50.0, -20.0]).view(1, 2, 1, 1).requires_grad_()
    (nats,) = Logistic()(output, torch.full((1, 1, 1, 1), 0.2))
    nats.backward()
    assert nats.isfinite()
    assert output.grad is not None
    assert output.grad.isfinite().all()


def test_the_gaussian_takes_the_likeliest_sigma(generator):
    output, x = outputs("gaussian", generator), pictures(generator)
    likelihood = Gaussian()
    best = likelihood(output, x).sum()
    for factor in (0.9, 1.1):
        sigma = factor * (output - x).square().mean().sqrt()
        assert Normal(output, sigma).log_prob(x).sum() < best


def test_the_gaussian_remembers_its_sigma_for_use(generator):
    likelihood = Gaussian()
    output, x = outputs("gaussian", generator), pictures(generator)
    for _ in range(400):
        likelihood(output, x)
    variance = (output - x).square().mean()
    assert likelihood.variance.item() == pytest.approx(variance.item(), rel=0.01)
    expected = Normal(output, likelihood.variance.sqrt()).log_prob(x).sum(dim=(1, 2, 3))
    assert torch.allclose(likelihood.eval()(output, x), expected, rtol=1e-4)


def test_the_gaussian_cannot_grow_without_end(generator):
    x = pictures(generator)
    assert Gaussian()(x, x)[0].item() == pytest.approx(-0.5 * 256 * math.log(2 * math.pi * MIN_VARIANCE), rel=1e-5)


def test_bernoulli_probabilities_of_a_pixel_sum_to_one():
    output = torch.full((1, 1, 1, 1), 0.7)
    on, off = (Bernoulli()(output, torch.full((1, 1, 1, 1), value)).exp() for value in (1.0, 0.0))
    assert (on + off).item() == pytest.approx(1)
    assert on.item() == pytest.approx(Bernoulli().picture(output).item())


def test_even_odds_on_256_levels_are_eight_bits():
    assert bits_per_dim(torch.tensor(-10 * math.log(256)), 10, is_density=False).item() == pytest.approx(8)
    assert bits_per_dim(torch.tensor(0.0), 10, is_density=True).item() == pytest.approx(8)
