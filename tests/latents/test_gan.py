"""The GAN: both players learn, a collapse is found out, pictures have codes when they are searched for."""

from __future__ import annotations

import json
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from vaetool import load, train
from vaetool.errors import UsageError
from vaetool.latents.gan import GAN, Discriminator
from vaetool.latents.morph import find_direction, reconstruction_psnrs
from vaetool.latents.sample import draw, sample
from vaetool.latents.trunk import TrunkConfig
from vaetool.nn.adversary import r1_penalty
from vaetool.store import weights
from vaetool.training.config import read_recipe
from vaetool.training.distributed import Processes
from vaetool.training.loop import Run
from vaetool.training.prefetch import Prefetcher
from vaetool.training.report import Reporter

TINY = ["model.channels=1", "model.size=16", "model.latent=6", "model.widths=[8,16]", "model.blocks=[0,1]"]
TINY += ["training.batch=8", "training.warmup_steps=5", "training.steps=20", "training.validations=2"]
CONFIG = TrunkConfig(channels=1, size=16, latent=6, widths=(8, 16), norm="batch")


@pytest.fixture
def model(tiny_gan) -> GAN:
    return load(tiny_gan, device="cpu")


@pytest.fixture
def fit(tmp_path, shapes):
    """`fit(*settings, name="mine", **options)`: a tiny run on the shapes."""

    def call(*settings: str, name: str = "mine", **options):
        output = tmp_path / f"{name}.safetensors"
        return train("gan", shapes, output=output, settings=[*TINY, *settings], device="cpu", **options)

    return call


