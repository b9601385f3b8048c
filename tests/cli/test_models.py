"""`vaetool models` and `vaetool info`: what is there, what is known of it, is it intact. All of it without torch."""

from __future__ import annotations

import inspect
import json
import shlex
import shutil
from pathlib import Path

import pytest

from vaetool import load
from vaetool.cli.info import info
from vaetool.cli.models import models
from vaetool.compression.encode import compress
from vaetool.store import catalogue


@pytest.fixture
def here(tmp_path, tiny_dae, tiny_codec, photographs, monkeypatch) -> Path:
    """The current folder: a model file part.safetensors, a folder models/, searched for names, with two models, and a
    picture, photo.jpg and compressed photo.vae."""
    folder = tmp_path / "models"
    folder.mkdir()
    for place in ("models/tiny.safetensors", "models/photo-denoise-gaussian.safetensors", "part.safetensors"):
        shutil.copy(tiny_dae, tmp_path / place)
    (tmp_path / "photo.vae").write_bytes(compress(photographs["china"], load(tiny_codec)))
    photographs["china"].save(tmp_path / "photo.jpg", dpi=(300, 300))
    monkeypatch.setenv("VAETOOL_MODELS", str(folder))
    monkeypatch.setattr(catalogue, "user_folder", lambda: tmp_path / "nothing")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def bundled(tmp_path, tiny_dae, monkeypatch) -> Path:
    """A folder in place of that of the bundled models, with one, `small`, that is complete."""
    folder = tmp_path / "bundled"
    folder.mkdir()
    path = Path(shutil.copy(tiny_dae, folder / "small.safetensors"))
    (folder / "small.toml").touch()
    (folder / "small.md").write_text("# Small\n\nFor tests.\n")
    entry = {
        "file": path.name,
        "kind": "dae",
        "sha256": catalogue.sha256(path),
        "bytes": path.stat().st_size,
        "licence": "CC0-1.0",
        "summary": "a small one",
        "data": ["photos-a", "photos-b"],
        "figures": {"CBSD68 PSNR, sigma 15": 30.5},
    }
    (folder / "manifest.json").write_text(json.dumps({"small": entry}))
    monkeypatch.setattr(catalogue, "bundled_folder", lambda: folder)
    return folder


def examples(command) -> list[str]:
    lines = inspect.cleandoc(command.__doc__ or "").splitlines()
    return [line.partition("   ")[0].partition("  ")[0] for line in lines if line.startswith("vaetool ")]


@pytest.mark.parametrize("line", [*examples(models), *examples(info)])
def test_the_examples_of_the_help_pages_run(here, bundled, vaetool, line):
    result = vaetool(*shlex.split(line)[1:])
    assert (result.exit_code, bool(result.stdout or result.stderr)) == (0, True)


