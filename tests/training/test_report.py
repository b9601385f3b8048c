"""What is shown and kept of a run: lines, a log, a picture, TensorBoard."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from vaetool.errors import UsageError
from vaetool.training.checkpoints import Progress, log_path, picture_path
from vaetool.training.config import read_recipe
from vaetool.training.curves import draw
from vaetool.training.report import Reporter


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, _environ={"TERM": "xterm"})


def said(reporter: Reporter) -> list[str]:
    return reporter.console.file.getvalue().splitlines()


def log_of(output) -> list[dict[str, str]]:
    return list(csv.DictReader(log_path(output).read_text().splitlines()))


def test_a_run_is_told_in_plain_lines(fit):
    reporter = Reporter(console())
    result = fit("training.steps=4", "training.validations=2", reporter=reporter)
    lines = said(reporter)
    assert lines[0] == f"training a dae on 11 images → {result.path}"
    assert lines[1].startswith("step 0 at 0:00  psnr ")
    before, after = result.before["psnr"], result.figures["psnr"]
    assert lines[-1] == f"psnr {before:.2f} → {after:.2f} dB on 1 held-out image"
    assert "\x1b" not in "".join(lines)


def test_a_terminal_gets_a_live_display(fit):
    reporter = Reporter(console(terminal=True))
    fit("training.steps=5", reporter=reporter)
    text = reporter.console.file.getvalue()
    assert "━" in text
    assert " left" in text
    assert "images/s" in text
    assert "loss" in text


def test_the_log_has_losses_and_figures(fit):
    rows = log_of(fit("training.steps=8", "training.validations=4", reporter=Reporter()).path)
    assert [row["step"] for row in rows if row["psnr"]] == ["0", "2", "4", "6", "8"]
    (logged,) = [row for row in rows if row["loss"]]
    assert float(logged["loss"]) > 0
    assert float(logged["lr"]) > 0
    assert float(logged["images_per_second"]) > 0


def test_a_resumed_run_goes_on_with_its_log(tmp_path):
    recipe = read_recipe(kind="dae", settings=["training.steps=9"])
    output = tmp_path / "m.safetensors"
    first = Reporter()
    with first.open(recipe, output, 3, Progress()):
        for step in (0, 4, 8):
            first.validation(Progress(step=step, seconds=step), {"psnr": 20.0 + step})
    second = Reporter(console())
    with second.open(recipe, output, 3, Progress(step=5)):
        second.validation(Progress(step=6, seconds=6), {"psnr": 30.0})
    assert [row["step"] for row in log_of(output)] == ["0", "4", "6"]
    assert "from step 5 on" in said(second)[0]


def test_a_new_run_begins_a_new_log(fit):
    fit("training.steps=2", reporter=Reporter())
    rows = log_of(fit("training.steps=2", reporter=Reporter(), force=True).path)
    assert [row["step"] for row in rows].count("0") == 1


def test_a_log_that_was_spoilt_is_begun_anew(tmp_path):
    output = tmp_path / "m.safetensors"
    log_path(output).write_text("step,seconds\nthree,4\n")
    reporter = Reporter()
    with reporter.open(read_recipe(kind="dae"), output, 3, Progress(step=5)):
        reporter.validation(Progress(step=6), {"psnr": 30.0})
    assert [row["step"] for row in log_of(output)] == ["6"]


def test_the_picture_has_curves_and_examples(fit):
    result = fit("training.steps=8", reporter=Reporter())
    with Image.open(picture_path(result.path)) as image:
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[0] > 300
    assert pixels.shape[1] > 800
    coloured = np.ptp(pixels[pixels.shape[0] // 2 :].astype(int), axis=2) > 20
    assert coloured.mean() > 0.1  # the photographs in its lower half


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_drawn_of_grey_and_of_coloured_examples(channels):
    rows = [{"step": 1, "seconds": 1.0, "loss": 0.5}, {"step": 2, "seconds": 2.0, "psnr": 30.0}]
    examples = [torch.rand(3, channels, 16, 16) for _ in range(3)]
    assert draw(rows, examples).startswith(b"\x89PNG")


def test_nothing_is_written_or_said_by_default(fit, tmp_path, capfd):
    fit("training.steps=2")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.safetensors"]
    assert capfd.readouterr() == ("", "")


def test_tensorboard_gets_the_figures(fit, tmp_path):
    pytest.importorskip("tensorboard")
    fit("training.steps=4", reporter=Reporter(files=False, tensorboard=tmp_path / "events"))
    (events,) = (tmp_path / "events").iterdir()
    assert b"psnr" in events.read_bytes()


def test_without_tensorboard_asking_for_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="pip install tensorboard"):
        Reporter(tensorboard=tmp_path)


def test_a_file_name_cannot_break_a_line():
    reporter = Reporter(console())
    reporter.warn("two\nlines[red].png: left out")
    assert said(reporter) == ["warning: two\\nlines[red].png: left out"]


@pytest.mark.parametrize("patience", [0, 9])
def test_a_run_that_gains_nothing_for_long_is_told_once(tmp_path, patience):
    reporter, progress = Reporter(console(), files=False), Progress()
    recipe = read_recipe(kind="dae", settings=[f"training.patience={patience}"])
    with reporter.open(recipe, tmp_path / "mine.safetensors", 9, progress):
        for minute in range(20):  # the third is the best
            progress.seconds, progress.since_best = 60.0 * minute, max(0, minute - 3)
            reporter.step(progress, minute / 20, {"loss": torch.zeros(())}, 0.1, 16)
            reporter.validation(progress, {"elbo": -1.0 * minute})
    lines = said(reporter)
    told = [place for place, line in enumerate(lines) if line.startswith("no better since 3:00: ")]
    assert [lines[place - 1][:15] for place in told] == ([] if patience else ["step 0 at 10:00"])
