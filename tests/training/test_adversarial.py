"""Training against an adversary: small, real runs of a VAE."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from vaetool import train
from vaetool.errors import UsageError
from vaetool.nn.adversary import PatchDiscriminator
from vaetool.store import weights
from vaetool.training.adversarial import Adversary
from vaetool.training.checkpoints import state_path
from vaetool.training.config import read_recipe
from vaetool.training.distributed import Processes
from vaetool.training.loop import Run
from vaetool.training.prefetch import Prefetcher
from vaetool.training.report import Reporter

TINY = ["model.size=16", "model.latent=4", "model.widths=[8,16]", "model.blocks=[0,0]", "model.decoder_widths=[8,8]"]
TINY += ["model.channels=1", "training.batch=8", "training.warmup_steps=5", "training.lr=0.003"]


class Watcher(Reporter):
    """Remembers the figures; stops the run after a step, as Ctrl-C would."""

    def __init__(self, stop: int = 0) -> None:
        super().__init__(files=False)
        self.stop = stop
        self.figures: list[dict[str, float]] = []

    def step(self, progress, *rest) -> None:
        if progress.step == self.stop:
            signal.raise_signal(signal.SIGINT)

    def validation(self, progress, figures) -> None:
        self.figures.append(figures)


@pytest.fixture
def fit_vae(tmp_path, pictures):
    """`fit_vae(*settings, name="mine", **options)`: a tiny run against an adversary."""

    def call(*settings: str, name: str = "mine", data=pictures, adversarial: bool = True, **options):
        output = tmp_path / f"{name}.safetensors"
        given = [*TINY, "training.steps=20", *settings]
        return train("vae", data, output=output, settings=given, adversarial=adversarial, device="cpu", **options)

    return call


def new_run(pictures, tmp_path, *settings: str) -> Run:
    recipe = read_recipe(kind="vae", settings=[*TINY, "training.steps=20", "training.adversarial=0.5", *settings])
    return Run(recipe, [pictures], tmp_path / "m.safetensors", Processes(), Watcher())


def names(path) -> set[str]:
    with safe_open(path, framework="pt") as file:
        return set(file.keys())


@pytest.mark.parametrize("step", [4, 15])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(fit_vae, same_weights, step):
    with pytest.raises(KeyboardInterrupt):
        fit_vae(reporter=Watcher(stop=step))
    resumed, whole = fit_vae(resume=True), fit_vae(name="whole")
    assert resumed.steps == whole.steps == 20
    assert same_weights(resumed.path, whole.path)


def test_the_adversary_is_in_the_state_and_never_in_the_model(fit_vae, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        fit_vae(reporter=Watcher(stop=15))
    state = names(state_path(tmp_path / "mine.safetensors"))
    judged = {f"adversary/{name}" for name in PatchDiscriminator(1).state_dict()}
    assert judged <= state
    path = fit_vae(resume=True).path
    assert names(path) == weights.load(path, device="cpu").state_dict().keys()
    assert not any(name.startswith(("adversary", "layers")) for name in names(path))


def test_resuming_without_the_adversary_is_refused(fit_vae):
    with pytest.raises(KeyboardInterrupt):
        fit_vae(reporter=Watcher(stop=15))
    with pytest.raises(UsageError, match=r"begun with different training\.adversarial"):
        fit_vae(resume=True, adversarial=False)


def take_step(run: Run, fraction: float) -> None:
    with Prefetcher(run._batch) as batches:
        run._step(run.model, batches, fraction)


def test_it_changes_the_weights_and_only_from_half_of_the_run_on(pictures, tmp_path):
    with_it, without = new_run(pictures, tmp_path), new_run(pictures, tmp_path, "training.adversarial=0.0")

    def same() -> bool:
        pairs = zip(with_it.model.parameters(), without.model.parameters(), strict=True)
        return all(torch.equal(one, other) for one, other in pairs)

    for fraction, expected in [(0.1, True), (0.49, True), (0.8, False)]:
        for run in (with_it, without):
            take_step(run, fraction)
        assert same() is expected


def test_its_gradient_has_the_length_that_was_asked_for(pictures, tmp_path):
    run = new_run(pictures, tmp_path, "training.adversarial=0.3")
    adversary = run.adversary
    assert isinstance(adversary, Adversary)
    losses, fakes = run.model(run.course.held_out, fakes=True)
    layer = run.model.last_layer
    for fraction, weight in [(0.5, 0.0), (1.0, 0.3)]:
        verdict = adversary.verdict(losses["loss"], fakes, layer, fraction, 1.0)
        theirs, ours = (torch.autograd.grad(x, layer, retain_graph=True)[0] for x in (verdict, losses["loss"]))
        assert theirs.norm().item() == pytest.approx(weight * ours.norm().item(), rel=1e-4)


def test_half_of_the_fakes_are_samples_of_the_prior(pictures, tmp_path):
    run = new_run(pictures, tmp_path)
    run.model.eval()
    clean = torch.rand(7, 1, 16, 16)
    batch = run.model.corrupt(clean, torch.Generator().manual_seed(0), run.recipe.corruption)
    _, fakes = run.model(batch, fakes=True)
    assert fakes.shape == (8, 1, 16, 16)
    assert torch.allclose(fakes[4:], run.model.render(batch["noise"][:4]), atol=1e-6)


def test_the_last_weights_are_kept_however_the_figure_went(fit_vae, monkeypatch):
    """After 30 good steps the learning rate becomes far too high."""
    from vaetool.training import loop

    good = loop.learning_rate_factor
    monkeypatch.setattr(loop, "learning_rate_factor", lambda c, step, f: 30.0 if step >= 30 else good(c, step, f))
    watcher = Watcher()
    result = fit_vae("training.steps=40", "training.ema=0.5", "training.patience=1", reporter=watcher)
    elbos = [figures["elbo"] for figures in watcher.figures]
    assert result.steps == 40
    assert result.figures["elbo"] == elbos[-1] < max(elbos)
    assert weights.read_header(result.path).training["steps"] == 40


def test_a_kind_without_it_refuses_in_one_line(vaetool, pictures, tmp_path):
    result = vaetool("train", "dae", pictures, "-o", tmp_path / "m.safetensors", "--adversarial")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "the kind dae does not train against an adversary" in result.stderr


def test_a_negative_weight_is_refused(fit_vae):
    with pytest.raises(UsageError, match=r"training\.adversarial must be at least 0"):
        fit_vae("training.adversarial=-1.0")


def test_the_real_pictures_are_those_before_they_were_binarised(pictures, tmp_path, monkeypatch):
    """Or it would only learn to tell grey pixels from black and white ones."""
    run = new_run(pictures, tmp_path, "corruption.binarise=true", "model.likelihood=bernoulli")
    seen = []
    monkeypatch.setattr(run.adversary, "learn", lambda real, *rest: seen.append(real) or torch.tensor(0.0))
    take_step(run, 0.9)
    clean = run.model.corrupt(seen[0], torch.Generator().manual_seed(0), run.recipe.corruption)["clean"]
    assert set(clean.unique().tolist()) == {0.0, 1.0}
    assert len(seen[0].unique()) > 9


def test_details_that_no_code_holds_are_invented_rather_than_blurred(tmp_path):
    """Pictures of nothing but noise: their mean is grey, and a code of four numbers knows no better."""
    folder = tmp_path / "noise"
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(64):
        Image.fromarray(generator.integers(0, 2, (16, 16), np.uint8) * 255).save(folder / f"{number}.png")

    def energy(weight: float) -> float:
        steady = ["training.lr=0.001", "training.constant=0.9", "training.ema=0.9"]
        run = new_run(folder, tmp_path, *steady, f"training.adversarial={weight}")
        for step in range(250):
            take_step(run, step / 250)
        with torch.inference_mode():
            samples = run.average.render(torch.randn(32, 4, generator=torch.Generator().manual_seed(0)))
        return samples.diff(dim=3).square().mean().item()

    assert energy(1.0) > 4 * energy(0.0)


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(fit_vae, tmp_path, pictures, python):
    from safetensors.torch import load_file

    # Bernoulli, since the Gaussian's sigma is of the pictures that a process has. No norm: what it takes away again, a
    # bias, has a gradient of nothing but rounding errors, which Adam makes large.
    settings = ["model.likelihood=bernoulli", "model.norm=none", "training.steps=20"]
    flags = [word for setting in [*TINY, *settings] for word in ("--set", setting)]
    output = tmp_path / "two.safetensors"
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m", "vaetool")
    process = python(*torchrun, "train", "vae", pictures, "-o", output, "--adversarial", "--device", "cpu", *flags)
    _, words = process.communicate(timeout=300)
    assert process.returncode == 0, words.decode()
    one, two = load_file(fit_vae(*settings, name="one").path), load_file(output)
    assert max((one[name] - two[name]).abs().max().item() for name in one) < 1e-5
