"""The contract of the command line, as a user meets it: help, usage errors, plans, streams, exit codes.

What needs a model uses the small one of the `tiny_dae` fixture, or, for the examples of the help pages, the default.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from pathlib import Path

import pytest
import torch
import typer
from PIL import Image

from vaetool import images
from vaetool.cli import app, main
from vaetool.errors import UsageError
from vaetool.images.jpeg import finer

COMMANDS = {command.callback.__name__: command.callback for command in app.registered_commands}
SUBCOMMANDS = typer.main.get_command(app).commands


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def examples(command) -> list[str]:
    """The command lines of a help page: lines that begin with `vaetool`, up to the gap before the explanation."""
    lines = inspect.cleandoc(command.__doc__ or "").splitlines()
    return [line.partition("   ")[0].strip() for line in lines if line.startswith("vaetool ")]


@pytest.fixture
def here(photos, tmp_path, monkeypatch):
    """The current folder, with china.jpg, flower.png and grey.png in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Help


@pytest.mark.parametrize("name", [None, *SUBCOMMANDS])
def test_help_shows_examples_first(vaetool, name):
    result = vaetool(*filter(None, [name]), "--help")
    text = result.stdout
    assert result.exit_code == 0
    assert 0 < text.index("vaetool ", text.index("Usage:") + 30) < text.index("Options")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_examples_and_every_option_help(name):
    assert len(examples(COMMANDS[name])) >= 2
    without = [option.name for option in SUBCOMMANDS[name].params if not getattr(option, "help", None)]
    assert without == []


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_no_flag_means_two_things(name):
    flags = [flag for option in SUBCOMMANDS[name].params for flag in option.opts if flag.startswith("-")]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], *([["models"]] if "models" in SUBCOMMANDS else []), *([n, "--help"] for n in COMMANDS)],
    ids=" ".join,
)
def test_help_and_version_start_without_the_heavy_imports(python, arguments):
    code = (
        "import sys; from vaetool.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'torchvision', 'numpy', 'sklearn', 'PIL', 'matplotlib'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    process = python("-c", code, *arguments)
    _, words = process.communicate(timeout=60)
    assert (process.returncode, words.decode()) == (0, "")


def test_files_and_words_need_no_torch(python):
    modules = "vaetool.files.batch, vaetool.files.console, vaetool.errors, vaetool.images"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    process = python("-c", code)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_no_arguments_show_the_help_and_are_a_usage_error(vaetool):
    result = vaetool()
    assert result.exit_code == 2
    assert "Usage: vaetool" in result.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_help_into_a_pipe_that_closes_is_not_an_error(python):
    with python("-m", "vaetool", "denoise", "--help") as process:
        process.stdout.close()
        words = process.stderr.read()
    assert (process.returncode, words) == (0, b"")


def test_completion_is_on(vaetool_process):
    shell = {"_VAETOOL_COMPLETE": "complete_bash", "COMP_WORDS": "vaetool den", "COMP_CWORD": "1"}
    assert "denoise" in vaetool_process(env=shell).stdout


# Usage errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["denois"], "Did you mean 'denoise'"),
        (["denoise", "x.png", "--sigm", "3"], "--sigma"),
        (["denoise"], "nothing to read"),
        (["denoise", "x.png", "--sigma", "nan"], "expected auto or a number from 0 to 255, not 'nan'"),
        (["denoise", "x.png", "--sigma", "256"], "from 0 to 255"),
        (["denoise", "x.png", "--strength", "2.1"], "from 0 to 2"),
        (["denoise", "x.png", "--tile", "1"], "auto or a whole number from 64"),
        (["denoise", "x.png", "--quality", "0"], "a whole number from 1 to 100"),
        (["denoise", "x.png", "-j", "0"], "a whole number from 1 to 256"),
        (["denoise", "x.png", "--shard", "4/4"], "from 0 to n - 1"),
        (["denoise", "x.png", "-0"], "--files-from"),
        (["denoise", "x.png", "--force", "--skip-existing"], "exclude each other"),
        (["denoise", "-", "--json"], "--json"),
        (["denoise", "-", "x.png"], "only input"),
        (["denoise", "--files-from", "no list"], "no list: cannot read the list of files: No such file"),
        (["denoise", "china.jpg", "flower.png", "-o", "-"], "one file"),
        (["denoise", "china.jpg", "-o", "china.jpg"], "china.jpg is an input"),
        (["denoise", "china.jpg", "-o", "china.xyz"], "'.xyz'; choose .png"),
        (["denoise", "china.jpg", "flower.png", "-o", "one.png"], "one.png is a name for a file"),
        (["denoise", "china.jpg", "-o", "out/", "--flat", "--format", "xyz"], "no image format is called 'xyz'"),
        (["denoise", "china.jpg", "-o", "a.png", "--format", "jpg"], "a.png is not a jpg file"),
        (["denoise", "china.jpg", "--flat"], "--flat describes a folder"),
        (["denoise", "china.jpg", "--suffix", "a/b"], "part of a file name"),
        (["denoise", "china.jpg", "--suffix", "x", "-o", "a.png"], "leave it out"),
        (["denoise", "china.jpg", "--suffix", "", "--force"], "china.jpg is an input"),
        (["inpaint", "china.jpg", "--color", "--box", "1,2,3,4"], "--color needs a value, and --box is another option"),
        (
            ["latent", "fashion", ".", "-o", "space.png"],
            "space.png is a name for a file: codes and plots need a folder",
        ),
        (["demo", "show.png"], "show.png is a name for a file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exit_code_two(here, vaetool, arguments, message):
    result = vaetool(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert names(here) == ["china.jpg", "flower.png", "grey.png"]


def test_a_file_that_looks_like_an_option_is_told_how_to_be_named(here, vaetool):
    (here / "china.jpg").rename(here / "-china.jpg")
    result = vaetool("denoise", "-china.jpg")
    assert result.exit_code == 2
    assert result.stderr.endswith("; the file -china.jpg is named ./-china.jpg\n")
    assert vaetool("denoise", "./-china.jpg", "-o", "clean.jpg").exit_code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
def test_image_data_is_not_sent_to_a_terminal(python, photos):
    import pty

    ours, theirs = pty.openpty()
    try:
        with python("-m", "vaetool", "denoise", "-", stdout=theirs) as process:
            _, words = process.communicate(photos[0].read_bytes(), timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == 2
    assert b"refusing to write binary data to a terminal" in words


# Plans


def test_a_dry_run_shows_the_plan_and_does_nothing(here, vaetool):
    result = vaetool("denoise", ".", "--dry-run")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "china.jpg -> china.denoised.jpg",
        "flower.png -> flower.denoised.png",
        "grey.png -> grey.denoised.png",
    ]
    assert len(names(here)) == 3


def test_a_dry_run_in_json(here, vaetool):
    result = vaetool("denoise", "china.jpg", "-o", "out/", "--dry-run", "--json")
    assert json.loads(result.stdout) == {
        "path": "china.jpg",
        "output": str(Path("out/china.jpg")),
        "skipped": False,
        "dry_run": True,
    }


def test_a_list_on_standard_input(here, vaetool):
    result = vaetool("denoise", "--files-from", "-", "-0", "--dry-run", "-o", "out", stdin=b"grey.png\0china.jpg\0")
    assert result.stdout.splitlines() == ["grey.png -> out/grey.png", "china.jpg -> out/china.jpg"]


def test_an_empty_list_is_nothing_to_do(vaetool):
    result = vaetool("denoise", "--files-from", "-")
    assert (result.exit_code, result.stderr) == (0, "no files: nothing to do\n")


@pytest.mark.parametrize("command", ["denoise", "compress", "info"])
def test_a_folder_that_delivered_nothing_is_a_failure_also_when_quiet(here, vaetool, command):
    Image.new("L", (8, 8)).save("plain.png")
    (here / "second camera").mkdir()
    result = vaetool(command, "second camera", "plain.png", "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("second camera: no ")
    assert " in it" in result.stderr
    assert result.stderr.count("\n") == 1
    assert (here / f"plain{'.vae' if command == 'compress' else '.png'}").exists()


def test_a_slurm_array_spreads_a_folder_but_not_a_single_file(here, vaetool):
    task = {
        f"SLURM_ARRAY_TASK_{name}": value for name, value in {"ID": "2", "MIN": "1", "MAX": "2", "COUNT": "2"}.items()
    }
    result = vaetool("denoise", ".", "--dry-run", env=task)
    assert result.stdout == "flower.png -> flower.denoised.png\n"
    assert "shard 1/2 of 3 files" in result.stderr
    (here / "list").write_text("china.jpg\nflower.png\n")
    assert (
        vaetool("denoise", "--files-from", "list", "--dry-run", "-o", "x", env=task).stdout
        == "flower.png -> x/flower.png\n"
    )
    assert len(vaetool("denoise", "china.jpg", "grey.png", "--dry-run", env=task).stdout.splitlines()) == 2
    piped = vaetool("denoise", "--files-from", "-", "--dry-run", "-o", "x", env=task, stdin=b"china.jpg\ngrey.png\n")
    assert len(piped.stdout.splitlines()) == 2
    mixed = vaetool("denoise", "--files-from", "list", "grey.png", "--dry-run", "-o", "x", env=task)
    assert mixed.stdout.splitlines() == ["grey.png -> x/grey.png", "flower.png -> x/flower.png"]
    assert "shard 1/2 of 2 files, from SLURM_ARRAY_TASK_ID; all 1 that are named one by one" in mixed.stderr
    assert vaetool("denoise", "china.jpg", "--dry-run", env=task).stdout == "china.jpg -> china.denoised.jpg\n"
    assert len(vaetool("denoise", ".", "--dry-run", "--shard", "0/1", env=task).stdout.splitlines()) == 3


def test_missing_files_are_errors_of_their_own_also_in_json(here, vaetool):
    result = vaetool("denoise", "gone.png", "lost.png", "--json")
    assert result.exit_code == 1
    assert [json.loads(line) for line in result.stdout.splitlines()] == [
        {"path": name, "error": "no such file or folder"} for name in ("gone.png", "lost.png")
    ]
    assert result.stderr.splitlines() == [
        "gone.png: no such file or folder",
        "lost.png: no such file or folder",
        "0 done, 2 failed",
    ]


def test_a_finished_folder_is_resumed_without_work(here, vaetool):
    for name in ("china.denoised.jpg", "flower.denoised.png", "grey.denoised.png"):
        (here / name).write_bytes(b"done before")
    result = vaetool("denoise", ".", "--skip-existing")
    assert (result.exit_code, result.stderr) == (0, "0 done, 3 skipped\n")


# Shared options


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_q_is_quality_wherever_there_is_one_and_never_quiet(name):
    flags = {flag: option.name for option in SUBCOMMANDS[name].params for flag in option.opts}
    assert flags.get("-q") == ("quality" if "--quality" in flags else None)
    assert flags["--quiet"] == "quiet"


@pytest.mark.parametrize("name", [None, *SUBCOMMANDS])
def test_help_names_no_types_of_the_program(vaetool, name):
    page = vaetool(*filter(None, [name]), "--help").stdout
    assert not re.search(r"<(bool|int|float|str|list|[a-z]+ range)\b", page), page


# With a model


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on addresses that is kept")
def test_little_address_space_is_no_reason_to_hang(here, python, tiny_dae):
    larger = torch.__version__.startswith("2.10.")  # by libraries of CUDA
    addresses = 5_200_000_000 if larger else 3_400_000_000
    code = "import os, resource, sys; from vaetool.cli import main; "
    code += f"resource.setrlimit(resource.RLIMIT_AS, ({addresses}, resource.RLIM_INFINITY)); "
    code += "[os.environ.pop(name, None) for name in ('OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS')]; "
    code += "sys.exit(main(sys.argv[1:]))"
    with python("-c", code, "denoise", "flower.png", "-m", tiny_dae, "--sigma", "20") as process:
        _, words = process.communicate(timeout=60)
    assert (process.returncode, words.decode()) == (0, "wrote flower.denoised.png\n")


def test_denoise_keeps_name_size_and_format(here, vaetool, tiny_dae):
    result = vaetool("denoise", ".", "-o", "out", "-m", tiny_dae, "--sigma", "20", "-j", "2")
    assert (result.exit_code, result.stderr) == (0, "3 done\n")
    for name in ("china.jpg", "flower.png", "grey.png"):
        before, after = images.read(here / name), images.read(here / "out" / name)
        assert (after.format, after.pixels.shape) == (before.format, before.pixels.shape)


def test_one_broken_file_does_not_stop_the_others(here, vaetool, tiny_dae):
    (here / "broken.png").write_bytes(b"\x89PNG not really")
    result = vaetool("denoise", here, "-o", here / "out", "-m", tiny_dae, "--sigma", "20", "--json")
    assert result.exit_code == 1
    assert "broken.png: not a readable image" in result.stderr
    assert names(here / "out") == ["china.jpg", "flower.png", "grey.png"]
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(line["path"]).name for line in lines if "error" in line] == ["broken.png"]


def test_denoise_works_in_a_pipe_without_a_word(here, vaetool, tiny_dae):
    data = (here / "flower.png").read_bytes()
    result = vaetool("denoise", "-", "-m", tiny_dae, "--sigma", "20", stdin=data)
    assert (result.exit_code, result.stderr) == (0, "")
    assert images.read(result.data).format == "PNG"


def test_the_estimated_sigma_is_told(here, vaetool, tiny_dae):
    result = vaetool("denoise", "flower.png", "-m", tiny_dae, "--json", "-v")
    record = json.loads(result.stdout)
    assert record.keys() >= {"path", "output", "sigma", "seconds"}
    assert 0 <= record["sigma"] < 255
    assert "(sigma " in result.stderr


def test_a_picture_that_does_not_change_is_the_same_file_and_that_is_said(here, vaetool, tiny_dae):
    result = vaetool("denoise", "china.jpg", "-m", tiny_dae, "--sigma", "0", "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("unchanged: nothing to remove at this --sigma")
    assert (here / "china.denoised.jpg").read_bytes() == (here / "china.jpg").read_bytes()
    record = json.loads(result.stdout)
    size = (here / "china.jpg").stat().st_size
    assert (record["changed"], record["in_bytes"], record["out_bytes"]) == (False, size, size)


def test_a_stream_that_does_not_change_is_the_same_bytes(here, vaetool, tiny_dae):
    data = (here / "china.jpg").read_bytes()
    assert vaetool("denoise", "-", "-m", tiny_dae, "--sigma", "0", stdin=data).data == data


@pytest.mark.parametrize("options", [["-o", "x.png"], ["--quality", "80"], ["--strip"]])
def test_what_else_is_asked_for_is_done_to_a_picture_that_does_not_change(here, vaetool, tiny_dae, options):
    assert vaetool("denoise", "china.jpg", "-m", tiny_dae, "--sigma", "0", *options).exit_code == 0
    (written,) = [here / name for name in names(here) if name in ("x.png", "china.denoised.jpg")]
    assert written.read_bytes() != (here / "china.jpg").read_bytes()
    assert images.read(written).pixels.shape == images.read(here / "china.jpg").pixels.shape


def test_a_jpeg_that_changes_is_compressed_more_finely(here, vaetool, tiny_dae):
    Image.fromarray(images.read(here / "china.jpg").pixels).save(here / "small.jpg", quality=40, subsampling=2)
    result = vaetool("denoise", "small.jpg", "-m", tiny_dae, "--sigma", "20", "--json")
    assert json.loads(result.stdout)["changed"] is True
    assert images.read(here / "small.denoised.jpg").jpeg == finer(images.read(here / "small.jpg").jpeg)


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp", "avif"])
def test_what_goes_with_the_pixels_is_kept(here, vaetool, tiny_dae, photographs, suffix):
    exif = Image.Exif()
    exif[0x010E] = "a temple"
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="1" xmp:Rating="5"/></x:xmpmeta>'
    profile = photographs["china"].info["icc_profile"]
    photographs["china"].save("all.jpg", exif=exif, xmp=xmp, dpi=(300, 150), icc_profile=profile)
    result = vaetool("denoise", "all.jpg", "-m", tiny_dae, "--sigma", "20", "-o", f"after.{suffix}")
    assert (result.exit_code, result.stderr) == (0, f"wrote after.{suffix}\n")
    after = images.read(f"after.{suffix}")
    assert (after.xmp, after.icc_profile) == (xmp, profile)
    with Image.open(f"after.{suffix}") as written:
        assert written.getexif()[0x010E] == "a temple"
    assert after.dpi is None if suffix in {"webp", "avif"} else after.dpi == pytest.approx((300, 150), abs=0.1)


def test_an_unknown_model_is_a_usage_error(here, vaetool):
    result = vaetool("denoise", "china.jpg", "-m", "photo-denoise-gausian")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_model_of_another_kind_is_named_with_those_that_fit(here, vaetool):
    result = vaetool("denoise", "china.jpg", "-m", "photo-codec")
    assert result.exit_code == 2
    assert "this is a codec; a dae is needed, such as photo-denoise or photo-denoise-gaussian" in result.stderr


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--format", "webp"], "china.denoised.webp"),
        (["--suffix", "clean"], "china.clean.jpg"),
        (["--suffix", "_clean", "--format", "png"], "china_clean.png"),
        (["--suffix", "-x", "-o", "out"], "out/china-x.jpg"),
    ],
)
def test_format_and_suffix_of_results(here, vaetool, tiny_dae, options, name):
    (here / "out").mkdir()
    result = vaetool("denoise", "china.jpg", "-m", tiny_dae, "--sigma", "20", *options)
    assert (result.exit_code, result.stderr) == (0, f"wrote {name}\n")
    assert images.read(name).format == images.format_for(name)


def test_the_format_of_a_stream(here, vaetool, tiny_dae):
    data = (here / "china.jpg").read_bytes()
    for sigma in ("0", "20"):
        result = vaetool("denoise", "-", "-m", tiny_dae, "--sigma", sigma, "--format", "png", stdin=data)
        assert images.read(result.data).format == "PNG"


def test_results_with_a_suffix_are_not_taken_from_a_folder_again(here, vaetool, tiny_dae):
    for _ in range(2):
        result = vaetool("denoise", ".", "-m", tiny_dae, "--sigma", "20", "--suffix", "_clean", "--force")
        assert result.stderr == "3 done\n"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("arguments", [["denoise", "PLACE/a.png"], ["denoise", "a.png", "-o", "PLACE/x/y.png"]])
def test_what_may_not_be_entered_is_named(here, python, arguments):
    locked = here / "locked"
    locked.mkdir()
    locked.chmod(0o700)
    # Once before, as root: what is imported late may lie where only root may read.
    code = "import logging, os, sys; from vaetool.cli import main; main([*sys.argv[1:], '--dry-run']); "
    code += "main(['nonsense']); os.setuid(65534); sys.exit(main(sys.argv[1:]))"
    words = [word.replace("PLACE", str(locked)) for word in arguments]
    process = python("-c", code, *words)
    _, told = process.communicate(timeout=60)
    assert process.returncode in {1, 2}
    assert str(locked) in told.decode()
    assert "Permission denied" in told.decode()


def test_a_device_that_is_not_there_is_a_usage_error(here, vaetool, tiny_dae):
    result = vaetool("denoise", "china.jpg", "-m", tiny_dae, "--device", "cuda:99")
    assert result.exit_code == 2
    assert not (here / "china.denoised.jpg").exists()


def test_main_takes_arguments_and_returns_the_exit_code(capfd):
    assert main(["--version"]) == 0
    assert capfd.readouterr().out.startswith("vaetool ")
    assert UsageError.exit_code == main(["--nonsense"])


def test_a_tab_separated_cell_says_which_backslashes_were_in_a_name(capfdbinary):
    from vaetool.cli.facts import Lines
    from vaetool.files.console import Console

    Lines(Console(), {"name": "", "verdict": ""}).add("a\\tb\tc.png", "normal")
    assert capfdbinary.readouterr().out == b"a\\\\tb\\tc.png\tnormal\n"