@pytest.mark.parametrize(
    "arguments",
    [["models"], ["models", "show", "tiny"], ["models", "verify"], ["info", "part.safetensors"]],
    ids=" ".join,
)
def test_nothing_heavy_is_imported(here, python, arguments):
    code = (
        "import sys; from vaetool.cli import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'numpy', 'sklearn', 'safetensors', 'PIL'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    process = python("-c", code, *arguments)
    _, words = process.communicate(timeout=60)
    assert process.returncode == 0, words.decode()


# The list


def test_the_list_tells_what_there_is_and_where(here, bundled, vaetool):
    result = vaetool("models")
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    rows = [[cell.strip() for cell in line if cell] for line in lines]
    assert rows[0] == ["name", "kind", "size", "where", "licence", "summary"]
    assert [row[0] for row in rows[1:]] == ["photo-denoise-gaussian", "tiny", "small"]
    assert rows[-1] == ["small", "dae", "64.7 kB", "bundled", "CC0-1.0", "a small one"]
    assert rows[-2][3:] == ["$VAETOOL_MODELS", "-", "-"]
    assert (result.exit_code, result.stderr) == (0, "")


def test_the_list_in_json_is_one_object_per_model(here, bundled, vaetool):
    records = [json.loads(line) for line in vaetool("models", "--json").stdout.splitlines()]
    assert [record["name"] for record in records] == ["photo-denoise-gaussian", "tiny", "small"]
    assert records[-1]["bytes"] == (bundled / "small.safetensors").stat().st_size
    assert records[-1].keys() >= {"kind", "where", "path", "licence", "summary", "figures"}


def test_a_damaged_file_does_not_hide_the_others(here, bundled, vaetool):
    path = here / "models" / "broken.safetensors"
    path.write_bytes(b"not really")
    result = vaetool("models", "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{path}: not a safetensors file")
    assert sum("name" in record for record in records) == 3
    assert [record["path"] for record in records if "error" in record] == [str(path)]


def test_no_models_at_all_is_an_empty_table(tmp_path, bundled, vaetool, monkeypatch):
    monkeypatch.setattr(catalogue, "user_folder", lambda: tmp_path / "nothing")
    shutil.rmtree(bundled)
    result = vaetool("models")
    assert (result.exit_code, len(result.stdout.splitlines()), result.stderr) == (0, 1, "")
    assert vaetool("models", "--json").stdout == ""


# One model


def test_show_tells_all_and_ends_with_the_model_card(here, bundled, vaetool):
    result = vaetool("models", "show", "small")
    text = result.stdout
    assert result.exit_code == 0
    for fact in ("small", "bundled", "dae", "widths", "estimator", "unet", "photos-a, photos-b", "CC0-1.0", "30.5"):
        assert fact in text
    assert text.endswith("\n\n# Small\n\nFor tests.\n")


def test_show_counts_the_weights_of_each_part(here, vaetool, tiny_dae):
    [record] = [json.loads(line) for line in vaetool("models", "show", "tiny", "--json").stdout.splitlines()]
    counts = record["parameters"]
    assert counts["all"] == counts["estimator"] + counts["unet"] > 1000
    assert record["config"]["channels"] == 3


def test_show_takes_a_path_and_several_names(here, vaetool):
    result = vaetool("models", "show", "part.safetensors", "tiny")
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines() if line.startswith("name")] == [
        ["name", "part"],
        ["name", "tiny"],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show"], "show which model?"),
        (["show", "tinny"], "no model 'tinny': did you mean tiny?"),
        (["show", "gone.safetensors"], "no model file 'gone.safetensors'"),
        (["list", "tiny"], "the list takes no names"),
        (["shwo"], "'shwo' is not one of"),
        (["verify", "smal"], "no bundled model 'smal': did you mean small?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_request_is_one_line_and_exit_code_two(here, bundled, vaetool, arguments, message):
    result = vaetool("models", *arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert message in result.stderr


# Are they intact?


def test_intact_models_are_verified_with_exit_code_zero(bundled, vaetool):
    result = vaetool("models", "verify")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "3 files intact, 0 not\n")


def test_each_problem_is_one_line_and_the_exit_code_is_one(bundled, vaetool):
    (bundled / "small.md").unlink()
    (bundled / "more.safetensors").touch()
    result = vaetool("models", "verify", "--json")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        f"{bundled / 'small.md'}: missing",
        f"{bundled / 'more.safetensors'}: not listed in manifest.json",
        "2 files intact, 2 not",
    ]
    assert [(row["verdict"], row.get("error")) for row in map(json.loads, result.stdout.splitlines())] == [
        ("intact", None),
        ("intact", None),
        ("not intact", "missing"),
        ("not intact", "not listed in manifest.json"),
    ]
    assert vaetool("models", "verify", "small", "--quiet").stderr == f"{bundled / 'small.md'}: missing\n"


# Files


def test_info_tells_what_is_in_each_file_and_goes_on_after_a_bad_one(here, vaetool):
    Path("notes.txt").write_text("Dear diary")
    result = vaetool("info", "part.safetensors", "notes.txt", "gone", "models", "--json")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [Path(record["path"]).name for record in records if "kind" in record] == [
        "part.safetensors",
        "photo-denoise-gaussian.safetensors",
        "tiny.safetensors",
    ]
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["notes.txt", "gone"]


def test_info_finds_a_model_file_in_a_folder_by_its_content(here, vaetool):
    Path("mixed").mkdir()
    shutil.copy("part.safetensors", "mixed/model.bin")
    Path("mixed/notes.txt").write_text("Dear diary")
    result = vaetool("info", "mixed")
    assert result.exit_code == 0
    assert result.stdout.count("path") == 1


def test_info_describes_pictures(here, vaetool):
    result = vaetool("info", "photo.jpg", "--json")
    facts = {"kind": "image", "format": "JPEG", "width": 160, "height": 107, "colours": "RGB", "transparency": False}
    facts |= {"bits": 8, "dpi": [300, 300], "bytes": Path("photo.jpg").stat().st_size}
    assert json.loads(result.stdout) == {"path": "photo.jpg", **facts}
    Path("broken.png").write_bytes(b"\x89PNG not really")
    result = vaetool("info", "broken.png", "photo.jpg")
    assert (result.exit_code, "broken.png: not a readable image" in result.stderr) == (1, True)
    assert "width" in result.stdout


def test_info_of_nothing_is_a_usage_error(vaetool):
    assert vaetool("info").exit_code == 2


def test_info_of_an_empty_folder_advises_no_option_that_it_has_not(tmp_path, vaetool):
    result = vaetool("info", tmp_path)
    assert (result.exit_code, result.stderr) == (2, f"error: no pictures or models in {tmp_path}\n")


def test_what_a_file_says_of_itself_cannot_colour_the_terminal(here, vaetool):
    from vaetool.store import weights

    model = weights.load("part.safetensors", device="cpu")
    weights.save("loud.safetensors", model, {"data": ["\x1b[31mred\nnew line"]})
    text = vaetool("info", "loud.safetensors").stdout
    assert "\\x1b[31mred\\nnew line" in text
    assert "\x1b" not in text
