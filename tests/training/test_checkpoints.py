"""The state of a run: whole, of the same recipe, or refused; and outputs that are checked before any work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from random import Random

import pytest
from PIL import Image

from vaetool import train
from vaetool.errors import UsageError, WeightsError
from vaetool.store import weights
from vaetool.training import checkpoints
from vaetool.training.checkpoints import best_path, state_path
from vaetool.training.loop import Run
from vaetool.training.report import Reporter


class Stopper(Reporter):
    """Sends this process a signal after a step, as Ctrl-C would in the middle of a run."""

    def __init__(self, at: int, number: int = signal.SIGINT) -> None:
        super().__init__()
        self.at, self.number = at, number

    def step(self, progress, *rest) -> None:
        super().step(progress, *rest)
        if progress.step == self.at:
            signal.raise_signal(self.number)


@pytest.fixture
def stopped(fit):
    """A run that was stopped by Ctrl-C after 7 of 20 steps."""
    with pytest.raises(KeyboardInterrupt):
        fit("training.steps=20", reporter=Stopper(7))


RECIPES = {
    "adamw": ["training.steps=60", "training.crops=[16, 24]", "training.save_minutes=0.0"],
    "muon": ["training.steps=60", "training.optimizer=muon", "training.save_minutes=0.0", "training.weight_decay=0.1"],
}


@pytest.mark.parametrize("optimizer", [pytest.param("adamw", marks=pytest.mark.slow), "muon"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    fit, tiny, tmp_path, pictures, python, same_weights, optimizer, saved_step
):
    settings = RECIPES[optimizer]
    flags = [word for setting in [*tiny, *settings] for word in ("--set", setting)]
    output = tmp_path / "killed.safetensors"
    process = python("-m", "vaetool", "train", "dae", pictures, "-o", output, "--device", "cpu", *flags)
    deadline = time.monotonic() + 60
    while saved_step(state_path(output)) < 9:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate()
    assert 9 <= saved_step(state_path(output)) < 60

    resumed = fit(*settings, name="killed", resume=True)
    whole = fit(*settings, name="whole")
    assert resumed.steps == whole.steps == 60
    assert same_weights(resumed.path, whole.path)
    assert (resumed.before, resumed.figures) == (whole.before, whole.figures)
    assert not state_path(output).exists()


@pytest.mark.parametrize("step", [1, 13])
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(fit, same_weights, step):
    with pytest.raises(KeyboardInterrupt):
        fit("training.steps=20", "training.optimizer=muon", reporter=Stopper(step))
    resumed = fit("training.steps=20", "training.optimizer=muon", resume=True)
    whole = fit("training.steps=20", "training.optimizer=muon", name="whole")
    assert same_weights(resumed.path, whole.path)


def test_dropout_depends_on_the_seed_and_the_step_alone(tmp_path, pictures, same_weights):
    small = ["model.size=16", "model.latent=2", "model.widths=[8]", "model.dropout=0.3", "training.steps=4"]

    def fit_ae(name: str, **options):
        settings = [*small, "training.batch=4", "training.validations=1"]
        return train("ae", pictures, output=tmp_path / f"{name}.safetensors", settings=settings, **options).path

    whole = fit_ae("whole", device="cpu")
    with pytest.raises(KeyboardInterrupt):
        fit_ae("stopped", device="cpu", reporter=Stopper(2))
    assert same_weights(whole, fit_ae("stopped", device="cpu", resume=True))


def test_the_same_command_resumes_a_run_that_began_with_a_model_and_no_other_model_does(fit, tiny_dae, tmp_path):
    settings = ["training.steps=20", "model.widths=[16, 16]", "model.estimator_widths=[8,8]"]
    with pytest.raises(KeyboardInterrupt):
        fit(*settings, init=tiny_dae, reporter=Stopper(7))
    other = tmp_path / "other.safetensors"
    other.write_bytes(tiny_dae.read_bytes())
    with pytest.raises(UsageError, match="began with tiny-dae"):
        fit(*settings, init=other, resume=True)
    assert fit(*settings, init=tiny_dae, resume=True).steps == 20


def test_a_run_that_began_with_new_weights_takes_no_others(fit, stopped, tiny_dae):
    with pytest.raises(UsageError, match="began with new weights"):
        fit("training.steps=20", init=tiny_dae, resume=True)


def test_a_run_can_be_resumed_with_another_budget(fit, stopped):
    assert fit("training.steps=9", resume=True).steps == 9


def test_a_batch_that_was_chosen_for_a_budget_stays_when_that_changes(tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(300):
        Image.new("L", (16, 16), number % 256).save(tmp_path / "many" / f"{number}.png")
    small = ["model.size=16", "model.latent=2", "model.widths=[8]", "model.channels=1", "training.validations=1"]
    given = {"output": tmp_path / "m.safetensors", "settings": small, "device": "cpu"}
    with pytest.raises(KeyboardInterrupt):
        train("ae", tmp_path / "many", minutes=0.5, reporter=Stopper(2), **given)
    result = train("ae", tmp_path / "many", epochs=1, resume=True, **given)
    assert weights.read_header(result.path).training["recipe"]["training"]["batch"] == 16  # of new runs, 32


def test_a_run_can_be_resumed_with_a_lower_learning_rate(fit, stopped):
    assert fit("training.steps=20", "training.lr=0.0001", resume=True).steps == 20


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("model.widths=[8, 8]", "model.widths"),
        ("corruption.sigma_max=10.0", "corruption.sigma_max"),
        ("data.scales=[0.5]", "data.scales"),
        ("training.batch=8", "training.batch"),
        ("training.seed=1", "training.seed"),
    ],
)
def test_resuming_with_another_recipe_is_refused(fit, stopped, setting, named):
    with pytest.raises(UsageError, match=f"begun with different {named}; resume with the same"):
        fit("training.steps=20", setting, resume=True)


def test_resuming_with_other_images_is_refused(fit, stopped, tmp_path, pictures):
    other = tmp_path / "other"
    other.mkdir()
    for path in list(pictures.iterdir())[:5]:
        (other / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UsageError, match="begun with different images"):
        fit("training.steps=20", resume=True, data=other)


def test_resuming_what_was_never_begun_begins(fit):
    assert fit("training.steps=2", resume=True).steps == 2


def test_resuming_what_is_finished_says_so_and_changes_nothing(tmp_path, pictures, tiny, vaetool):
    output = tmp_path / "mine.safetensors"
    flags = [word for setting in (*tiny, "training.steps=2") for word in ("--set", setting)]
    command = "train", "dae", pictures, "-o", output, "--device", "cpu", "--resume", *flags
    assert vaetool(*command).exit_code == 0
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert before.keys() == {"mine.safetensors", "mine.training.csv", "mine.training.png"}
    again = vaetool(*command, "--json")
    assert (again.exit_code, json.loads(again.stdout)["was_finished"]) == (0, True)
    assert "mine.safetensors is finished, there is nothing to resume" in again.stderr
    assert "wrote" not in again.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_finished_model_of_another_kind_is_not_taken_for_the_run(fit, tiny_autoencoders, tmp_path):
    output = tmp_path / "mine.safetensors"
    output.write_bytes((tiny_autoencoders / "tiny-ae.safetensors").read_bytes())
    with pytest.raises(UsageError, match=r"exists and is an ae, not a dae"):
        fit("training.steps=2", resume=True)


@pytest.mark.parametrize("killed", ["_save_model", "_validate", "_show"])
def test_wherever_it_was_killed_the_same_command_with_resume_finishes_a_run(
    fit, same_weights, tmp_path, monkeypatch, killed
):
    """Before and after the first weights are written, and while curves are drawn."""

    class Killed(BaseException):
        pass

    original = getattr(Run, killed)

    def die(self):
        if killed == "_validate":
            original(self)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Run, killed, die)
        with pytest.raises(Killed):
            fit("training.steps=4", resume=True)
    assert state_path(tmp_path / "mine.safetensors").is_file()
    assert (tmp_path / "mine.safetensors").exists() == (killed == "_show")  # nothing untrained under its name
    with pytest.raises(UsageError, match="continue with --resume"):
        fit("training.steps=4")
    resumed, whole = fit("training.steps=4", resume=True), fit("training.steps=4", name="whole")
    assert same_weights(resumed.path, whole.path)
    assert resumed.figures == whole.figures
    assert not list(tmp_path.glob("mine.*.safetensors"))


KILLS = int(os.environ.get("VAETOOL_KILLS", "5"))


@pytest.mark.slow
def test_a_run_killed_at_random_moments_gives_the_same_weights(fit, tiny, tmp_path, pictures, python, same_weights):
    """One command, again and again: it begins, goes on, and says when it is finished."""
    settings = [*tiny, "training.steps=150", "training.save_minutes=0.0"]
    flags = [word for setting in settings for word in ("--set", setting)]
    output = tmp_path / "killed.safetensors"
    seed = time.time_ns()
    random, kills, tries = Random(seed), 0, 0
    whole = fit("training.steps=150", "training.save_minutes=0.0", name="whole")
    while kills < KILLS:
        process = python("-m", "vaetool", "train", "dae", pictures, "-o", output, "--device", "cpu", "--resume", *flags)
        try:
            process.communicate(timeout=random.uniform(2, 12))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
        else:
            assert process.returncode == 0
            assert same_weights(output, whole.path), f"seed {seed}, {kills} kills"
            output.unlink()
            tries += 1
    process = python("-m", "vaetool", "train", "dae", pictures, "-o", output, "--device", "cpu", "--resume", *flags)
    process.communicate()
    assert process.returncode == 0
    assert same_weights(output, whole.path)
    print(f"seed {seed}: {kills} kills, {tries + 1} finished runs")


# Two runs at once


def test_a_second_run_with_the_same_output_is_refused(fit, tmp_path):
    output = tmp_path / "mine.safetensors"
    with checkpoints.claimed(output):
        for resume in (False, True):
            with pytest.raises(UsageError, match=r"mine\.safetensors: another run is writing it"):
                fit("training.steps=1", resume=resume, force=not resume)
    assert list(tmp_path.iterdir()) == []
    assert fit("training.steps=1").steps == 1


HOLD = """
import sys, time
from pathlib import Path
from vaetool.training.checkpoints import claimed
with claimed(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_run_does_not_block(python, tmp_path):
    output = tmp_path / "mine.safetensors"
    process = python("-c", HOLD, output)
    assert process.stdout.readline() == b"held\n"
    with pytest.raises(UsageError, match="another run is writing it"), checkpoints.claimed(output):
        pass
    process.kill()
    process.communicate()
    with checkpoints.claimed(output):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_state_is_refused(fit, stopped, tmp_path):
    state = state_path(tmp_path / "mine.safetensors")
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(UsageError, match=r"mine\.state\.safetensors: a damaged training state .*; start again"):
        fit("training.steps=20", resume=True)


@pytest.mark.parametrize(
    "about",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"progress": {"step": ' + "1" * 5000 + '}, "recipe": {}}',
        "[]",
        '{"progress": [], "recipe": []}',
        '{"progress": {"step": "many"}, "recipe": null}',
    ],
    ids=["deep", "digits", "list", "lists", "words"],
)
def test_a_state_that_says_nonsense_is_refused(fit, stopped, tmp_path, about):
    from safetensors.torch import load_file, save_file

    state = state_path(tmp_path / "mine.safetensors")
    save_file(load_file(state), state, {"vaetool-state": about})
    with pytest.raises(UsageError, match="a damaged training state") as caught:
        fit("training.steps=20", resume=True)
    assert len(str(caught.value)) < 500


