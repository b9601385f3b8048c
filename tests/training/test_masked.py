"""Masked autoencoders: small, real runs."""

from __future__ import annotations

import pytest
import torch

import vaetool
from vaetool import train
from vaetool.denoising.dae import DAE, DAEConfig
from vaetool.errors import UsageError, WrongKindError
from vaetool.inpainting.mae import MAE, MAEConfig
from vaetool.nn.precision import has_bf16_units

TINY = (
    "model.widths=[8, 8]",
    "model.blocks=1",
    "model.dilations=[1, 2]",
    "data.held_out=0.1",
    "training.crops=[32]",
    "training.batch=4",
    "training.steps=6",
    "training.warmup_steps=1",
)


@pytest.fixture
def fit_mae(tmp_path, pictures):
    """`fit_mae(*settings, name="mine", **options)`: a tiny run."""

    def call(*settings: str, name: str = "mine", **options):
        output = tmp_path / f"{name}.safetensors"
        return train("mae", pictures, output=output, settings=[*TINY, *settings], device="cpu", **options)

    return call


@pytest.fixture
def dae(fit):
    """The file of a denoiser with such a network."""
    return fit(
        "model.widths=[8, 8]", "model.blocks=1", "model.estimator_widths=[4,4]", "training.steps=2", name="dae"
    ).path


def test_a_run_ends_with_a_model_that_fills_holes(fit_mae, photographs):
    result = fit_mae()
    assert {"psnr", "energy"} <= result.figures.keys()
    model = vaetool.load(result.path, kind="mae")
    photo = torch.rand(3, 40, 50)
    hole = torch.zeros(40, 50)
    hole[10:20, 10:30] = 1
    assert torch.equal(model.inpaint(photo, hole) == photo, (hole == 0).expand(3, -1, -1))


def test_squares_of_a_grid_can_be_hidden_instead(fit_mae):
    header = vaetool.store.weights.read_header(fit_mae(patch=8, ratio=0.5).path)
    assert header.training["recipe"]["corruption"]["patch"] == 8
    assert header.training["recipe"]["corruption"]["ratio"] == 0.5
    with pytest.raises(UsageError, match="give their side"):
        fit_mae(ratio=0.5, force=True)


def test_squares_that_hide_whole_crops_are_refused(fit_mae):
    with pytest.raises(UsageError, match=r"training.crops of 32: nothing of them would be left"):
        fit_mae("training.crops=[32, 64]", patch=32)


def test_it_can_begin_as_a_denoiser(dae, fit_mae):
    model = MAE(MAEConfig(widths=(8, 8), blocks=1, dilations=(1, 2)))
    denoiser = vaetool.load(dae, device="cpu")
    assert model.warm_start(denoiser)
    ours, theirs = model.unet.state_dict(), denoiser.unet.state_dict()
    shared = theirs.keys() - {"head.weight", "tail.weight"}
    assert len(shared) > 5
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)
    assert torch.equal(ours["head.weight"][:, :12], theirs["head.weight"][:, :12])
    assert fit_mae(init=dae).before != fit_mae(name="other").before


@pytest.mark.parametrize(
    "other", [DAE(DAEConfig(channels=1, widths=(8, 8))), DAE(DAEConfig(widths=(4, 4))), MAE(MAEConfig(widths=(8, 4)))]
)
def test_what_is_of_no_use_is_not_adopted(other):
    assert not MAE(MAEConfig(widths=(8, 8))).warm_start(other)


def test_weights_that_do_not_fit_are_refused_as_a_beginning(fit_mae):
    path = fit_mae().path
    with pytest.raises(WrongKindError, match=r"its \[model\] differs"):
        fit_mae("model.widths=[8, 4]", name="other", init=path)


def test_the_second_stage_is_against_an_adversary_from_its_first_step_on(fit_mae, same_weights):
    settings = ("objective.low_pass=4", "training.adversarial_from=0.0")
    alone = fit_mae(*settings, name="alone")
    against = fit_mae(*settings, name="against", adversarial=True)
    assert not same_weights(alone.path, against.path)


@pytest.mark.skipif(not has_bf16_units(torch.device("cpu")), reason="this CPU has no units for bfloat16")
def test_bf16_on_a_cpu_comes_to_about_the_same(fit_mae, same_weights):
    fine = fit_mae(
        name="fine", adversarial=True
    )  # with an adversary the last weights are kept, be they the best or not
    coarse = fit_mae("training.bf16=true", name="coarse", adversarial=True)
    assert not same_weights(fine.path, coarse.path)
    assert coarse.figures["psnr"] == pytest.approx(fine.figures["psnr"], abs=0.3)
