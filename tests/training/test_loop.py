"""The training loop as a user of the library meets it: small, real runs."""

from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from PIL import Image

import vaetool
from vaetool.denoising.dae import DAE
from vaetool.errors import TrainingError, UsageError, WrongKindError
from vaetool.images import sources
from vaetool.store import weights
from vaetool.training.config import read_recipe
from vaetool.training.distributed import Processes
from vaetool.training.loop import Run
from vaetool.training.optimizers import follow
from vaetool.training.report import Reporter


class Watcher(Reporter):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__(files=False)
        self.steps: list[tuple[float, float, int]] = []
        self.figures: list[float] = []
        self.warnings: list[str] = []

    def step(self, progress, fraction, losses, lr, crop) -> None:
        self.steps.append((fraction, lr, crop))

    def validation(self, progress, figures) -> None:
        self.figures.append(figures["psnr"])

    def warn(self, message) -> None:
        self.warnings.append(message)


def new_run(recipe_settings, pictures, tmp_path) -> Run:
    recipe = read_recipe(kind="dae", settings=recipe_settings)
    return Run(recipe, [pictures], tmp_path / "m.safetensors", Processes(), Watcher())


def test_a_model_file_rebuilds_its_model_and_says_how_it_was_trained(fit):
    result = fit("training.steps=3", "training.optimizer=muon")
    model = weights.load(result.path, device="cpu", kind="dae")
    assert model.config.widths == (4, 8)
    about = weights.read_header(result.path).training
    assert about["recipe"]["training"]["optimizer"] == "muon"
    assert about["held_out"] == result.figures
    assert about["images"] == 11
    assert about["data"][0].startswith("pictures")