def test_a_model_file_is_no_state(fit, stopped, tmp_path):
    output = tmp_path / "mine.safetensors"
    state_path(output).write_bytes(best_path(output).read_bytes())
    with pytest.raises(UsageError, match="a damaged training state"):
        fit("training.steps=20", resume=True)


def test_a_state_is_no_model(stopped, tmp_path):
    with pytest.raises(WeightsError, match="not a vaetool model"):
        weights.load(state_path(tmp_path / "mine.safetensors"))


def test_a_resumed_run_whose_best_weights_are_gone_writes_them_again(fit, stopped, tmp_path):
    best_path(tmp_path / "mine.safetensors").unlink()
    assert fit("training.steps=20", resume=True).path.is_file()


def test_a_run_begun_anew_forgets_the_state_of_the_one_before(fit, stopped, tmp_path, saved_step):
    with pytest.raises(KeyboardInterrupt):
        fit("training.steps=20", reporter=Stopper(1), force=True)
    assert saved_step(state_path(tmp_path / "mine.safetensors")) == 1


def test_a_second_signal_acts_at_once(fit, tmp_path, saved_step):
    class Impatient(Stopper):
        def step(self, *arguments) -> None:
            super().step(*arguments)
            super().step(*arguments)

    with pytest.raises(KeyboardInterrupt):
        fit("training.steps=20", "training.validations=1", reporter=Impatient(5))
    assert saved_step(state_path(tmp_path / "mine.safetensors")) == 0


