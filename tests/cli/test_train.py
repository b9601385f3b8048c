"""`vaetool train` as a command."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import shutil
import signal
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from vaetool.cli.train import train
from vaetool.store import weights
from vaetool.store.kinds import KINDS

SMALL = [
    "model.widths=[4,8]",
    "model.blocks=1",
    "model.estimator_widths=[4,4]",
    "training.crops=[16]",
    "training.batch=4",
]
SETTINGS = [word for setting in SMALL for word in ("--set", setting)]
STEPS = ["--set", "training.steps=3"]


@pytest.fixture
def here(tmp_path, photographs, monkeypatch):
    """The current folder, with six pictures in `photos` and a recipe."""
    (tmp_path / "photos").mkdir()
    for number in range(6):
        box = (10 * number, 5 * number, 10 * number + 40, 5 * number + 32)
        photographs["china"].crop(box).save(tmp_path / "photos" / f"{number}.png")
    lines = ["kind = 'dae'", "model = {widths = [4, 8], blocks = 1, estimator_widths = [4, 4]}"]
    lines += ["training = {steps = 3, batch = 4, crops = [16]}"]
    (tmp_path / "recipe.toml").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # networks this small are slower on more
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(before)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"mmvae"}))
def test_one_picture_is_too_few_for_any_kind(here, vaetool, kind):
    shutil.copytree("photos", "one", ignore=shutil.ignore_patterns("[1-9].png"))
    result = vaetool("train", kind, "one", "-o", "mine.safetensors")
    assert (result.exit_code, "at least two images" in result.stderr) == (2, True)


def test_training_needs_no_more_than_torch_and_what_reads_and_shows(here, python):
    """A machine with a GPU may have torch, torchvision, numpy, pillow, typer, rich, safetensors, and nothing else."""
    missing = ["matplotlib", "platformdirs", "sklearn", "tensorboard"]
    code = f"import sys; sys.modules.update(dict.fromkeys({missing})); from vaetool.cli import main; sys.exit(main())"
    process = python("-c", code, "train", "--config", "recipe.toml", "photos", "-o", "mine.safetensors", cwd=here)
    _, words = process.communicate(timeout=120)
    assert process.returncode == 0, words.decode()
    assert b"warning: no picture of the curves: matplotlib is not installed" in words
    assert (here / "mine.safetensors").is_file()


def test_a_model_of_ones_own_works_right_away(here, vaetool):
    result = vaetool("train", "dae", "photos", "-o", "models/mine.safetensors", *SETTINGS, *STEPS)
    assert result.exit_code == 0, result.stderr
    assert result.data == b""
    lines = result.stderr.splitlines()
    assert lines[0] == "training a dae on 5 images → models/mine.safetensors"
    assert lines[-2].startswith("psnr ")
    assert lines[-2].endswith(" dB on 1 held-out image")
    assert lines[-1] == "wrote models/mine.safetensors"
    assert {p.name for p in (here / "models").iterdir()} == {
        "mine.safetensors",
        "mine.training.csv",
        "mine.training.png",
    }
    assert vaetool("denoise", "photos/1.png", "-m", "models/mine.safetensors", "-o", "clean.png").exit_code == 0
    assert np.asarray(Image.open("clean.png")).shape == (32, 40, 3)


def test_a_recipe_names_the_kind(here, vaetool):
    result = vaetool("train", "photos", "--config", "recipe.toml", "-o", "m.safetensors")
    assert result.exit_code == 0, result.stderr
    assert weights.read_header("m.safetensors").training["steps"] <= 3


def test_settings_win_over_options_and_options_over_the_recipe(here, vaetool):
    call = ["train", "dae", "photos", "--config", "recipe.toml", "-o", "m.safetensors", "--epochs", "1"]
    assert vaetool(*call, "--set", "training.batch=5", "--set", "training.optimizer=muon").exit_code == 0
    recipe = weights.read_header("m.safetensors").training["recipe"]["training"]
    assert (recipe["steps"], recipe["epochs"], recipe["batch"], recipe["optimizer"]) == (0, 1.0, 5, "muon")


def test_json_gives_the_figures(here, vaetool):
    result = vaetool("train", "dae", "photos", "-o", "m.safetensors", "--json", "--quiet", *SETTINGS, *STEPS)
    record = json.loads(result.stdout)
    assert result.stderr == ""
    assert record["path"] == "m.safetensors"
    assert record["steps"] == 3
    assert record["figures"]["psnr"] >= record["before"]["psnr"]


def test_a_folder_called_like_a_kind_is_written_with_its_path(here, vaetool):
    (here / "photos").rename(here / "dae")
    call = ["-o", "m.safetensors", *SETTINGS, *STEPS]
    assert vaetool("train", "dae", "./dae", *call).exit_code == 0
    assert vaetool("train", "./dae", "--config", "recipe.toml", "--force", *call).exit_code == 0
    assert vaetool("train", "dae", "dae", "--force", *call).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["photos", "-o", "m.safetensors"],
            "which kind of model? ae or codec or dae or defect or features or flaws or gan or mae or mmvae or vae, or",
        ),
        (["dae", "-o", "m.safetensors"], "which images?"),
        (["dae", "photos"], "Name the model file with -o"),
        (["dae", "nowhere", "-o", "m.safetensors"], "nowhere: no such folder or zip file"),
        (["dae", "photos", "-o", "m.pt"], "a model file ends in .safetensors"),
        (["dae", "photos", "-o", "photos/1.png/m.safetensors"], "cannot write to photos/1.png"),
        (["dae", "photos", "-o", "m.safetensors", "--device", "cuda:77"], "device 'cuda:77' is not available"),
        (["dae", "photos", "-o", "m.safetensors", "--init", "nothing"], "no model 'nothing'"),
        (["dae", "photos", "-o", "m.safetensors", "--set", "training.rate=1"], "unknown key 'rate'"),
        (["dae", "photos", "-o", "m.safetensors", "--minutes", "0"], "training needs a budget"),
        (
            ["dae", "photos", "-o", "m.safetensors", "--latent", "8"],
            "the kind dae has no latent; known in [model]",
        ),
        (["ae", "photos", "-o", "m.safetensors", "--beta", "2"], "the kind ae has no beta"),
        (["dae", "photos", "-o", "m.safetensors", "--patch", "8"], "the kind dae has no patch"),
        (["mae", "photos", "-o", "m.safetensors", "--ratio", "0.5"], "give their side"),
        (["mae", "photos", "-o", "m.safetensors", "--patch", "8", "--ratio", "1"], "corruption.ratio must be above 0"),
        (["dae", "photos", "-o", "m.safetensors", "--preset", "lecture-2d"], "no preset 'lecture-2d' for the kind dae"),
        (["vae", "photos", "-o", "m.safetensors", "--preset", "large"], "there are: lecture-2d, lecture-faces"),
        (["vae", "photos", "-o", "m.safetensors", "--size", "300"], "model.size must be from 16 to 256, not"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_one_line(here, vaetool, arguments, message):
    result = vaetool("train", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (here / "m.safetensors").exists()


def test_a_model_that_exists_is_not_replaced_without_force(here, vaetool):
    (here / "m.safetensors").write_bytes(b"precious")
    call = ["train", "dae", "photos", "-o", "m.safetensors", *SETTINGS, *STEPS]
    refused = vaetool(*call)
    assert refused.exit_code == 2
    assert refused.stderr == "error: m.safetensors exists: --force replaces\n"
    assert (here / "m.safetensors").read_bytes() == b"precious"
    assert vaetool(*call, "--force").exit_code == 0


def test_broken_images_are_named_and_left_out(here, vaetool):
    for number in range(2):
        (here / "photos" / f"broken{number}.png").write_bytes(b"\x89PNG not really")
    result = vaetool("train", "dae", "photos", "-o", "m.safetensors", *SETTINGS, *STEPS)
    assert result.exit_code == 0
    assert result.stderr.count("warning: broken") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [
        pytest.param(signal.SIGINT, 130, "interrupted", id="Ctrl-C"),
        pytest.param(signal.SIGTERM, 143, "stopped by SIGTERM", id="SIGTERM", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_run_says_how_to_go_on_and_does(here, python, vaetool, number, code, word):
    call = ["train", "dae", "photos", "-o", "m.safetensors", *SETTINGS]
    process = python("-m", "vaetool", *call, "--minutes", 5)
    deadline = time.monotonic() + 60
    while not (here / "m.best.safetensors").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    _, words = process.communicate(timeout=60)
    assert process.returncode == code
    lines = words.decode().splitlines()
    assert lines[-2].startswith("stopped at step ")
    assert lines[-2].endswith("state saved: the same command with --resume continues from here")
    assert lines[-1] == word
    again = vaetool(*call, "--minutes", 5)
    assert again.exit_code == 2
    assert "continue with --resume, or start again with --force" in again.stderr
    resumed = vaetool(*call, "--minutes", 0.001, "--resume")
    assert resumed.exit_code == 0
    assert not (here / "m.state.safetensors").exists()


@pytest.fixture
def drawings(here):
    """A folder of twenty small grey pictures."""
    from sklearn.datasets import load_digits

    (here / "drawings").mkdir()
    for number, digit in enumerate(load_digits().images[:20]):
        Image.fromarray((digit * 15).astype(np.uint8)).save(here / "drawings" / f"{number}.png")
    return here / "drawings"


WHOLE = ["--set", "training.steps=3", "--set", "training.batch=4"]


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_a_model_of_whole_pictures_needs_no_more_than_a_folder(drawings, vaetool, kind):
    call = [kind, drawings, "-o", "m.safetensors", "--size", 16, "--latent", 3, "--upsample", "shuffle"]
    result = vaetool("train", *call, "--set", "model.widths=[4,8]", *WHOLE)
    assert result.exit_code == 0, result.stderr
    header = weights.read_header("m.safetensors")
    config = header.config
    assert (config["size"], config["latent"], config["upsample"]) == (16, 3, "shuffle")
    assert (config["channels"], config["decoder_widths"]) == (1, [4, 2])  # grey as the pictures; all is written down
    assert header.training["recipe"]["training"]["crops"] == [16]


def test_pictures_with_colours_make_a_model_with_colours(here, vaetool):
    call = ["vae", "photos", "-o", "m.safetensors", "--size", 16, "--beta", 0.5, "--set", "model.widths=[4,8]", *WHOLE]
    assert vaetool("train", *call).exit_code == 0
    header = weights.read_header("m.safetensors")
    assert header.config["channels"] == 3
    assert header.training["recipe"]["objective"]["beta"] == 0.5


@pytest.mark.parametrize("kind", ["ae", "vae"])
def test_a_preset_lies_under_the_recipe_and_that_under_the_options(drawings, vaetool, kind):
    (drawings.parent / "mine.toml").write_text("[model]\nlatent = 5\nsize = 24\n[training]\nlr = 0.5e-3")
    call = [kind, drawings, "-o", "m.safetensors", "--preset", "lecture-2d", "--config", "mine.toml", "--size", 16]
    assert vaetool("train", *call, *WHOLE).exit_code == 0
    header = weights.read_header("m.safetensors")
    config, training = header.config, header.training["recipe"]["training"]
    assert (config["widths"], config["latent"], config["size"]) == ([32, 64, 128], 5, 16)
    assert (training["lr"], training["batch"]) == (0.5e-3, 4)


def test_a_posterior_that_collapsed_is_told_of_then_and_by_every_command_after(drawings, vaetool):
    call = ["vae", drawings, "-o", "m.safetensors", "--size", 16, "--beta", 1000, "--set", "model.widths=[4,8]"]
    result = vaetool(
        "train", *call, "--set", "model.norm=none", "--set", "training.steps=60", "--set", "data.held_out=0.3"
    )
    assert result.exit_code == 0
    words = "the posterior has collapsed: 0 of 64 units"
    assert f"warning: {words}" in result.stderr
    assert words in weights.read_header("m.safetensors").training["doubt"]
    for call in (
        ["sample", "-m", "m.safetensors", "-o", "new.png"],
        ["morph", *sorted(drawings.iterdir())[:2], "-m", "m.safetensors", "-o", "morph.gif"],
        ["latent", "m.safetensors", drawings, "-o", "space"],
        ["info", "m.safetensors"],
    ):
        result = vaetool(*call)
        assert words in result.stderr + result.stdout, call[0]


@pytest.mark.parametrize("number", range(11))
def test_the_examples_of_the_help_page_run(here, vaetool, number):
    lines = [line.partition("      ")[0] for line in inspect.cleandoc(train.__doc__).splitlines()]
    words = shlex.split([line for line in lines if line.startswith("vaetool train")][number])[1:]
    if "photos.zip" in words:
        import shutil

        shutil.make_archive("photos", "zip", "photos")
    short = ["--set", "training.steps=2", "--set", "training.batch=1", "--set", "training.crops=[16]"]
    for name in ("faces", "drawings", "good", "masks"):
        (here / name).symlink_to("photos")
    short += ["--set", "model.widths=[4,8,8]"] if {"ae", "vae", "gan", "mmvae", "defect"} & set(words) else []
    result = vaetool(*words, *short)
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["--init", "m.safetensors", "-o", "m.safetensors"], "m.safetensors"),
        (["--init", "m.safetensors", "-o", "link.safetensors"], "m.safetensors"),
        (["-o", "curves.safetensors"], "photos/0.png"),
        (["-o", "recipe.safetensors"], "recipe.toml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_read_is_never_replaced(here, vaetool, tiny_dae, arguments, kept):
    shutil.copy(tiny_dae, "m.safetensors")
    (here / "link.safetensors").symlink_to("m.safetensors")
    os.link("photos/0.png", "curves.training.png")
    os.link("recipe.toml", "recipe.training.csv")
    before = (here / kept).read_bytes()
    result = vaetool("train", "--config", "recipe.toml", "photos", *arguments, "--force")
    assert result.exit_code == 2
    assert "is an input: results never replace inputs" in result.stderr
    assert (here / kept).read_bytes() == before


def test_a_recipe_may_begin_with_a_byte_order_mark(here, vaetool):
    (here / "recipe.toml").write_bytes(b"\xef\xbb\xbf" + (here / "recipe.toml").read_bytes())
    assert vaetool("train", "--config", "recipe.toml", "photos", "-o", "m.safetensors").exit_code == 0