def test_the_loss_goes_down_by_a_lot_on_a_small_problem(tmp_path, tiny):
    """Flat pictures of two colours."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for number in range(8):
        pixels = np.full((32, 32, 3), 60 + 15 * number, np.uint8)
        pixels[:, 16:] = 200 - 15 * number
        Image.fromarray(pixels).save(folder / f"{number}.png")
    noise = ["corruption.clean=0.0", "corruption.clipped=0.0", "model.widths=[8, 16]", "data.held_out=0.4"]
    pace = ["training.steps=300", "training.batch=8", "training.lr=0.005", "training.ema=0.95"]
    settings = [*tiny, *noise, *pace, "training.optimizer=muon"]
    result = vaetool.train("dae", folder, output=tmp_path / "m.safetensors", settings=settings, device="cpu")
    assert result.figures["psnr"] > result.before["psnr"] + 6
    model = weights.load(result.path, device="cpu")
    noisy = np.full((64, 64, 3), 0.5) + np.random.default_rng(0).normal(0, 0.1, (64, 64, 3))
    clean = model.denoise(noisy, sigma=25.5)
    assert np.square(clean - 0.5).mean() < 0.95 * np.square(noisy - 0.5).mean()


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(fit, same_weights):
    one, same = fit("training.steps=5", name="one"), fit("training.steps=5", name="same")
    other = fit("training.steps=5", "training.seed=1", name="other")
    assert same_weights(one.path, same.path)
    assert not same_weights(one.path, other.path)


def test_the_callers_random_numbers_are_left_alone(fit):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit("training.steps=1")
    assert torch.equal(torch.rand(3), expected)


def test_no_step_and_no_seed_shares_its_noise_with_another(tiny, pictures, tmp_path):
    runs = [new_run([*tiny, "training.steps=1", f"training.seed={seed}"], pictures, tmp_path) for seed in (0, 1)]
    drawn = [torch.rand(1, generator=run._generator(p)).item() for run in runs for p in (0, 1, 1 << 32, "held out")]
    assert len(set(drawn)) == len(drawn)


def test_held_out_images_are_never_trained_on(tiny, tmp_path, pictures):
    folder = tmp_path / "marked"
    folder.mkdir()
    for number in range(10):
        Image.new("RGB", (20, 20), (number, number, number)).save(folder / f"{number}.png")
    run = new_run([*tiny, "training.steps=1", "data.held_out=0.3", "data.scales=[1.0, 0.8]"], folder, tmp_path)
    trained = {int(value) for value in run.images.training.pixels.unique()}
    held_out = {round(255 * value) for value in run.course.held_out["clean"].unique().tolist()}
    assert len(held_out) == 3
    assert trained | held_out == set(range(10))
    assert not trained & held_out


# Budgets


def test_a_budget_of_steps(fit):
    watcher = Watcher()
    assert fit("training.steps=7", reporter=watcher).steps == 7
    assert [fraction for fraction, _, _ in watcher.steps] == pytest.approx([step / 7 for step in range(7)])


def test_a_budget_of_epochs_counts_as_many_crops_as_there_are_images(fit):
    assert fit(epochs=2).steps == 6  # of 4 crops: 24 for 2 x 11 images


def test_a_budget_of_minutes(fit):
    watcher = Watcher()
    start = time.monotonic()
    result = fit("training.warmup_steps=0", minutes=0.02, reporter=watcher)
    assert 1.2 <= result.seconds < 3
    assert time.monotonic() - start < 6
    shares, rates, _ = zip(*watcher.steps, strict=True)
    assert list(shares) == sorted(shares)
    assert list(rates) == sorted(rates, reverse=True)
    assert rates[-1] < 0.1 * rates[0]


def test_a_run_that_gained_nothing_says_so(fit):
    """With a rate of learning that no weight notices."""
    watcher = Watcher()
    result = fit("training.steps=3", "training.lr=1e-30", "training.lr_final=1e-30", reporter=watcher)
    assert result.figures == result.before
    assert watcher.warnings == ["no weights were better on held-out images than the initial ones, which are written"]
    fit("training.steps=8", "training.warmup_steps=0", "training.lr=0.01", reporter=(better := Watcher()), force=True)
    assert better.warnings == []


def test_the_first_budget_to_be_spent_ends_the_run(fit):
    assert fit("training.steps=3", minutes=5).steps == 3


def test_options_replace_the_budget_of_a_recipe(fit, tiny):
    recipe = read_recipe(kind="dae", settings=["training.steps=50", *tiny])
    assert fit(recipe=recipe, epochs=1).steps == 3


def test_crops_grow_and_batches_shrink(fit):
    watcher = Watcher()
    fit("training.steps=6", "training.crops=[8, 16, 32]", "training.batch=16", reporter=watcher)
    assert [crop for _, _, crop in watcher.steps] == [8, 8, 16, 16, 32, 32]


# Measuring


def test_figures_are_measured_at_the_start_and_evenly_from_then_on(fit):
    watcher = Watcher()
    result = fit("training.steps=10", "training.validations=5", reporter=watcher)
    assert len(watcher.figures) == 6
    assert result.before["psnr"] == watcher.figures[0]
    assert result.figures["psnr"] == max(watcher.figures)
    assert result.held_out == 1


def measured(path, tiny, pictures, tmp_path) -> float:
    """The figure of a model file on the held-out images of a run."""
    run = new_run([*tiny, "training.steps=1"], pictures, tmp_path)
    run.begin(path)
    with torch.inference_mode():
        return run.average.validate(run.course.held_out)["psnr"]


def test_the_best_weights_are_kept_even_if_later_ones_are_worse(fit, tiny, pictures, tmp_path, monkeypatch):
    """After 30 good steps the learning rate becomes far too high."""
    from vaetool.training import loop

    good = loop.learning_rate_factor
    monkeypatch.setattr(loop, "learning_rate_factor", lambda c, step, f: 30.0 if step >= 30 else good(c, step, f))
    watcher = Watcher()
    result = fit("training.steps=40", "training.ema=0.5", reporter=watcher)
    assert watcher.figures[-1] < max(watcher.figures) - 1
    assert measured(result.path, tiny, pictures, tmp_path) == pytest.approx(max(watcher.figures), abs=1e-4)


def test_fine_tuning_never_returns_something_worse(fit, tiny_dae, same_weights, pictures, tmp_path):
    same_model = ["model.widths=[16, 16]", "model.estimator_widths=[8,8]"]
    result = fit("training.steps=5", "training.lr=0.05", "training.ema=0.0", *same_model, init=tiny_dae)
    assert result.figures == result.before
    start, end = weights.load(tiny_dae, device="cpu"), weights.load(result.path, device="cpu")
    assert all(torch.equal(a, b) for a, b in zip(start.parameters(), end.parameters(), strict=True))
    assert weights.read_header(result.path).training["init"] == "tiny-dae"


def test_what_is_no_entry_of_a_recipe_is_refused(fit):
    with pytest.raises(TypeError, match="has no latnet; there are: minutes, epochs, size, latent"):
        fit("training.steps=5", latnet=3)


def test_fine_tuning_a_model_of_another_shape_is_refused(fit, tiny_dae):
    with pytest.raises(WrongKindError, match="differs from that of the recipe"):
        fit("training.steps=5", init=tiny_dae)


def test_a_model_that_exists_is_not_replaced_unless_asked(fit):
    first = fit("training.steps=1")
    before = first.path.read_bytes()
    with pytest.raises(UsageError, match="exists"):
        fit("training.steps=2")
    assert first.path.read_bytes() == before
    assert fit("training.steps=2", force=True).steps == 2


def test_a_run_that_no_longer_improves_stops_early(fit):
    watcher = Watcher()
    settings = ["training.steps=200", "training.validations=50", "training.patience=3", "training.lr=1e-12"]
    result = fit(*settings, "training.lr_final=0.0", reporter=watcher)
    best = int(np.argmax(watcher.figures))
    assert len(watcher.figures) == best + 1 + 3
    assert result.steps < 200


# What goes wrong


def test_a_state_that_was_spoilt_already_is_not_recommended_twice(fit, monkeypatch):
    from vaetool.training import loop

    good = loop.learning_rate_factor
    monkeypatch.setattr(loop, "learning_rate_factor", lambda c, step, f: 1e35 if step == 10 else good(c, step, f))
    with pytest.raises(TrainingError, match="continue with --resume"):
        fit("training.steps=20", "training.save_minutes=0.0")  # one of them between the bad step and its effect
    with pytest.raises(TrainingError, match="start again with --force"):
        fit("training.steps=20", resume=True)


def test_a_loss_that_is_not_a_number_stops_with_advice(fit, tmp_path):
    with pytest.raises(TrainingError) as caught:
        fit("training.steps=50", "training.lr=1e30")
    message = str(caught.value)
    assert "the loss is no longer finite at step" in message
    assert "start again with --force and a lower learning rate (--set training.lr=3.3e+29)" in message


def test_after_a_saved_state_the_advice_is_to_resume_and_it_works(fit, monkeypatch):
    from vaetool.training import loop

    good = loop.learning_rate_factor
    monkeypatch.setattr(loop, "learning_rate_factor", lambda c, step, f: 1e35 if step == 10 else good(c, step, f))
    with pytest.raises(TrainingError, match="continue with --resume and a lower learning rate"):
        fit("training.steps=20", "training.validations=2")
    monkeypatch.setattr(loop, "learning_rate_factor", good)
    result = fit("training.steps=20", "training.validations=2", "training.lr=0.001", resume=True)
    assert result.steps == 20
    assert np.isfinite(result.figures["psnr"])


def test_a_broken_image_is_left_out_with_a_warning(fit, pictures, tmp_path):
    folder = tmp_path / "some broken"
    folder.mkdir()
    for path in pictures.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes(b"\x89PNG not really")
    for seed in range(2):
        watcher = Watcher()
        result = fit("training.steps=1", f"training.seed={seed}", data=folder, reporter=watcher, force=True)
        assert result.steps == 1
        (warning,) = watcher.warnings
        assert warning.startswith("broken.png: not a readable image")


def test_if_all_held_out_images_are_broken_others_are_held_out(fit, pictures, tmp_path):
    folder = tmp_path / "some broken"
    folder.mkdir()
    for path in pictures.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    found = sources.find_sources([folder])
    from vaetool.training.splits import split

    for source in split(found, 0.03, 0, 32)[1]:
        (folder / source.name).write_bytes(b"\x89PNG not really")
    assert fit("training.steps=1", data=folder).held_out == 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.crops=[18]", "training.crops of 18: this model needs multiples of 8"),
        ("model.widths=[]", "model.widths must be a list of one or more"),
        ("model.widths=[-4, 8]", "each above 0, not [-4, 8]"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused_before_training(fit, setting, message):
    with pytest.raises(UsageError) as caught:
        fit("training.steps=1", setting)
    assert message in str(caught.value)


def test_training_needs_images(fit):
    with pytest.raises(UsageError, match="which images"):
        fit("training.steps=1", data=[])


def test_the_average_takes_over_buffers(fit, tiny, pictures, tmp_path):
    run = new_run([*tiny, "training.steps=1"], pictures, tmp_path)
    for model in (run.model, run.average):
        assert isinstance(model, DAE)
        model.register_buffer("seen", torch.zeros(1))
    run.model.seen += 3
    follow(run.average, run.model, decay=0.9, step=0)
    assert run.average.seen == 3


def test_few_images_or_minutes_get_small_batches_so_that_a_vae_takes_steps_enough(shapes, tmp_path):
    """The same pictures seen in all, in few steps and in many."""

    def bound(name: str, *settings: str) -> tuple[int, float]:
        path = tmp_path / f"{name}.safetensors"
        tiny = ["model.channels=1", "model.size=16", "model.latent=8", "model.widths=[8,16]", "training.validations=1"]
        vaetool.train("vae", shapes, output=path, settings=[*tiny, *settings], device="cpu")
        about = weights.read_header(path).training
        return about["recipe"]["training"]["batch"], about["held_out"]["elbo"]

    batch, many = bound("many", "training.steps=96")
    assert batch == 16
    batch, few = bound("few", "training.steps=12", "training.batch=128")
    assert batch == 128
    assert many > few + 50  # nats


def test_a_collapse_is_said_once_for_as_long_as_it_lasts():
    watcher = Watcher()
    for words in (None, "it has collapsed", "it has collapsed", None, "it has collapsed"):
        watcher.doubt(words)
    assert watcher.warnings == ["it has collapsed", "it has collapsed"]