def test_signals_are_left_as_they_were(fit):
    before = signal.getsignal(signal.SIGINT)
    fit("training.steps=1")
    assert signal.getsignal(signal.SIGINT) is before


def test_training_in_a_thread_works(fit):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fit, "training.steps=1").result().steps == 1


# Outputs


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mine.pt", "a model file ends in .safetensors"),
        ("a file/mine.safetensors", "cannot write to"),
        ("folder.safetensors", "is a folder"),
        ("/proc/mine.safetensors", "cannot write to /proc"),
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_training(tmp_path, pictures, name, message):
    (tmp_path / "a file").write_text("")
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UsageError) as caught:
        train("dae", tmp_path / "no images looked for yet", output=tmp_path / name)
    assert message in str(caught.value)


def test_the_folder_of_an_output_is_made(tmp_path):
    checkpoints.check_output(tmp_path / "a" / "b" / "mine.safetensors")
    assert (tmp_path / "a" / "b").is_dir()
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("name", ["mine.safetensors", "mine.training.csv", "mine.training.png", "mine.latent.png"])
def test_files_that_a_run_would_replace_are_named(tmp_path, name):
    output = tmp_path / "mine.safetensors"
    checkpoints.check_new(output)
    (tmp_path / name).write_text("")
    with pytest.raises(UsageError, match=rf"{name} exists( \(and \d more\))?: --force replaces"):
        checkpoints.check_new(output)


def test_an_interrupted_run_is_pointed_out(tmp_path):
    (tmp_path / "mine.state.safetensors").write_text("")
    with pytest.raises(UsageError, match="continue with --resume, or start again with --force"):
        checkpoints.check_new(tmp_path / "mine.safetensors")
