"""What training finds out about codes when it ends, and that it comes back with the model."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from vaetool import train
from vaetool.errors import TrainingError
from vaetool.images.conversion import whole_picture
from vaetool.images.sources import find_sources
from vaetool.latents.autoencoder import summary
from vaetool.scoring import detection
from vaetool.store import weights
from vaetool.training import loop
from vaetool.training.data import DataConfig, load_store
from vaetool.training.report import Reporter
from vaetool.training.splits import set_aside, split


class Listener(Reporter):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__(files=False)
        self.lines: list[str] = []

    def say(self, message) -> None:
        self.lines.append(message)


@pytest.fixture
def fit_shapes(tmp_path, shapes):
    """`fit_shapes(*settings, kind="vae", name="mine", **options)`: a run of a few steps on the shapes."""
    tiny = ["model.channels=1", "model.size=16", "model.latent=3", "model.widths=[4, 8]", "model.blocks=[0, 0]"]
    tiny += ["model.decoder_widths=[8, 4]", "training.steps=8", "training.batch=8", "training.validations=2"]

    def call(*settings: str, kind: str = "vae", name: str = "mine", data=shapes, **options):
        output = tmp_path / f"{name}.safetensors"
        return train(kind, data, output=output, settings=[*tiny, *settings], device="cpu", **options)

    return call


@pytest.fixture(params=["vae", "ae"])
def trained(request, tiny_autoencoders):
    """The file of a model that learned for a while."""
    return tiny_autoencoders / f"tiny-{request.param}.safetensors"


def test_a_trained_model_brings_the_density_of_its_codes(trained, shapes):
    model = weights.load(trained, device="cpu")
    codes = model.encode(sorted(shapes.rglob("*.png")))
    mixture = model.mixture
    assert mixture.means.shape == (len(mixture.weights), 6)
    assert mixture.log_density(codes).mean() > mixture.log_density(codes + 5).mean()
    assert np.allclose(model.code_mean, codes.mean(axis=0), atol=0.4)
    assert (model.code_sigma > 0).all()


def test_a_trained_model_brings_directions_named_like_its_labels(trained, shapes):
    model = weights.load(trained, device="cpu")
    (disc, disc_auc), (square, square_auc) = model.named_directions().values()
    assert list(model.named_directions()) == ["disc", "square"]
    assert min(disc_auc, square_auc) > 0.7
    assert np.allclose(disc, -square, atol=1e-3)
    codes = {label: model.encode(sorted((shapes / label).iterdir())) for label in ("disc", "square")}
    assert (codes["square"] @ square).mean() > (codes["disc"] @ square).mean()


def test_the_file_says_what_was_found(trained):
    header = weights.read_header(trained)
    found = header.training["codes"]
    assert found["components"] == header.config["mixture"]
    assert list(found["directions"]) == header.config["directions"]
    better = max(found["log_density"], key=found["log_density"].get)
    assert found["better"] == better
    assert header.training["steps"] > 0


def test_the_file_of_a_vae_has_the_bound_by_importance_samples(tiny_autoencoders):
    found = weights.read_header(tiny_autoencoders / "tiny-vae.safetensors").training["codes"]["iwae"]
    assert (found["samples"], found["images"]) == (50, 24)
    assert found["bound"] > found["elbo"]


def test_what_was_found_is_told_in_a_line(fit_shapes):
    listener = Listener()
    result = fit_shapes(reporter=listener)
    line = summary(weights.read_header(result.path).training["codes"])
    assert line in listener.lines
    assert "nats under N(0, I)" in line


def test_codes_of_pictures_without_labels_have_no_directions(fit_shapes, pictures):
    model = weights.load(fit_shapes(data=pictures).path, device="cpu")
    assert model.named_directions() == {}
    assert model.mixture is not None


def test_two_pictures_are_enough(fit_shapes, pictures, tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("china0.png", "flower0.png"):
        shutil.copy(pictures / name, folder)
    model = weights.load(fit_shapes(data=folder).path, device="cpu")
    assert np.isfinite(model.mixture.log_density(np.zeros((1, 3)))).all()


def test_the_same_seed_finds_the_same(fit_shapes, same_weights):
    assert same_weights(fit_shapes(name="one").path, fit_shapes(name="same").path)


def test_binarised_pictures_are_looked_at_as_in_training(fit_shapes):
    found = weights.read_header(fit_shapes("corruption.binarise=true", "model.likelihood=bernoulli").path).training[
        "codes"
    ]
    assert found["iwae"]["bound"] > found["iwae"]["elbo"] - 1


def test_training_goes_on_from_a_model_that_knows_its_codes(fit_shapes):
    first = fit_shapes()
    second = fit_shapes("training.lr=1e-12", "training.lr_final=0.0", name="second", init=first.path)
    one, two = (weights.load(result.path, device="cpu") for result in (first, second))
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert two.mixture is not None
    assert weights.read_header(second.path).training["init"] == "mine"


def test_a_run_that_was_killed_while_it_looked_at_codes_is_resumed(fit_shapes, same_weights, monkeypatch):
    whole = fit_shapes(name="whole")

    def killed(*_):
        raise TrainingError("no power")

    save_often = "training.save_minutes=0.0"
    with monkeypatch.context() as patch:
        patch.setattr(loop, "complete_file", killed)
        with pytest.raises(TrainingError, match="no power"):
            fit_shapes(save_often)
    assert weights.load(fit_shapes(save_often, resume=True).path, device="cpu").mixture is not None
    assert same_weights(whole.path, whole.path.with_name("mine.safetensors"))


def test_a_model_forgets_what_was_found_about_its_codes(tiny_autoencoders):
    model = weights.load(tiny_autoencoders / "tiny-vae.safetensors", device="cpu")
    model.forget()
    assert model.mixture is None
    assert model.named_directions() == {}
    assert type(model)(model.config).state_dict().keys() == model.state_dict().keys()


def test_a_vae_is_calibrated_with_images_that_it_was_not_trained_on(fit_shapes, shapes):
    listener = Listener()
    result = fit_shapes(reporter=listener)
    model = weights.load(result.path, device="cpu")
    left = 120 - 4  # held out to choose weights by
    assert len(model.calibration.components) == 30
    assert left - 30 - 8 <= weights.read_header(result.path).training["images"] <= left - 30  # less some copies
    expected = "calibrated with 30 good pictures (10 to weigh the parts of a score, 20 for p-values), used neither for"
    assert f"{expected} training nor for measuring" in listener.lines
    assert model.calibration.count("typical") == 20
    assert 0 < next(detection.score(model, [next(shapes.rglob("*.png"))])).p_value <= 1


def test_its_calibration_is_that_of_the_images_that_were_kept(fit_shapes, shapes):
    """They are read as a picture that is scored later will be."""
    model, sources = weights.load(fit_shapes().path, device="cpu"), find_sources([shapes])
    training, _ = split(sources, 0.03, 0, 1000)
    kept = set_aside(
        load_store(training, DataConfig(), 16, channels=1, whole=lambda source: whole_picture(source.read(), 16, 1)),
        0.2,
        0,
    ).unseen
    scores = model.score([shapes / source.name for source in kept], by="kl")
    assert model.calibration.held_out_scores("kl") == pytest.approx(np.sort(scores), rel=1e-4)


def test_without_images_for_it_a_vae_is_not_calibrated(fit_shapes):
    listener = Listener()
    model = weights.load(fit_shapes("data.calibration=0.0", reporter=listener).path, device="cpu")
    assert model.calibration is None
    assert any("not calibrated" in line for line in listener.lines)


def test_training_goes_on_from_a_calibrated_model_and_calibrates_anew(fit_shapes):
    first = fit_shapes()
    again = fit_shapes("training.steps=40", "training.lr=0.01", name="second", init=first.path)
    one, two = (weights.load(result.path, device="cpu").calibration for result in (first, again))
    assert one.components.shape == two.components.shape
    assert not np.allclose(one.components, two.components, rtol=1e-3)


def test_kinds_without_codes_are_left_as_they_are(fit):
    assert "codes" not in weights.read_header(fit("training.steps=1").path).training
