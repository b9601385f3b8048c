"""What the denoiser's network promises whatever its weights are: it has no biases."""

from __future__ import annotations

import pytest
import torch

from vaetool.denoising.dae import DAE, VISIBLE, DAEConfig, DAEObjective
from vaetool.denoising.noise.mixture import Noise
from vaetool.errors import UsageError
from vaetool.store import weights


@pytest.fixture(scope="module", params=["random", "trained"])
def dae(request):
    """A denoiser with random weights, and one that was trained."""
    if request.param == "trained":
        return weights.load(request.getfixturevalue("tiny_dae"), device="cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = DAE(DAEConfig(widths=(4, 8, 8), blocks=1, estimator_widths=(4, 4)))
        for weight in model.parameters():  # also those that start at zero
            torch.nn.init.normal_(weight, std=0.2)
    return model.requires_grad_(False).eval()


def pictures(count: int = 2, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand((count, 3, size, size), generator=torch.Generator().manual_seed(seed))


def sigmas(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.25, 0.5, 0.75)])
def test_a_constant_picture_has_a_sigma_of_zero(dae, colour):
    constant = torch.tensor(colour)[None, :, None, None].expand(1, 3, 48, 48)
    assert dae.estimate(constant).abs().max() < 1e-6


def test_a_constant_picture_stays_as_it_is(dae):
    constant = torch.full((1, 3, 48, 48), 0.4)
    assert torch.equal(dae.restore(constant, dae.estimate(constant)), constant)


@pytest.mark.parametrize("scale", [0.5, 2.0, 8.0])
def test_restoring_scales_with_the_picture_and_its_noise(dae, scale):
    x, sigma = pictures(), sigmas(20 / 255)
    expected = scale * dae.restore(x, sigma)
    assert torch.allclose(dae.restore(scale * x, scale * sigma), expected, rtol=1e-4, atol=1e-4 * scale)


@pytest.mark.parametrize("scale", [0.5, 2.0, 8.0])
def test_the_estimate_scales_with_the_picture(dae, scale):
    x = pictures()
    assert torch.allclose(dae.estimate(scale * x), scale * dae.estimate(x), rtol=1e-2)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_below_visible_noise_nothing_changes(dae, share):
    x = pictures()
    assert torch.equal(dae.restore(x, sigmas(share * VISIBLE)), x)


def test_above_visible_noise_something_changes(dae):
    x = pictures()
    assert not torch.equal(dae.restore(x, sigmas(3 * VISIBLE)), x)


def test_pictures_of_a_batch_do_not_touch_each_other(dae):
    x = pictures(3)
    together = dae.restore(x, dae.estimate(x))
    alone = torch.cat([dae.restore(one, dae.estimate(one)) for one in x.split(1)])
    assert torch.allclose(together, alone, rtol=1e-4, atol=1e-4)


def test_a_trained_denoiser_takes_noise_away(tiny_dae, photographs):
    import numpy as np

    trained = weights.load(tiny_dae, device="cpu")
    clean = torch.from_numpy(np.array(photographs["china"]))[:96, :160].permute(2, 0, 1)[None] / 255
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    noisy = clean + 30 / 255 * noise
    estimate = trained.estimate(noisy)
    restored = trained.restore(noisy, estimate)
    assert 20 < 255 * estimate.median() < 40
    assert (restored - clean).square().mean() < 0.6 * (noisy - clean).square().mean()


@pytest.mark.parametrize("alone", [True, False])
def test_the_estimator_can_be_trained_alone(alone):
    model, objective = uniform_or_not(False), DAEObjective(estimator_alone=alone)
    generator = torch.Generator().manual_seed(0)
    model.loss(model.corrupt(pictures(8), generator, Noise()), objective)["loss"].backward()
    for name, part in (("estimator", model.estimator), ("unet", model.unet)):
        assert any(weight.grad is not None and weight.grad.any() for weight in part.parameters()) is (
            name == "estimator" or not alone
        )
    assert all(weight.grad is not None for weight in model.parameters())  # distributed training awaits one of each
    frozen = {id(weight) for weight in model.frozen_parameters(objective, 0.5)}
    assert frozen == ({id(weight) for weight in model.unet.parameters()} if alone else set())


@pytest.mark.parametrize("wrong", [{"channels": 2}, {"pooling": 0}, {"pooling": 64}, {"pooling": 10**9}])
def test_a_configuration_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="model"):
        DAEConfig(**wrong)


# What sigma means


def uniform_or_not(uniform: bool) -> DAE:
    return DAE(DAEConfig(widths=(4, 8), blocks=1, estimator_widths=(4, 4), uniform=uniform, pooling=5)).eval()


def test_the_true_sigma_of_a_place_is_the_root_mean_square_around_it():
    noise = torch.randn((1, 3, 48, 64), generator=torch.Generator().manual_seed(0))
    noise[:, :, :, 32:] *= 5
    sigma = uniform_or_not(False).true_sigma(noise)
    assert sigma.shape == (1, 1, 12, 16)
    for row, column in [(0, 0), (5, 7), (11, 15)]:
        rows = slice(4 * max(0, row - 2), 4 * (row + 3))
        columns = slice(4 * max(0, column - 2), 4 * (column + 3))
        expected = noise[:, :, rows, columns].square().mean().sqrt()
        assert float(sigma[0, 0, row, column]) == pytest.approx(float(expected), rel=1e-4)


def test_uniform_noise_has_one_true_sigma():
    noise = torch.randn((2, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    sigma = uniform_or_not(True).true_sigma(noise)
    assert torch.allclose(sigma.flatten(), noise.square().mean(dim=(1, 2, 3)).sqrt())


# Begin with another denoiser


def test_a_denoiser_adopts_what_fits_of_another():
    ours, theirs = uniform_or_not(False), uniform_or_not(True)
    assert ours.warm_start(theirs)
    state = ours.state_dict()
    assert all(torch.equal(values, state[name]) for name, values in theirs.state_dict().items())


def test_an_estimator_of_another_shape_is_left_out():
    ours = DAE(DAEConfig(widths=(4, 8), blocks=1, estimator_widths=(8, 8)))
    before = ours.estimator.unet.head.weight.clone()
    assert ours.warm_start(uniform_or_not(True))
    assert torch.equal(ours.estimator.unet.head.weight, before)


def test_a_denoiser_without_a_layer_in_common_is_not_adopted():
    assert not DAE(DAEConfig(widths=(8, 8), blocks=1, estimator_widths=(8, 8))).warm_start(uniform_or_not(True))
