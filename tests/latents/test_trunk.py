"""The trunk of `ae` and `vae`: shapes, sizes, presets, and what is refused."""

from __future__ import annotations

import json
from typing import get_args

import pytest
import torch

from vaetool.errors import UsageError
from vaetool.latents.trunk import Decoder, Encoder, Norm, PlacesDecoder, PlacesEncoder, TrunkConfig, Upsampling
from vaetool.store import weights
from vaetool.training.config import read_recipe

LECTURE = {"encoder": 96_770, "decoder": 246_273}


def small(**changed: object) -> TrunkConfig:
    settings = {"channels": 1, "size": 16, "latent": 3, "widths": (4, 8), "blocks": (0, 1), "decoder_widths": (8, 4)}
    return TrunkConfig(**{**settings, **changed})


@pytest.mark.parametrize("upsample", get_args(Upsampling))
@pytest.mark.parametrize("norm", get_args(Norm))
def test_a_picture_becomes_a_code_and_a_code_a_picture(upsample, norm):
    config = small(upsample=upsample, norm=norm)
    x = torch.rand(2, 1, 16, 16)
    z = Encoder(config, config.latent)(x)
    assert z.shape == (2, 3)
    assert Decoder(config, 1)(z).shape == x.shape


@pytest.mark.parametrize("size", [16, 17, 27, 28, 30, 33])
def test_sizes_that_are_no_power_of_two_come_back_whole(size):
    config = small(size=size, widths=(4, 4, 4), blocks=(0, 0, 0), decoder_widths=(4, 4, 4))
    z = Encoder(config, 3)(torch.rand(1, 1, size, size))
    assert Decoder(config, 2)(z).shape == (1, 2, size, size)


@pytest.mark.parametrize("size", [16, 27, 28, 33])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_codes_of_places_have_as_many_as_a_level_of_the_trunk(size, level):
    config = small(size=size, widths=(4, 6, 8), blocks=(0, 1, 1), decoder_widths=(12, 10, 4))
    places = config.grids[level]
    z = PlacesEncoder(config, 3, places)(torch.rand(1, 1, size, size))
    assert z.shape == (1, 3 * places**2)
    assert PlacesDecoder(config, 2, places)(z).shape == (1, 2, size, size)


@pytest.mark.parametrize("size", [16, 28, 32, 48, 64, 96, 128, 200, 256])
def test_what_a_recipe_leaves_open_follows_from_the_size_and_is_written_down(size):
    config = TrunkConfig(size=size)
    assert 3 <= config.grid <= 4
    assert config.widths[-1] == 192
    assert len(config.widths) == len(config.blocks) == len(config.decoder_widths)
    assert config.decoder_widths[:-1] == config.widths[-2::-1]


def test_given_widths_decide_how_many_levels_there_are():
    config = TrunkConfig(size=64, widths=(8, 16))
    assert (config.blocks, config.decoder_widths) == ((1, 1), (8, 4))


@pytest.mark.parametrize("kind", ["ae", "vae"])
@pytest.mark.parametrize("preset", ["lecture-2d", "lecture-faces"])
def test_presets_make_models(kind, preset):
    recipe = read_recipe(kind=kind, preset=preset)
    model = weights.model_class(kind)(recipe.model)
    size, channels, latent = (getattr(recipe.model, name) for name in ("size", "channels", "latent"))
    assert (size, channels, latent) == {"lecture-2d": (32, 1, 2), "lecture-faces": (64, 3, 200)}[preset]
    assert model.eval().render(torch.zeros(2, latent)).shape == (2, channels, size, size)


def test_the_lectures_autoencoder_has_the_lectures_numbers_of_weights(vaetool, tmp_path):
    model = weights.model_class("ae")(read_recipe(kind="ae", preset="lecture-2d").model)
    counts = {name: sum(weight.numel() for weight in getattr(model, name).parameters()) for name in LECTURE}
    assert counts == LECTURE
    path = tmp_path / "lecture.safetensors"
    weights.save(path, model, {})
    shown = json.loads(vaetool("models", "show", path, "--json").stdout)["parameters"]
    assert {name: shown[name] for name in LECTURE} == LECTURE


def test_the_lectures_faces_have_batch_norm_and_dropout():
    model = read_recipe(kind="vae", preset="lecture-faces").model
    assert (model.norm, model.dropout, model.upsample) == ("batch", 0.25, "transpose")


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 2},
        {"size": 15},
        {"size": 257},
        {"latent": 0},
        {"latent": 5000},
        {"widths": (4,)},
        {"widths": (4, 0)},
        {"blocks": (-1, 0)},
        {"widths": (4,) * 5, "blocks": (0,) * 5, "decoder_widths": (4,) * 5},
        {"upsample": "bilinear"},
        {"norm": "layer"},
        {"dropout": 1.0},
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="model"):
        small(**wrong)
