"""`vaetool train mmvae`, `translate`, `sample` and `score` of pairs, as a user meets them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vaetool as package


@pytest.fixture
def here(tmp_path, monkeypatch, pairs, tiny_mmvaes) -> Path:
    """The current folder: the pairs, and the models `pair.safetensors` and `labelled.safetensors`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(pairs, tmp_path, dirs_exist_ok=True)
    for path in tiny_mmvaes.glob("*.safetensors"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.fixture
def few(here) -> Path:
    """The same with twenty pairs."""
    for path in [*Path("photos").iterdir(), *Path("masks").iterdir()]:
        if int(path.stem) >= 20:
            path.unlink()
    return here


def rows(text: str) -> list[list[str]]:
    return [line.split("\t") for line in text.splitlines()]


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


# translate


def test_a_photo_becomes_its_mask(vaetool, few):
    result = vaetool("translate", "photos/000.png", "-m", "pair.safetensors", "--to", "masks")
    assert (result.exit_code, result.stderr) == (0, "wrote photos/000.masks.png\n")
    found = package.translate("photos/000.png", model="pair.safetensors", to="masks", device="cpu")
    assert np.array_equal(np.asarray(Image.open("photos/000.masks.png")), found.pixels[:, :, 0])


def test_a_folder_goes_into_a_folder_and_a_broken_file_fails_alone(vaetool, few):
    Path("photos/broken.png").write_bytes(b"\x89PNG not really")
    result = vaetool("translate", "photos", "-m", "pair.safetensors", "--to", "masks", "-o", "new", "--json")
    assert result.exit_code == 1
    assert sorted(path.name for path in Path("new").iterdir()) == [f"{number:03}.png" for number in range(20)]
    found = records(result.stdout)
    assert [record["path"] for record in found if "error" in record] == ["photos/broken.png"]
    assert all(0 <= record["uncertainty"] <= 255 for record in found if "error" not in record)


def test_the_uncertainty_is_a_picture_of_its_own(vaetool, few):
    call = ["translate", "photos/000.png", "-m", "pair.safetensors", "--to", "masks", "--uncertainty"]
    assert vaetool(*call).exit_code == 0
    spread = package.translate("photos/000.png", model="pair.safetensors", to="masks", device="cpu").spread
    picture = np.asarray(Image.open("photos/000.uncertainty.png"))
    assert np.abs(picture / 255 - np.minimum(2 * spread, 1)).max() < 0.003


def test_a_label_is_printed_with_its_probability(vaetool, few):
    result = vaetool("translate", "photos", "-m", "labelled.safetensors")
    assert result.exit_code == 0
    found = rows(result.stdout)
    assert [file for *_, file in found] == [f"photos/{number:03}.png" for number in range(20)]
    assert {label for label, *_ in found} == {"disc", "square"}
    assert all(0.5 <= float(probability) <= 1 for _, probability, _ in found)
    (record,) = records(vaetool("translate", "photos/000.png", "-m", "labelled.safetensors", "--json").stdout)
    assert record["label"] == found[0][0]
    assert record["probabilities"][record["label"]] == pytest.approx(record["probability"], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", "masks"], "which model?"),
        (["-m", "pair.safetensors"], "which modality? give --to photos or masks"),
        (["-m", "pair.safetensors", "--to", "depth"], "depth is not possible: give --to photos or masks"),
        (["-m", "pair.safetensors", "--to", "masks", "--from", "masks"], "masks is not possible: give --to photos"),
        (["-m", "labelled.safetensors", "--to", "photos"], "photos is not possible: give --to label"),
        (["-m", "labelled.safetensors", "-o", "x.png"], "labels are printed: leave out -o"),
        (["-m", "labelled.safetensors", "--engine", "ray"], "labels are found in one process: leave out --engine"),
    ],
)
def test_what_cannot_be_translated_is_refused(vaetool, few, arguments, message):
    result = vaetool("translate", "photos/000.png", *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_other_kinds_do_not_translate(vaetool, few, tiny_dae):
    result = vaetool("translate", "photos/000.png", "-m", tiny_dae, "--to", "masks")
    assert result.exit_code == 2
    assert "this is a dae; an mmvae is needed" in result.stderr


# sample


def test_samples_of_pairs_are_side_by_side_or_in_a_folder_for_each_modality(vaetool, here):
    assert vaetool("sample", "-m", "pair.safetensors", "-n", 4, "-o", "sheet.png").exit_code == 0
    with Image.open("sheet.png") as sheet:
        assert sheet.size == (2 * 34 - 2, 2 * 18 - 2)
    assert vaetool("sample", "-m", "pair.safetensors", "-n", 2, "-o", "new/").exit_code == 0
    found = sorted(str(path) for path in Path("new").rglob("*.png"))
    assert found == [f"new/{kind}/sample-000{number}.png" for kind in ("masks", "photos") for number in (1, 2)]
    assert [np.asarray(Image.open(path)).ndim for path in found] == [2, 2, 3, 3]


def test_labels_of_samples_are_a_table_that_score_takes(vaetool, here):
    assert vaetool("sample", "-m", "labelled.safetensors", "-n", 12, "-o", "new").exit_code == 0
    table = Path("new/labels.csv")
    assert table.read_text().startswith("path,label\nphotos/sample-0001.png,")
    result = vaetool("score", "-m", "labelled.safetensors", "new/photos", "--labels", table)
    assert (result.exit_code, len(rows(result.stdout))) == (0, 12)
    assert vaetool("sample", "-m", "labelled.safetensors", "-n", 12, "-o", "new").exit_code == 2  # it exists


# score


def test_pairs_that_do_not_belong_together_come_first(vaetool, few):
    first, last = Image.open("masks/000.png").copy(), Image.open("masks/001.png").copy()
    first.save("masks/001.png")
    last.save("masks/000.png")
    result = vaetool("score", "-m", "pair.safetensors", "photos", "masks", "--sort")
    assert result.exit_code == 0
    assert "calibrated with" in result.stderr
    found = rows(result.stdout)
    assert {path for *_, path in found[:2]} == {"photos/000.png", "photos/001.png"}
    assert {verdict for _, _, verdict, _ in found[:2]} == {"outlier"}


def test_a_wrong_label_is_an_outlier_and_the_exit_code_says_so(vaetool, few):
    lines = Path("labels.csv").read_text().splitlines()[:21]
    name, label = lines[5].split(",")
    Path("wrong.csv").write_text(
        "\n".join([*lines[:5], f"{name},{'disc' if label == 'square' else 'square'}", *lines[6:]])
    )
    call = ["score", "-m", "labelled.safetensors", "photos", "--labels", "wrong.csv", "--fail-on-outlier", "--json"]
    result = vaetool(*call)
    found = records(result.stdout)
    assert result.exit_code == 3
    assert max(found, key=lambda record: record["score"])["path"] == f"photos/{name}"
    assert all(record["by"] == "pmi" and record["components"].keys() == {"pmi"} for record in found)


def test_folders_that_pictures_lie_in_are_their_labels(vaetool, few):
    labels = dict(line.split(",") for line in Path("labels.csv").read_text().split()[1:21])
    for name, label in labels.items():
        Path("sorted", label).mkdir(parents=True, exist_ok=True)
        shutil.copy(Path("photos", name), Path("sorted", label))
    by_folder = vaetool("score", "-m", "labelled.safetensors", "sorted", "-r", "--json")
    by_table = vaetool("score", "-m", "labelled.safetensors", "photos", "--labels", "labels.csv", "--json")
    for name, label in labels.items():
        Path("links", label).mkdir(parents=True, exist_ok=True)
        Path("links", label, name).symlink_to(Path("photos", name).absolute())
    by_folder_of_links = vaetool("score", "-m", "labelled.safetensors", "links", "-r", "--json")
    scores = [
        {Path(record["path"]).name: record["score"] for record in records(each.stdout)}
        for each in (by_folder, by_table, by_folder_of_links)
    ]
    assert scores[0] == scores[1] == scores[2]


def test_a_picture_without_a_partner_or_label_fails_alone(vaetool, few):
    Path("masks/003.png").unlink()
    shutil.copy("masks/004.png", "masks/extra.png")
    result = vaetool("score", "-m", "pair.safetensors", "photos", "masks")
    assert (result.exit_code, len(rows(result.stdout))) == (1, 19)
    assert "photos/003.png: has no partner in masks" in result.stderr
    assert "masks/extra.png has no partner in photos" in result.stderr
    Path("few.csv").write_text("path,label\n000.png,disc\n001.png,star\n")
    result = vaetool("score", "-m", "labelled.safetensors", "photos", "--labels", "few.csv")
    assert (result.exit_code, len(rows(result.stdout))) == (1, 1)
    assert "its label star is not one that the model knows: disc, square" in result.stderr
    assert "photos/002.png: has no label in few.csv" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["photos"], "this model relates photos, masks: name a folder or a file of each, in this order"),
        (["photos", "masks", "--labels", "labels.csv"], "this model has no labels"),
        (["photos", "masks", "--by", "elbo"], "no method 'elbo' for this mmvae; there are: pmi"),
        (["photos", "masks", "--heatmap", "maps"], "scores whole pictures"),
        (["photos", "masks", "--engine", "ray"], "pairs are scored in one process: leave out --engine"),
        (["--normal", "photos", "--outlier", "masks"], "name pairs, or pictures with --labels"),
    ],
)
def test_what_cannot_be_scored_is_refused(vaetool, few, arguments, message):
    result = vaetool("score", "-m", "pair.safetensors", *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.stderr


def test_the_page_shows_pairs(vaetool, few):
    call = ["score", "-m", "pair.safetensors", "photos/000.png", "masks/000.png", "--report", "page.html"]
    assert vaetool(*call).exit_code == 0
    assert "photos/000.png" in Path("page.html").read_text()


# train


def test_a_model_that_tells_nothing_says_so_then_and_in_every_command_after(vaetool, here, monkeypatch):
    monkeypatch.setattr("vaetool.latents.mmvae.MMVAE.fit_ratio", lambda self, x: 0.52)
    small = ["--size", 16, "--set", "model.widths=[4,4]", "--set", "training.steps=2"]
    words = "AUROC of 0.520, hardly better than chance"
    for call in (
        ["train", "mmvae", "photos", "masks", "-o", "m.safetensors", *small],
        ["translate", "photos/000.png", "-m", "m.safetensors", "--to", "masks", "-o", "mask.png"],
        ["score", "-m", "m.safetensors", "photos", "masks"],
        ["sample", "-m", "m.safetensors", "-n", 4, "-o", "new.png"],
    ):
        result = vaetool(*call)
        assert (result.exit_code, words in result.stderr) == (0, True), result.stderr


def test_labels_are_for_one_kind_only(vaetool, few):
    result = vaetool("train", "vae", "photos", "--labels", "labels.csv", "-o", "m.safetensors")
    assert result.exit_code == 2
    assert "a vae does not learn from --labels: an mmvae does" in result.stderr
