"""Muon, who gets it, and the learning rate over a run."""

from __future__ import annotations

import pytest
import torch

from vaetool.compression.codec import Codec, CodecConfig
from vaetool.denoising.dae import DAE, DAEConfig
from vaetool.training.config import TrainingConfig
from vaetool.training.optimizers import (
    MUON_LR_RATIO,
    Muon,
    learning_rate_factor,
    make_optimizers,
    orthogonalised,
)


def config(**values) -> TrainingConfig:
    return TrainingConfig(**{"steps": 100, "lr": 1.0, "lr_final": 0.01, **values})


@pytest.mark.parametrize("shape", [(8, 8), (8, 72), (72, 8)])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_an_orthogonalised_matrix_has_singular_values_about_one(shape, precision):
    matrices = torch.randn((3, *shape), generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices, precision=precision))
    assert values.min() > 0.3
    assert values.max() < 1.3


def test_muon_takes_steps_of_the_same_size_whatever_the_gradient():
    weights = [torch.nn.Parameter(torch.zeros(8, 8, 3, 3)) for _ in range(2)]
    gradient = torch.randn(8, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    for weight, size in zip(weights, (1e-2, 1e2), strict=True):
        weight.grad = size * gradient
        Muon([weight], lr=0.1).step()
    small, large = weights
    assert torch.allclose(small, large, rtol=1e-2, atol=1e-5)
    assert 0.5 < small.square().mean().sqrt() / (0.1 * 0.2) < 1.5


def test_weights_of_a_shape_are_updated_together_as_they_would_be_alone():
    shapes = [(8, 4, 3, 3), (8, 4, 3, 3), (4, 8, 2, 2)]
    generator = torch.Generator().manual_seed(0)
    values, gradients = ([torch.randn(shape, generator=generator) for shape in shapes] for _ in range(2))
    together, alone = ([torch.nn.Parameter(value.clone()) for value in values] for _ in range(2))
    groups = [Muon(together, lr=0.1), *(Muon([weight], lr=0.1) for weight in alone)]
    for _ in range(2):
        for weights in (together, alone):
            for weight, gradient in zip(weights, gradients, strict=True):
                weight.grad = gradient.clone()
        for optimizer in groups:
            optimizer.step()
    for one, other in zip(together, alone, strict=True):
        assert torch.allclose(one, other, atol=1e-5)


def test_muon_decays_weights_apart_from_the_gradient():
    weight = torch.nn.Parameter(torch.ones(4, 4, 3, 3))
    weight.grad = torch.zeros_like(weight)
    Muon([weight], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(weight, torch.full_like(weight, 0.95))


def test_muon_gets_the_convolutions_inside_and_adamw_the_rest():
    model = DAE(DAEConfig(widths=(4, 8), blocks=1, estimator_widths=(4, 4)))
    adamw, muon = make_optimizers(model, config(optimizer="muon"))
    names = {id(weight): name for name, weight in model.named_parameters()}
    inside = {names[id(weight)] for group in muon.param_groups for weight in group["params"]}
    rest = {names[id(weight)] for group in adamw.param_groups for weight in group["params"]}
    assert inside | rest == set(names.values())
    assert not inside & rest
    assert {"unet.head.weight", "unet.tail.weight", "estimator.unet.head.weight"} <= rest
    assert "unet.bottom.0.first.weight" in inside


def test_small_filters_and_parts_with_a_learning_rate_of_their_own():
    model = Codec(CodecConfig(latent=16, hyper=4, encoder_blocks=1, decoder_blocks=1, prior_width=8))
    adamw, muon = make_optimizers(model, config(optimizer="muon"))
    names = {id(weight): name for name, weight in model.named_parameters()}
    rates = {
        names[id(weight)]: (optimizer, group["base_lr"])
        for optimizer in (adamw, muon)
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    assert set(rates) == set(names.values())
    assert rates["encoder.blocks.0.local.weight"] == (adamw, 1.0)  # depthwise: no matrix
    assert rates["encoder.blocks.0.enter.weight"] == (muon, MUON_LR_RATIO)
    assert rates["prior.z_mean"] == (adamw, 6.0)
    assert rates["prior.look.0.weight"] == (muon, 6 * MUON_LR_RATIO)


def test_without_muon_adamw_gets_everything():
    model = DAE(DAEConfig(widths=(4, 8), blocks=1, estimator_widths=(4, 4)))
    (adamw,) = make_optimizers(model, config(weight_decay=0.1))
    assert sum(len(group["params"]) for group in adamw.param_groups) == len(list(model.parameters()))
    assert adamw.param_groups[0]["weight_decay"] == 0.1


def test_the_learning_rate_warms_up_in_steps():
    factors = [learning_rate_factor(config(warmup_steps=10), step, 0.0) for step in range(12)]
    assert factors == pytest.approx([*(0.1 * n for n in range(1, 11)), 1, 1])


def test_a_short_run_is_not_spent_warming_up():
    assert learning_rate_factor(config(warmup_steps=500, constant=0.5), 3, 0.05) == pytest.approx(0.5)
    assert learning_rate_factor(config(warmup_steps=500, constant=0.5), 3, 0.1) == pytest.approx(1)


def test_the_learning_rate_falls_along_a_cosine_to_its_last_value():
    factors = [learning_rate_factor(config(warmup_steps=0), 100, share) for share in (0, 0.5, 1)]
    assert factors == pytest.approx([1, 0.505, 0.01])


def test_the_learning_rate_can_stay_constant_for_a_share_of_the_run():
    factors = [learning_rate_factor(config(warmup_steps=0, constant=0.5), 100, x) for x in (0, 0.5, 0.75, 1)]
    assert factors == pytest.approx([1, 1, 0.505, 0.01])
