"""`vaetool morph` as a command."""

from __future__ import annotations

import inspect
import io
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from vaetool.cli.morph import read_span
from vaetool.latents.morph import morph_along


@pytest.fixture
def here(tmp_path, photos, digit_folders, monkeypatch):
    """The current folder, with pictures in it and the folders `zeros` and `ones`."""
    (tmp_path / "zeros").symlink_to(digit_folders / "0")
    (tmp_path / "ones").symlink_to(digit_folders / "1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pixels(path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.fixture
def morph(vaetool, tiny_vae, here):
    return lambda *arguments, **options: vaetool("morph", *arguments, "-m", tiny_vae, **options)


@pytest.fixture
def small(morph):
    """Morphs with frames of the model's own size."""
    return lambda *arguments, **options: morph(*arguments, "--size", 16, **options)


def test_the_result_is_a_gif_beside_the_first_picture(morph, here):
    result = morph("china.jpg", "flower.png")
    assert (result.exit_code, result.stderr) == (0, "wrote china.morph.gif\n")
    with Image.open(here / "china.morph.gif") as image:
        assert (image.format, image.size, image.n_frames) == ("GIF", (256, 256), 24)


def test_the_name_decides_the_format(morph, here):
    chain = ["china.jpg", "flower.png", "grey.png", "--frames", "6"]
    for name in ("a.webp", "a.png", "a.GIF", "frames"):
        assert morph(*chain, "-o", name, "--size", "40").exit_code == 0
    assert pixels("a.png").shape == (40, 6 * 42 - 2)
    assert pixels("a.webp").shape[:2] == pixels("a.GIF").shape[:2] == (40, 40)
    assert sorted(path.name for path in (here / "frames").iterdir()) == [f"frame-000{k}.png" for k in range(1, 7)]


def test_a_picture_may_come_twice_and_a_folder_gives_all_of_its(morph, small):
    assert small("grey.png", "china.jpg", "grey.png", "--frames", "3", "-o", "a.png").exit_code == 0
    strip = pixels("a.png")
    assert (strip[:, :16] == strip[:, -16:]).all()
    assert morph("zeros", "--frames", "24", "-o", "b.png").exit_code == 0
    assert "24 pictures need as many frames" in morph("zeros", "--frames", "23", "-o", "c.png").stderr


def test_a_gif_in_a_pipe(morph, here):
    result = morph("-", "china.jpg", "-o", "-", stdin=(here / "flower.png").read_bytes())
    assert (result.exit_code, result.stderr) == (0, "")
    assert Image.open(io.BytesIO(result.data)).format == "GIF"


def test_a_named_direction_tells_its_auc(morph):
    result = morph("zeros/00.png", "--direction", "1", "-o", "a.gif", "--json")
    record = json.loads(result.stdout)
    assert record.keys() == {"path", "frames", "direction", "auc", "out_bytes"}
    assert 0.6 <= record["auc"] <= 1
    assert f"direction 1: tells held-out pictures apart with an AUC of {record['auc']:.3f}" in result.stderr


def test_two_folders_make_a_direction(small):
    call = ["zeros/00.png", "--direction", "ones", "--against", "zeros", "--frames", "3"]
    assert small(*call, "--alpha", "0:1", "-o", "a.png").exit_code == 0
    assert small("zeros/00.png", "zeros/00.png", "--frames", "2", "-o", "b.png").exit_code == 0
    changed, same = pixels("a.png"), pixels("b.png")
    assert np.abs(changed[:, :16].astype(int) - same[:, :16]).max() <= 1
    assert np.abs(changed[:, -16:].astype(int) - same[:, -16:]).max() > 20


def test_an_earlier_result_is_kept(morph, here):
    assert morph("china.jpg", "flower.png", "-o", "out/").exit_code == 0
    (here / "a.gif").write_bytes(b"mine")
    for name, message in (("a.gif", "a.gif exists: --force"), ("out", "out: holds frames already; --force")):
        result = morph("china.jpg", "flower.png", "-o", name)
        assert result.exit_code == 2
        assert message in result.stderr
        assert morph("china.jpg", "flower.png", "-o", name, "--frames", "2", "--force").exit_code == 0
    assert len(list((here / "out").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["flower.png", "china.jpg", "-o", "flower.png"], "flower.png"),
        (["flower.png", "china.jpg", "-o", "./flower.png"], "flower.png"),
        (["flower.png", "china.jpg", "-o", "link.png"], "flower.png"),
        (["flower.png", "china.jpg", "-o", "hard.gif"], "flower.png"),
        (["frames/frame-0009.png", "china.jpg", "-o", "frames"], "frames/frame-0009.png"),
        (["china.jpg", "--direction", "own", "--against", "ones", "-o", "own/00.png"], "own/00.png"),
        (["flower.png", "china.jpg", "-o", "model.png"], "model.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_read_is_never_replaced(vaetool, tiny_vae, here, arguments, kept):
    (here / "link.png").symlink_to("flower.png")
    os.link("flower.png", "hard.gif")
    (here / "frames").mkdir()
    shutil.copy("grey.png", "frames/frame-0009.png")
    shutil.copytree("zeros", "own")
    model = shutil.copy(tiny_vae, "tiny.safetensors")
    (here / "model.png").symlink_to(model)
    before = (here / kept).read_bytes()
    result = vaetool("morph", *arguments, "-m", model, "-n", "2", "--force")
    assert result.exit_code == 2
    assert "is an input: results never replace inputs" in result.stderr
    assert (here / kept).read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which pictures?"),
        (["china.jpg"], "from one picture to another"),
        (["china.jpg", "gone.png"], "gone.png: no such file or folder"),
        (["china.jpg", "flower.png", "--direction", "1"], "--direction changes one picture, not 2"),
        (["china.jpg", "--against", "zeros"], "--against needs --direction"),
        (["china.jpg", "--direction", "smile"], "no direction 'smile' (it has 0, 1, 2)"),
        (["china.jpg", "--direction", "ones", "--against", "lost"], "lost: no such folder or zip file"),
        (["china.jpg", "--direction", "1", "--alpha", "2"], "expected LOW:HIGH"),
        (
            ["china.jpg", "flower.png", "-o", "a.mp4"],
            "a.mp4: frames are written as .gif, .webp, .png, or into a folder",
        ),
        (["china.jpg", "flower.png", "--frames", "1"], "a whole number from 2"),
        (["china.jpg", "flower.png", "--fps", "0"], "a number from 1 to 50"),
        (["china.jpg", "flower.png", "--path", "bezier"], "bezier"),
        (["china.jpg", "flower.png", "-o", "-", "--json"], "--json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exit_code_two(morph, here, arguments, message):
    before = sorted(here.iterdir())
    result = morph(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(here.iterdir()) == before


@pytest.fixture
def photo(here):
    """A photo of an astronaut, as large as that of a telephone is when it is shown."""
    from skimage.data import astronaut

    Image.fromarray(astronaut()).save(here / "anna.png")


def test_the_face_in_a_photo_changes_at_the_size_of_the_photo(vaetool, here, photo):
    result = vaetool("morph", "anna.png", "-m", "smiles", "--direction", "smile", "-n", 2, "-o", "smile", "--json")
    assert result.exit_code == 0
    crop = json.loads(result.stdout)["crops"][0]
    assert f"anna.png: took the face, at {crop}\nwrote smile\n" in result.stderr
    before, after = pixels("anna.png"), pixels("smile/frame-0002.png")
    assert before.shape == after.shape
    left, top, side, _ = map(int, crop.split(","))
    changed = np.argwhere((before != after).any(axis=2))
    assert (changed.min(axis=0) > (top - side / 4, left - side / 4)).all()
    assert (changed.max(axis=0) < (top + side * 1.25, left + side * 1.25)).all()


def test_a_crop_is_given_for_each_picture(vaetool, here, photo):
    call = ["morph", "anna.png", "anna.png", "-m", "smiles", "-n", 2, "--size", 64, "-o"]
    assert vaetool(*call, "a.png", "--crop", "184,84,76,76", "--crop", "auto").exit_code == 0
    two = pixels("a.png")
    assert np.abs(two[:, :64].astype(int) - two[:, 66:]).mean() < 8
    result = vaetool(*call, "b.png", "--crop", "184,84,76,76")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "--crop is given once for each picture: 2 times, not 1" in result.stderr


def test_what_the_model_cannot_draw_is_refused(vaetool, here):
    result = vaetool("morph", "flower.png", "--direction", "old", "-o", "a.gif")
    assert (result.exit_code, result.stderr.count("\n")) == (1, 2)
    assert "error: flower.png: is not like the pictures that this model learned from" in result.stderr
    assert "with --crop X,Y,W,H" in result.stderr
    assert not (here / "a.gif").exists()


def test_another_kind_of_model_is_named(vaetool, here, tiny_dae):
    result = vaetool("morph", "china.jpg", "flower.png", "-m", tiny_dae)
    assert result.exit_code == 2
    assert "this is a dae; an ae, a gan or a vae is needed" in result.stderr


def test_a_broken_picture_is_an_error_of_its_own(morph, here):
    (here / "broken.png").write_bytes(b"\x89PNG not really")
    result = morph("china.jpg", "broken.png")
    assert result.exit_code == 1
    assert "broken.png: not a readable image" in result.stderr
    assert not (here / "china.morph.gif").exists()


def test_the_span_is_that_of_the_library(vaetool):
    shown = inspect.signature(morph_along).parameters["alpha"].default
    assert read_span("-1:2") == shown
    assert "-1:2" in vaetool("morph", "--help").stdout


def test_a_device_is_written_to(vaetool, tiny_vae, digit_folders):
    two = sorted(digit_folders.rglob("*.png"))[:2]
    assert vaetool("morph", *two, "-m", tiny_vae, "--frames", 2, "-o", "/dev/null").exit_code == 0
