"""The autoencoder: its penalties are what they are called, and it learns in every way it can be trained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from vaetool.errors import UsageError
from vaetool.latents.ae import (
    AE,
    MAX_EXACT,
    AEConfig,
    AEObjective,
    InputNoise,
    draw_probes,
    sparsity,
    squared_jacobian,
)
from vaetool.latents.baseline import pca_psnr
from vaetool.store import weights
from vaetool.training.config import read_recipe
from vaetool.training.distributed import Processes
from vaetool.training.loop import Run
from vaetool.training.report import Reporter

TINY = {"channels": 1, "size": 16, "latent": 3, "widths": (4, 8), "norm": "group"}


def autoencoder(**changed: object) -> AE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AE(AEConfig(**{**TINY, **changed}))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def digits() -> torch.Tensor:
    """Handwritten digits, (200, 1, 16, 16) in 0..1."""
    pictures = torch.from_numpy(load_digits().images[:200] / 16).float()[:, None]
    return torch.nn.functional.interpolate(pictures, size=16, mode="nearest")


def descend(
    model: AE, x: torch.Tensor, objective: AEObjective, steps: int = 30, lr: float = 3e-3, sigma: float = 0.0
) -> list[float]:
    """The losses of a short training."""
    optimizer = torch.optim.Adam(model.parameters(), lr)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = model(model.corrupt(x, seeded(step), InputNoise(sigma)), objective, step / steps)[0]["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


OBJECTIVES = {
    "plain": (AEObjective(), 0.0),
    "denoising": (AEObjective(), 50.0),
    "sparse": (AEObjective(sparse=0.1), 0.0),
    "sparse by KL": (AEObjective(sparse=1.0, sparsity="kl"), 0.0),
    "contractive": (AEObjective(contractive=0.1), 0.0),
}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("reconstruction", ["mse", "bce"])
def test_it_learns_and_every_weight_does(digits, name, reconstruction):
    model = autoencoder(reconstruction=reconstruction)
    before = {key: weight.clone() for key, weight in model.named_parameters()}
    objective, sigma = OBJECTIVES[name]
    losses = descend(model, digits[:64], objective, steps=12, sigma=sigma)
    assert losses[-1] < losses[0]
    assert [key for key, weight in model.named_parameters() if torch.equal(weight, before[key])] == []


@pytest.mark.parametrize("latent", [1, 3, 400])
def test_narrow_and_over_complete_codes_just_work(digits, latent):
    model = autoencoder(latent=latent)
    losses = descend(model, digits[:32], AEObjective(contractive=0.01), steps=3)
    assert np.isfinite(losses).all()
    assert model.encode(list(digits[:5])).shape == (5, latent)
    assert model.decode(np.zeros((4, latent))).shape == (4, 16, 16, 1)


def test_a_sparse_code_is_sparser(digits):
    plain, sparse = autoencoder(), autoencoder()
    descend(plain, digits[:64], AEObjective())
    descend(sparse, digits[:64], AEObjective(sparse=50.0))
    assert sparse.embed(digits).abs().mean() < 0.5 * plain.embed(digits).abs().mean()


def test_a_contractive_code_moves_less_with_the_picture(digits):
    plain, contractive = autoencoder(), autoencoder()
    descend(plain, digits[:64], AEObjective())
    descend(contractive, digits[:64], AEObjective(contractive=50.0))
    assert norms(contractive, digits[:64]).mean() < 0.5 * norms(plain, digits[:64]).mean()


def norms(model: AE, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return squared_jacobian(model.embed(x), x, draw_probes(len(x), model.config.latent, seeded())).detach()


def test_for_short_codes_the_norm_of_the_jacobian_is_exact(digits):
    model, x = autoencoder(), digits[:4]
    rows = [torch.autograd.functional.jacobian(lambda one: model.embed(one[None])[0], picture) for picture in x]
    expected = torch.stack([row.square().sum() for row in rows])
    assert torch.allclose(norms(model, x), expected, rtol=1e-4)


def test_for_long_codes_its_estimate_has_no_bias(digits):
    latent = MAX_EXACT + 4
    model = autoencoder(latent=latent)
    x = digits[:1].expand(600, -1, -1, -1).clone().requires_grad_()
    z = model.embed(x)
    estimates = squared_jacobian(z, x, draw_probes(len(x), latent, seeded()))
    exact = squared_jacobian(z, x, torch.eye(latent).expand(len(x), latent, latent))[0]
    assert estimates.std() > 0
    assert abs(estimates.mean() - exact) < 4 * estimates.std() / len(x) ** 0.5


def test_a_share_of_units_that_are_on_as_wanted_costs_nothing():
    objective = AEObjective(sparsity="kl", rho=0.2)
    wanted = torch.logit(torch.tensor([[0.2, 0.2]]))
    assert sparsity(wanted, objective).item() == pytest.approx(0, abs=1e-6)
    assert sparsity(wanted + 1, objective) > 0.05


def test_noise_has_the_sigma_that_was_asked_for(digits):
    batch = autoencoder().corrupt(digits, seeded(), InputNoise(sigma=51.0))
    assert (batch["noisy"] - batch["clean"]).std().item() == pytest.approx(0.2, rel=0.02)


def test_stacked_levels_learn_one_after_the_other_then_all(digits):
    model, objective = autoencoder(), AEObjective(stacked=0.5)
    trained = []
    for fraction in (0.0, 0.25, 0.5):
        model.zero_grad()
        model(model.corrupt(digits[:8], seeded(), InputNoise(25.0)), objective, fraction)[0]["loss"].backward()
        frozen = {id(weight) for weight in model.frozen_parameters(objective, fraction)}
        assert not any(weight.grad.any() for weight in model.parameters() if id(weight) in frozen)
        gradients = {name: weight.grad for name, weight in model.named_parameters()}
        assert all(gradient is not None for gradient in gradients.values())  # or distributed training would wait
        moved = [name.split(".") for name, gradient in gradients.items() if gradient.any()]
        trained.append({f"{part} {number}" for part, kind, number, *_ in moved if kind == "levels"})
    assert trained == [
        {"encoder 0", "decoder 1"},
        {"encoder 1", "decoder 0"},
        {"encoder 0", "encoder 1", "decoder 0", "decoder 1"},
    ]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_level_whose_turn_is_over_does_not_change_by_a_bit(tmp_path, digit_folders, optimizer):
    seen: list[dict[str, torch.Tensor]] = []

    class Watcher(Reporter):
        def step(self, progress, fraction, losses, lr, crop):
            seen.append({name: weight.clone() for name, weight in runs[0].model.named_parameters()})

    runs: list[Run] = []
    recipe = read_recipe(
        kind="ae",
        settings=[
            "model.size=16",
            "model.latent=4",
            "model.widths=[4,8]",
            "model.blocks=[0,0]",
            "model.decoder_widths=[4,4]",
            "objective.stacked=1.0",
            "training.steps=20",
            "training.weight_decay=0.1",
            f"training.optimizer={optimizer}",
        ],
    )
    runs.append(Run(recipe, [digit_folders], tmp_path / "m.safetensors", Processes(), Watcher(files=False)))
    runs[0].run()
    first = [name for name in seen[0] if name.startswith(("encoder.levels.0.", "decoder.levels.1."))]
    assert all(torch.equal(seen[10][name], seen[-1][name]) for name in first)
    assert not all(torch.equal(seen[0][name], seen[9][name]) for name in first)


def test_stacked_training_needs_a_decoder_that_mirrors_the_encoder():
    model = autoencoder(widths=(4, 8), blocks=(0, 0), decoder_widths=(8, 4))
    with pytest.raises(UsageError, match=r"decoder_widths must begin with \[4\]"):
        model.loss(model.corrupt(torch.zeros(1, 1, 16, 16), seeded(), InputNoise()), AEObjective(stacked=0.5), 0.0)


def test_the_figure_is_the_psnr_of_clean_pictures(digits):
    model = autoencoder().eval()
    with torch.no_grad():
        back = model.render(model.embed(digits))
        figures = model.validate(model.corrupt(digits, seeded(), InputNoise(100.0)))
    expected = (-10 * (back - digits).square().mean(dim=(1, 2, 3)).log10()).mean().item()
    assert figures == {"psnr": pytest.approx(expected, rel=1e-4)}


def test_principal_components_are_the_baseline(digits):
    pictures = digits.flatten(1).numpy()
    narrow, wide = (pca_psnr(pictures[:150], pictures[150:], width) for width in (2, 20))
    assert 5 < narrow < wide < 50
    assert pca_psnr(pictures[:150], pictures[150:], 10_000) > wide


def test_a_saved_model_gives_the_same_codes_and_pictures(tmp_path, digits):
    model = autoencoder(norm="batch", dropout=0.25)
    descend(model, digits[:32], AEObjective(), steps=3)
    weights.save(tmp_path / "ae.safetensors", model.eval(), {})
    again = weights.load(tmp_path / "ae.safetensors", device="cpu", kind="ae")
    codes = again.encode(list(digits[:4]))
    assert np.allclose(codes, model.encode(list(digits[:4])), atol=1e-6)  # another layout in memory rounds otherwise
    assert np.abs(again.decode(codes).astype(int) - model.decode(codes)).max() <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"sparse": -1.0},
        {"contractive": float("inf")},
        {"sparsity": "l2"},
        {"rho": 0.0},
        {"stacked": 1.5},
    ],
)
def test_an_objective_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="objective"):
        AEObjective(**wrong)


@pytest.mark.parametrize("sigma", [-1.0, 256.0])
def test_noise_that_makes_no_sense_is_refused(sigma):
    with pytest.raises(UsageError, match="corruption"):
        InputNoise(sigma)


def test_an_unknown_reconstruction_is_refused():
    with pytest.raises(UsageError, match="mse or bce"):
        AEConfig(reconstruction="ssim")