class Stopper(Reporter):
    """Stops the run after a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        super().__init__(files=False)
        self.stop = step

    def step(self, progress, *rest) -> None:
        if progress.step == self.stop:
            signal.raise_signal(signal.SIGINT)


# The game


def test_samples_come_closer_to_what_was_learned(tiny_gan):
    """Bright in the middle and dark at the rim, and not all the same."""
    pictures = sample(load(tiny_gan, device="cpu"), 200).astype(float)
    assert pictures[:, 6:10, 6:10].mean() > pictures[:, [0, 15]].mean() + 60
    assert pictures.std(axis=0).mean() > 10
    assert weights.read_header(tiny_gan).training["held_out"]["spread"] > 0.5


@pytest.mark.parametrize(("name", "vae"), [("digits-gan", "digits"), ("fashion-gan", "fashion")])
def test_the_bundled_ones_are_sharper_than_the_vaes_and_as_various(name, vae):
    ours, theirs = (sample(load(each, device="cpu"), 64)[..., 0].astype(float) for each in (name, vae))

    def detail(pictures: np.ndarray) -> float:
        return np.square(np.diff(pictures, axis=1)).mean()

    def apart(pictures: np.ndarray) -> float:
        """Return how far a picture is from the one that is most like it, as the median."""
        distances = np.abs(pictures[:, None] - pictures[None]).mean(axis=(2, 3))
        return np.median(np.sort(distances)[:, 1])

    assert detail(ours) > 1.2 * detail(theirs)  # measured: 1.3, 1.7
    assert apart(ours) > 0.9 * apart(theirs)  # measured: 0.98, 1.07
    assert ours.mean() == pytest.approx(theirs.mean(), rel=0.05)


def test_every_weight_of_both_players_learns(tmp_path, shapes):
    run = Run(read_recipe(kind="gan", settings=TINY), [shapes], tmp_path / "m.safetensors", Processes(), Reporter())
    players = (run.model, run.adversary.network)
    before = [{name: weight.clone() for name, weight in player.named_parameters()} for player in players]
    with Prefetcher(run._batch) as batches:
        for _ in range(3):
            losses = run._step(run.model, batches, 0.0)
    for player, earlier in zip(players, before, strict=True):
        assert [name for name, weight in player.named_parameters() if torch.equal(weight, earlier[name])] == []
    assert losses.keys() == {"loss", "discriminator"}
    assert losses["discriminator"].item() == pytest.approx(2 * np.log(2), rel=0.5)  # nobody is ahead yet


def test_the_best_figure_is_kept_and_lower_is_better(fit):
    figures = []

    class Watcher(Reporter):
        def validation(self, progress, found):
            figures.append(found["frechet"])

    result = fit("training.steps=60", "training.validations=6", reporter=Watcher(files=False))
    assert result.figures["frechet"] == min(figures)
    assert result.before["frechet"] == figures[0]


@pytest.mark.parametrize("step", [4, 15])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(fit, tmp_path, step):
    with pytest.raises(KeyboardInterrupt):
        fit(reporter=Stopper(step))
    resumed, whole = (load(each.path, device="cpu") for each in (fit(resume=True), fit(name="whole")))
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), whole.parameters(), strict=True))


def test_the_file_holds_the_generator_alone(fit):
    path = fit().path
    names = weights.read_header(path).shapes.keys()
    assert {name.partition(".")[0] for name in names} == {"decoder", "code_mean", "code_sigma"}


@pytest.mark.parametrize("preset", ["lecture-2d", "lecture-faces"])
@pytest.mark.parametrize("channels", [1, 3])
def test_presets_train_in_grey_and_colour(shapes, tmp_path, preset, channels):
    settings = ["training.steps=2", "training.batch=4", f"model.channels={channels}"]
    path = tmp_path / "m.safetensors"
    train("gan", shapes, output=path, preset=preset, settings=settings, device="cpu")
    assert sample(load(path, device="cpu"), 3).shape[3] == channels


# The discriminator


def test_a_batch_of_one_picture_is_told_from_the_same_among_others():
    torch.manual_seed(0)
    discriminator = Discriminator(CONFIG)
    pictures = torch.rand(8, 1, 16, 16)
    assert not torch.isclose(discriminator(pictures)[0], discriminator(pictures[:1].expand(8, -1, -1, -1))[0])


def test_the_penalty_is_half_the_squared_slope():
    torch.manual_seed(0)
    discriminator = Discriminator(CONFIG)
    x = torch.rand(4, 1, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(discriminator(x).sum(), x)
    expected = 0.5 * slope.square().sum(dim=(1, 2, 3)).mean()
    assert r1_penalty(discriminator, x).item() == pytest.approx(expected.item(), rel=1e-5)


# Collapse


def test_a_generator_that_makes_one_picture_gives_advice(model):
    batch = model.corrupt(torch.rand(120, 1, 16, 16), torch.Generator().manual_seed(0), None)
    with torch.no_grad():
        model.decoder.head.weight.zero_()
    figures = model.validate(batch)
    assert figures["spread"] < 0.01
    assert figures["recall"] == 0
    assert "the generator has collapsed: its pictures differ 0.0" in model.diagnose(figures)


@pytest.mark.parametrize(
    ("figures", "collapsed"),
    [
        ({"spread": 0.9, "precision": 0.6, "recall": 0.4}, False),
        ({"spread": 0.9, "precision": 0.6, "recall": 0.01}, True),
        ({"spread": 0.9, "precision": 0.1, "recall": 0.01}, False),  # not good yet, but of many kinds
        ({"spread": 0.1, "precision": 0.6, "recall": 0.4}, True),
        ({"spread": 0.9}, False),
    ],
)
def test_what_counts_as_collapsed(model, figures, collapsed):
    assert (model.diagnose({"frechet": 1.0, **figures}) is not None) == collapsed


# Codes


def test_pictures_of_its_own_are_found_again(model):
    pictures = sample(model, 4, seed=3)
    codes = model.encode(list(pictures))
    assert codes.shape == (4, 6)
    assert min(reconstruction_psnrs(model, list(pictures), codes)) > 25
    far = reconstruction_psnrs(model, list(pictures), np.roll(codes, 1, axis=0))
    assert np.mean(far) < 20


def test_codes_of_pictures_do_not_depend_on_the_others(model):
    pictures = list(sample(model, 3, seed=3))
    together, alone = model.encode(pictures), model.encode(pictures[1:2])
    assert together[1] == pytest.approx(alone[0], abs=1e-3)


def test_it_draws_from_the_normal_alone(model):
    assert draw(model, 2).prior == "normal"
    with pytest.raises(UsageError, match="no density was fitted"):
        draw(model, 2, prior="gmm")
    still, lively = (sample(model, 100, temperature=t).std(axis=0).mean() for t in (0.3, 1.0))
    assert still < lively


# Commands


def test_a_morph_between_seeds_begins_and_ends_with_their_samples(vaetool, tiny_gan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = vaetool("morph", "--seeds", "3,8", "-m", tiny_gan, "-n", 5, "--size", 16, "-o", "frames")
    assert (result.exit_code, result.stderr) == (0, "wrote frames\n")
    frames = [np.asarray(Image.open(path)) for path in sorted((tmp_path / "frames").iterdir())]
    for seed, frame in ((3, frames[0]), (8, frames[-1])):
        vaetool("sample", "-n", 1, "--seed", seed, "-m", tiny_gan, "-o", f"{seed}.png")
        assert np.abs(np.asarray(Image.open(f"{seed}.png")).astype(int) - frame).max() <= 1
    assert vaetool("morph", "--seeds", "3,8", "-m", tiny_gan).exit_code == 0
    assert (tmp_path / "tiny-gan.morph.gif").is_file()


def test_a_morph_between_pictures_says_how_close_the_model_comes(vaetool, tiny_gan, shapes, tmp_path):
    ends = sorted((shapes / "disc").iterdir())[:2]
    result = vaetool("morph", *ends, "-m", tiny_gan, "-o", tmp_path / "m.gif", "--json")
    assert result.exit_code == 0
    (record,) = map(json.loads, result.stdout.splitlines())
    for path, value in zip(ends, record["psnr"], strict=True):
        assert value > 12
        assert f"{path}: the closest picture of this model has a PSNR of {value:.1f} dB" in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["morph", "--seeds", "3", "-m", "GAN"], "two or more"),
        (["morph", "--seeds", "3,x", "-m", "GAN"], "expected whole numbers"),
        (["morph", "PICTURE", "--seeds", "3,4", "-m", "GAN"], "neither pictures nor a direction"),
        (["morph", "PICTURE", "--direction", "FOLDER", "--against", "FOLDER", "-m", "GAN"], "a gan has no encoder"),
        (["latent", "GAN", "FOLDER", "-o", "space"], "this is a gan; an ae or a vae is needed"),
        (["score", "FOLDER", "-m", "GAN"], "a gan gives no scores: name a model of features"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_line(vaetool, tiny_gan, shapes, tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    places = {"GAN": tiny_gan, "FOLDER": shapes / "disc", "PICTURE": shapes / "disc" / "00.png"}
    result = vaetool(*(places.get(word, word) for word in words))
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_direction_needs_an_encoder(model, shapes):
    with pytest.raises(UsageError, match="a gan has no encoder to find a direction with"):
        find_direction(model, shapes / "disc", shapes / "square")
