"""`vaetool latent` as a command, and the plots that training leaves beside a model with codes."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from vaetool import load

PLOTS = ["kl.png", "manifold.png", "reconstructions.png", "samples.png", "scatter.png", "traversals.png"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_codes_are_a_table_beside_the_plots(here, vaetool, tiny_vae, digit_folders):
    result = vaetool("latent", digit_folders, "-m", tiny_vae, "-o", "space", "--json")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == "wrote the codes of 72 pictures and 6 more files to space\n"
    assert names(here / "space") == ["codes.csv", *PLOTS]
    record = json.loads(result.stdout)
    assert (record["path"], record["pictures"], sorted(record["files"])) == ("space", 72, ["codes.csv", *PLOTS])
    rows = list(csv.DictReader((here / "space" / "codes.csv").read_text(encoding="utf-8").splitlines()))
    assert list(rows[0]) == ["name", "label", "z0", "z1", "z2", "z3"]
    assert [row["label"] for row in rows] == ["0"] * 24 + ["1"] * 24 + ["2"] * 24
    codes = load(tiny_vae, device="cpu").encode([digit_folders / row["name"] for row in rows])
    np.testing.assert_allclose([[float(row[f"z{k}"]) for k in range(4)] for row in rows], codes, atol=1e-4)


def test_a_page_to_walk_through_the_space_is_written_if_asked_for(here, vaetool, tiny_vae, digit_folders):
    result = vaetool("latent", tiny_vae, digit_folders, "-o", "space", "--html")
    assert (result.exit_code, result.stderr) == (0, "wrote the codes of 72 pictures and 7 more files to space\n")
    assert names(here / "space") == ["codes.csv", *PLOTS, "walk.html"]
    page = (here / "space" / "walk.html").read_text(encoding="utf-8")
    assert [f"<span>z{unit}</span>" in page for unit in range(5)] == [True] * 4 + [False]
    assert "<li>2</li>" in page
    again = vaetool("latent", tiny_vae, digit_folders, "-o", "space", "--html")
    assert (again.exit_code, "exists" in again.stderr) == (2, True)


def test_codes_as_an_array_have_their_names_beside_them(here, vaetool, tiny_vae, digit_folders):
    result = vaetool(
        "latent", tiny_vae, digit_folders / "0", digit_folders / "1", "-o", "s", "--format", "npy", "--tsne"
    )
    assert result.exit_code == 0, result.stderr
    codes = np.load(here / "s" / "codes.npy")
    assert (codes.shape, codes.dtype) == ((48, 4), np.float32)
    lines = (here / "s" / "codes.csv").read_text().splitlines()
    assert (lines[0], len(lines)) == ("name,label", 49)


def test_a_broken_picture_is_named_and_left_out(here, vaetool, tiny_vae, photos):
    (here / "broken.png").write_bytes(b"\x89PNG not really")
    result = vaetool("latent", tiny_vae, ".", "-o", "space")
    assert result.exit_code == 0
    assert "broken.png: not a readable image" in result.stderr
    assert "the codes of 3 pictures" in result.stderr


def test_files_that_exist_are_kept(here, vaetool, tiny_vae, photos):
    (here / "space").mkdir()
    (here / "space" / "kl.png").write_text("mine")
    result = vaetool("latent", tiny_vae, ".", "-o", "space")
    assert result.exit_code == 2
    assert "kl.png exists: --force replaces" in result.stderr
    assert names(here / "space") == ["kl.png"]
    for _ in range(2):
        result = vaetool("latent", tiny_vae, ".", "-o", "space", "--force")
        assert result.stderr == "wrote the codes of 3 pictures and 6 more files to space\n"  # none of the plots


def test_pictures_are_not_replaced_by_plots(here, vaetool, tiny_vae, photos):
    (here / "grey.png").rename("samples.png")
    before = (here / "samples.png").read_bytes()
    result = vaetool("latent", tiny_vae, ".", "-o", ".", "--force")
    assert result.exit_code == 2
    assert "samples.png is an input: results never replace inputs" in result.stderr
    (here / "out").mkdir()
    (here / "out" / "kl.png").symlink_to(here / "flower.png")
    assert "out/kl.png is an input" in vaetool("latent", tiny_vae, ".", "-o", "out", "--force").stderr
    assert (here / "samples.png").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a model, then folders"),
        (["MODEL"], 2, "name a model, then folders"),
        (["MODEL", "."], 2, "Name a folder with -o"),
        (["MODEL", "nowhere", "-o", "s"], 2, "nowhere: no such folder or zip file"),
        (["MODEL", "broken", "-o", "s"], 1, "none of the pictures can be read"),
        (["MODEL", "one", "-o", "s", "--tsne"], 2, "t-SNE needs 10 pictures or more, not 1"),
        (["MODEL", "one", "-o", "one/a.png"], 2, "is not a folder"),
        (["MODEL", "one", "-o", "s", "--format", "mat"], 2, "mat"),
        (["DAE", "one", "-o", "s"], 2, "this is a dae; an ae or a vae is needed"),
        (["fashoin-of-1999", "one", "-o", "s"], 2, "no model 'fashoin-of-1999'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_in_one_line(here, vaetool, tiny_vae, tiny_dae, arguments, code, message):
    (here / "broken").mkdir()
    (here / "broken" / "a.png").write_bytes(b"\x89PNG not really")
    (here / "one").mkdir()
    Image.new("L", (20, 20)).save(here / "one" / "a.png")
    stand_ins = {"MODEL": tiny_vae, "DAE": tiny_dae}
    result = vaetool("latent", *(stand_ins.get(word, word) for word in arguments))
    assert result.exit_code == code
    assert message in result.stderr.splitlines()[-1]
    assert not (here / "s").exists()


def test_training_draws_what_codes_there_are(here, vaetool, digit_folders):
    settings = ["channels=1", "size=16", "latent=3", "widths=[8,16]", "blocks=[0,0]", "decoder_widths=[16,8]"]
    call = ["train", "vae", digit_folders, "-o", "m.safetensors", "--set", "training.steps=4"]
    call += [word for setting in settings for word in ("--set", f"model.{setting}")]
    assert vaetool(*call).exit_code == 0
    assert {"m.safetensors", "m.training.csv", "m.training.png", "m.latent.png"} == set(names(here))
    with Image.open("m.latent.png") as image:
        assert image.size == (1800, 1020)
    (here / "m.safetensors").unlink()
    (here / "m.training.csv").unlink()
    (here / "m.training.png").unlink()
    result = vaetool(*call)
    assert result.exit_code == 2
    assert "m.latent.png exists: --force replaces" in result.stderr
