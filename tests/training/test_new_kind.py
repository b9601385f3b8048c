"""A new kind of model is one file and one line: this one is the file, and the fixture the line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

import pytest
import torch
from torch import nn

from vaetool.nn.base import Model, register
from vaetool.nn.sections import Section
from vaetool.store.kinds import KINDS, Kind


@dataclass(frozen=True)
class ScaleConfig(Section, name="model"):
    channels: Literal[1, 3] = 3


@register("scale")
class Scale(Model):
    """Learns by what to multiply pictures that training made darker."""

    Config = ScaleConfig
    metric = "psnr"

    def __init__(self, config):
        super().__init__(config)
        self.factor = nn.Parameter(torch.ones(config.channels, 1, 1))

    def corrupt(self, clean, generator, corruption):
        return {"clean": clean, "dark": clean / 2}

    def loss(self, batch, objective=None, fraction=1.0):
        return {"loss": (self.factor * batch["dark"] - batch["clean"]).square().mean()}

    def validate(self, batch):
        return {"psnr": -10 * self.loss(batch)["loss"].log10().item()}

    def example(self, batch):
        return [batch["dark"], self.factor * batch["dark"]]


@pytest.fixture(autouse=True)
def _one_line(monkeypatch):
    monkeypatch.setitem(KINDS, "scale", Kind(__name__))


def test_it_trains_is_saved_loaded_resumed_and_listed(vaetool, pictures, tmp_path, monkeypatch):
    from vaetool import load

    monkeypatch.setenv("VAETOOL_MODELS", str(tmp_path))
    path = tmp_path / "mine.safetensors"
    fast = ["--set", "training.crops=[16]", "--set", "training.lr=0.05", "--set", "training.warmup_steps=5"]
    result = vaetool("train", "scale", pictures, "-o", path, "--set", "training.steps=200", *fast)
    assert (result.exit_code, path.is_file()) == (0, True), result.stderr
    model = load(path, device="cpu")
    assert model.factor.flatten().tolist() == pytest.approx([2, 2, 2], abs=0.1)
    listed = [json.loads(line) for line in vaetool("models", "--json").stdout.splitlines()]
    assert ("mine", "scale") in {(entry["name"], entry["kind"]) for entry in listed}
    assert json.loads(vaetool("models", "show", path, "--json").stdout)["kind"] == "scale"


def test_other_commands_say_that_it_is_no_model_for_them(vaetool, pictures, tmp_path):
    path = tmp_path / "mine.safetensors"
    vaetool("train", "scale", pictures, "-o", path, "--set", "training.steps=1", "--set", "training.crops=[16]")
    result = vaetool("score", pictures, "-m", path)
    assert result.exit_code == 2
    assert "a scale gives no scores: name a model of features" in result.stderr
