"""The variational autoencoder: its bounds are bounds, its gradients are right, its settings do what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from vaetool.errors import UsageError
from vaetool.latents.likelihoods import LIKELIHOODS
from vaetool.latents.priors import Mixture
from vaetool.latents.vae import VAE, Binarisation, Posterior, VAEConfig, VAEObjective
from vaetool.store import weights

TINY = {"channels": 1, "size": 16, "latent": 4, "widths": (4, 8)}


def variational(**changed: object) -> VAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return VAE(VAEConfig(**{**TINY, **changed}))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    """Handwritten digits, (100, 1, 16, 16) in 0..1."""
    pictures = torch.from_numpy(load_digits().images[:100] / 16).float()[:, None]
    return torch.nn.functional.interpolate(pictures, size=16, mode="nearest")


def descend(model: VAE, x: torch.Tensor, objective: VAEObjective, steps: int = 12) -> list[dict[str, float]]:
    """The losses of a short training."""
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    history = []
    for step in range(steps):
        optimizer.zero_grad()
        losses = model(model.corrupt(x, seeded(step), Binarisation()), objective, step / steps)[0]
        losses["loss"].backward()
        optimizer.step()
        history.append({name: value.item() for name, value in losses.items()})
    return history


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_it_learns_and_every_weight_does(digits, likelihood):
    model = variational(likelihood=likelihood)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    history = descend(model, digits[:50], VAEObjective())
    assert history[-1]["loss"] < history[0]["loss"]
    assert [name for name, weight in model.named_parameters() if torch.equal(weight, before[name])] == []


def test_the_loss_is_the_negative_elbo_per_number(digits):
    model = variational(likelihood="bernoulli")
    batch = model.corrupt(digits[:5], seeded(), Binarisation())
    losses = model.loss(batch)
    elbo = losses["reconstruction"] - losses["kl"]
    assert losses["loss"].item() == pytest.approx(-elbo.item() / 256, rel=1e-5)
    figures = model.eval().validate(batch)
    assert figures["elbo"] == pytest.approx(elbo.item(), rel=1e-5)
    assert figures["elbo"] == pytest.approx(figures["reconstruction"] - figures["kl"], rel=1e-5)


@torch.no_grad()
def test_the_elbo_is_below_the_bound_of_many_samples_and_that_rises(digits):
    model = variational(likelihood="bernoulli")
    with torch.enable_grad():
        descend(model, digits, VAEObjective())
    x = digits[:30].repeat(4, 1, 1, 1)
    one, ten, hundred = (model.eval().iwae(x, samples, seeded()).mean() for samples in (1, 10, 100))
    assert one < ten < hundred
    batch = model.corrupt(x, seeded(1), Binarisation())
    assert one.item() == pytest.approx(model.validate(batch)["elbo"], rel=0.01)


def test_gradients_go_through_the_sample_to_its_mean_and_sigma():
    """Of E[z²] = mean² + sigma²: 2 mean, and sigma² by the logarithm of sigma²."""
    mean, log_var = torch.tensor([[0.7]], requires_grad=True), torch.tensor([[-0.4]], requires_grad=True)
    noise = torch.randn((200_000, 1, 1), generator=seeded())
    Posterior(mean, log_var).sample(noise).square().mean().backward()
    assert mean.grad is not None
    assert log_var.grad is not None
    assert mean.grad.item() == pytest.approx(1.4, rel=0.02)
    assert log_var.grad.item() == pytest.approx(log_var.exp().item(), rel=0.02)


def test_beta_weighs_the_kl(digits):
    model = variational()
    plain, heavy = (
        model.loss(model.corrupt(digits, seeded(), Binarisation()), VAEObjective(beta=beta)) for beta in (1.0, 5.0)
    )
    assert (heavy["loss"] - plain["loss"]).item() == pytest.approx(4 * plain["kl"].item() / 256, rel=1e-2)


def test_the_weight_of_the_kl_warms_up(digits):
    model, objective = variational(), VAEObjective(warmup=0.5)
    assert [objective.kl_weight(fraction) for fraction in (0.0, 0.25, 0.5, 1.0)] == [0, 0.5, 1, 1]
    losses = model.loss(model.corrupt(digits, seeded(), Binarisation()), objective, 0.0)
    assert losses["loss"].item() == pytest.approx(-losses["reconstruction"].item() / 256, rel=1e-5)


def test_free_nats_cost_nothing(digits):
    model, free = variational(), VAEObjective(free_nats=100.0)
    losses = model.loss(model.corrupt(digits, seeded(), Binarisation()), free)
    assert losses["loss"].item() == pytest.approx((400 - losses["reconstruction"].item()) / 256, rel=1e-5)
    losses["loss"].backward()
    deviations = model.encoder.tail.weight.grad  # of the KL alone nothing is left: what is, comes from the picture
    assert deviations is not None
    assert deviations.any()


def test_binarised_pixels_are_on_as_often_as_they_are_bright(digits):
    model, corruption = variational(), Binarisation(binarise=True)
    x = digits[:1].expand(2000, -1, -1, -1)
    clean = model.corrupt(x, seeded(), corruption)["clean"]
    assert set(clean.unique().tolist()) == {0, 1}
    assert (clean.mean(dim=0) - digits[0]).abs().max() < 0.06


def test_units_are_active_if_their_means_vary(digits):
    model = variational()
    with torch.no_grad():
        model.encoder.tail.weight.mul_(100)
        model.encoder.tail.weight[:3] = 0
    assert model.eval().validate(model.corrupt(digits, seeded(), Binarisation()))["active_units"] == 1


@pytest.mark.parametrize(("latent", "active", "warned"), [(64, 6, True), (64, 7, False), (2, 0, True), (2, 1, False)])
def test_a_collapsed_posterior_gives_advice(latent, active, warned):
    advice = variational(latent=latent).diagnose({"active_units": float(active)})
    assert (advice is not None) == warned
    if advice is not None:
        assert f"{active} of {latent} units" in advice
        assert "--beta" in advice


def test_a_saved_model_is_the_same_with_all_that_is_known_of_its_codes(tmp_path, digits):
    model = variational(likelihood="logistic", norm="batch").eval()
    codes = model.encode(list(digits[:20]))
    numbers = np.random.default_rng(0)
    parts = (np.array([0.5, 0.5]), numbers.normal(size=(2, 4)), np.stack([np.eye(4)] * 2), np.array([-6.0, -5.0]))
    model.keep_mixture(Mixture(*(part.astype(np.float32) for part in parts)))
    model.keep_directions({"smile": (np.arange(4.0), 0.9)})
    model.keep_spread(codes)
    weights.save(tmp_path / "vae.safetensors", model, {})
    again = weights.load(tmp_path / "vae.safetensors", device="cpu", kind="vae")
    assert again.config == model.config
    assert np.allclose(again.encode(list(digits[:20])), codes, atol=1e-5)
    assert torch.equal(again.code_sigma, model.code_sigma)
    assert again.named_directions()["smile"][0].tolist() == [0, 1, 2, 3]
    mixture = again.mixture
    assert all(
        np.array_equal(kept, part)
        for kept, part in zip((mixture.means, mixture.weights), (parts[1].astype(np.float32), parts[0]), strict=True)
    )


def test_pictures_of_any_kind_and_size_are_encoded(photographs):
    model = variational(channels=3).eval()
    china = photographs["china"]
    codes = model.encode([china, np.asarray(china), np.zeros((5, 9), np.uint8)])
    assert codes.shape == (3, 4)
    assert np.array_equal(codes[0], codes[1])
    assert model.encode([]).shape == (0, 4)


@pytest.mark.parametrize("wrong", [{"beta": -1.0}, {"free_nats": float("nan")}, {"warmup": 2.0}])
def test_an_objective_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="objective"):
        VAEObjective(**wrong)


def test_an_unknown_likelihood_is_refused():
    with pytest.raises(UsageError, match="bernoulli, gaussian or logistic"):
        VAEConfig(likelihood="laplace")
