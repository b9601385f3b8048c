"""`vaetool inpaint`, as a user meets it, with a small inpainter that is found by the name of the bundled one."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, PngImagePlugin

from vaetool import images
from vaetool.inpainting.flaws import Flaws, FlawsConfig
from vaetool.inpainting.task import with_hole
from vaetool.store import weights

LOSSY = "a JPEG file changes slightly everywhere when written: --format png keeps the rest unchanged"


@pytest.fixture
def here(photos, tmp_path, tiny_mae, monkeypatch):
    """The current folder, with china.jpg, flower.png, grey.png, and a mask of their size in mask.png."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VAETOOL_MODELS", str(tiny_mae.parent))
    save_mask(tmp_path / "mask.png")
    return tmp_path


def hole() -> np.ndarray:
    inside = np.zeros((107, 160), bool)
    inside[30:50, 60:100] = inside[80:83, :] = True
    return inside


def save_mask(path: Path, inside: np.ndarray | None = None) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(hole() if inside is None else inside).save(path)


def records(result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def changed(before, after) -> np.ndarray:
    a, b = (images.read(path).pixels for path in (before, after))
    return (a != b).any(axis=2)


def test_what_is_marked_is_filled_and_nothing_else_changes(here, vaetool):
    result = vaetool("inpaint", "flower.png", "--mask", "mask.png")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "wrote flower.inpainted.png\n")
    where = changed("flower.png", "flower.inpainted.png")
    assert not where[~hole()].any()
    assert where[hole()].mean() > 0.9


def test_a_jpeg_changes_everywhere_and_that_is_said(here, vaetool):
    result = vaetool("inpaint", "china.jpg", "--mask", "mask.png")
    assert (result.exit_code, result.stderr) == (0, f"{LOSSY}\nwrote china.inpainted.jpg\n")
    assert (
        vaetool("inpaint", "china.jpg", "--mask", "mask.png", "--format", "png").stderr == "wrote china.inpainted.png\n"
    )
    assert not changed("china.jpg", "china.inpainted.png")[~hole()].any()


def test_a_stack_is_refused_and_of_an_animation_the_first_frame_is_taken(here, vaetool):
    for name in ("stack.tif", "moving.webp"):
        Image.new("L", (9, 9)).save(name, save_all=True, append_images=[Image.new("L", (9, 9), 9)])
    result = vaetool("inpaint", "stack.tif", "moving.webp", "--box", "1,1,3,3")
    assert result.exit_code == 1
    assert "stack.tif: has several pages" in result.stderr
    assert "moving.webp: animated: only the first of 2 frames is used" in result.stderr
    assert [path.name for path in here.glob("*inp*")] == ["moving.inpainted.webp"]


def test_what_goes_with_the_pixels_is_kept(here, vaetool, photographs):
    info = PngImagePlugin.PngInfo()
    info.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta/>")
    info.add_text("Author", "Łódź")
    photographs["flower"].save("all.png", pnginfo=info, dpi=(300, 300))
    assert vaetool("inpaint", "all.png", "--mask", "mask.png").stderr == "wrote all.inpainted.png\n"
    before, after = images.read("all.png"), images.read("all.inpainted.png")
    for name in ("icc_profile", "exif", "dpi", "xmp", "texts"):
        assert getattr(after, name) == getattr(before, name)
    assert after.texts == (("Author", "Łódź"),)
    result = vaetool("inpaint", "all.png", "--mask", "mask.png", "-o", "all.webp")
    assert result.stderr == "all.png: WEBP does not keep its texts or comment\nwrote all.webp\n"


def test_what_a_mask_leaves_is_said_and_filled_when_asked_for(here, vaetool):
    pixels = images.read("flower.png").pixels.copy()
    pixels[28:52, 58:102] = pixels[78:85] = (250, 240, 20)  # two pixels more than the mask, all around
    Image.fromarray(pixels).save("marked.png")
    result = vaetool("inpaint", "marked.png", "--mask", "mask.png")
    assert result.stderr.splitlines() == [
        "marked.png: what is marked shows just outside of the hole: --dilate 3 would take it in",
        "wrote marked.inpainted.png",
    ]
    result = vaetool("inpaint", "marked.png", "--mask", "mask.png", "--dilate", "3", "--force")
    assert result.stderr == "wrote marked.inpainted.png\n"
    where = changed("marked.png", "marked.inpainted.png")
    assert where[28:52, 58:102].mean() > 0.9
    assert not where[:27].any()


def test_what_is_painted_over_roughly_is_taken_in_whole(here, vaetool):
    pixels = images.read("flower.png").pixels.copy()
    pixels[22:58, 50:110] = (250, 240, 20)  # the mask misses eight pixels and more of it
    Image.fromarray(pixels).save("marked.png")
    rough = ("inpaint", "marked.png", "--box", "58,30,44,20", "--grow-to-edges")
    assert vaetool(*rough, "--write-mask").stderr == "wrote marked_mask.png\n"
    hole = images.read("marked_mask.png").pixels[:, :, 0] > 0
    assert hole[22:58, 50:110].all()
    assert hole.sum() <= 44 * 68
    assert vaetool(*rough).stderr == "wrote marked.inpainted.png\n"
    assert np.array_equal(changed("marked.png", "marked.inpainted.png") | hole, hole)


def test_one_mask_serves_many_pictures(here, vaetool):
    names = ["china.jpg", "flower.png", "grey.png"]
    result = vaetool("inpaint", *names, "--mask", "mask.png", "-o", "whole/", "-j", "2")
    assert (result.exit_code, result.stderr) == (0, f"{LOSSY}\n3 done\n")
    assert sorted(path.name for path in (here / "whole").iterdir()) == names
    assert images.read(here / "whole/grey.png").pixels.shape == (107, 160, 1)


def test_a_folder_of_masks_is_matched_by_name_and_a_missing_one_fails_alone(here, vaetool):
    (here / "scans/box").mkdir(parents=True)
    for name in ("china.jpg", "flower.png"):
        (here / name).rename(here / "scans" / name)
    (here / "grey.png").rename(here / "scans/box/flower.png")
    save_mask(here / "masks/flower.png")
    save_mask(here / "masks/box/flower.png", np.zeros((107, 160), bool))
    result = vaetool("inpaint", "scans", "-r", "--mask", "masks", "-o", "whole")
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        LOSSY,
        "scans/china.jpg: no mask in masks has its name, china.*",
        "scans/box/flower.png: nothing is marked to be filled: it stays as it is",
        "2 done, 1 failed",
    ]
    assert changed(here / "scans/flower.png", here / "whole/flower.png").any()
    assert not changed(here / "scans/box/flower.png", here / "whole/box/flower.png").any()


def test_a_mask_of_another_size_is_that_pictures_error_and_names_both(here, vaetool):
    Image.new("RGB", (50, 40)).save("small.png")
    result = vaetool("inpaint", "small.png", "flower.png", "--mask", "mask.png", "-o", "whole/")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[0] == ("small.png: is 50 x 40 pixels, but its mask is 160 x 107: they must match")
    assert (here / "whole/flower.png").exists()


def test_a_mask_of_everything_is_an_error(here, vaetool):
    result = vaetool("inpaint", "flower.png", "--box", "0,0,999,999")
    assert result.exit_code == 1
    assert result.stderr == "flower.png: is covered by the hole entirely: nothing is left to fill it from\n"
    assert not (here / "flower.inpainted.png").exists()


def test_boxes(here, vaetool):
    boxes = ("--box", "10,20,30,5", "--box", "-5,100,20,20")
    result = vaetool("inpaint", "flower.png", *boxes)
    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        0,
        "flower.png: the box -5,100,20,20 is cut off at the borders of the picture, 160 x 107",
    )
    where = changed("flower.png", "flower.inpainted.png")
    inside = np.zeros_like(where)
    inside[20:25, 10:40] = inside[100:, :15] = True
    assert not where[~inside].any()
    assert where[inside].mean() > 0.9


def test_transparency(here, vaetool):
    pixels = images.read("flower.png").pixels
    alpha = np.where(hole(), 0, 255).astype(np.uint8)
    Image.fromarray(np.dstack([pixels, alpha])).save("erased.png")
    assert vaetool("inpaint", "erased.png", "--alpha").exit_code == 0
    after = images.read("erased.inpainted.png")
    assert after.alpha is None
    assert np.array_equal(after.pixels[~hole()], pixels[~hole()])
    assert (after.pixels != pixels)[hole()].any()


def test_a_colour(here, vaetool):
    pixels = images.read("flower.png").pixels.copy()
    pixels[hole()] = (255, 0, 255)
    Image.fromarray(pixels).save("painted.png")
    result = vaetool("inpaint", "painted.png", "--color", "#ff00ff")
    assert (result.exit_code, result.stderr) == (0, "wrote painted.inpainted.png\n")
    after = images.read("painted.inpainted.png").pixels
    assert not (after == (255, 0, 255)).all(axis=2).any()


def test_a_painted_disc_in_a_jpeg_is_found_and_its_rim_taken_in(here, vaetool, photographs):
    painted = photographs["china"].copy()
    ImageDraw.Draw(painted).ellipse((60, 30, 100, 70), fill="magenta")
    painted.save("painted.jpg", quality=85)
    result = vaetool("inpaint", "painted.jpg", "--color", "magenta", "-o", "whole.png")
    assert (result.exit_code, result.stderr.splitlines()) == (
        0,
        [
            "painted.jpg: the hole takes in 4 pixels around the colour, which are tinged with it",
            "wrote whole.png",
        ],
    )
    red, green, blue = images.read("whole.png").pixels[25:75, 55:105].astype(int).transpose(2, 0, 1)
    assert not ((red - green > 60) & (blue - green > 60)).any()
    result = vaetool("inpaint", "painted.jpg", "--color", "magenta", "--dilate", "1", "-o", "rim.png")
    assert "a rim of the colour is left around the hole: --dilate 3 would take it in" in result.stderr


def test_several_colours_are_all_filled(here, vaetool):
    pixels = images.read("flower.png").pixels.copy()
    pixels[20:30, 20:30], pixels[40:50, 60:70] = (255, 0, 255), (0, 255, 0)
    Image.fromarray(pixels).save("painted.png")
    result = vaetool("inpaint", "painted.png", "--color", "#ff00ff", "--color", "lime", "--fuzz", "0", "--json")
    (told,) = records(result)
    assert (told["filled"], told["holes"]) == (round(200 / pixels[..., 0].size, 6), 2)


def test_boxes_and_a_colour_together(here, vaetool):
    pixels = images.read("flower.png").pixels.copy()
    pixels[hole()] = (255, 0, 255)
    Image.fromarray(pixels).save("painted.png")
    result = vaetool("inpaint", "painted.png", "--color", "#ff00ff", "--box", "0,0,10,10", "--json")
    (told,) = records(result)
    assert told["filled"] == round((hole().sum() + 100) / hole().size, 6)


def test_the_other_way_round(here, vaetool):
    save_mask(here / "mask.png", ~hole())
    result = vaetool("inpaint", "flower.png", "--mask", "mask.png", "--invert-mask")
    assert result.exit_code == 0
    assert not changed("flower.png", "flower.inpainted.png")[~hole()].any()


def test_json_tells_the_share_and_the_number(here, vaetool):
    (told,) = records(vaetool("inpaint", "flower.png", "--mask", "mask.png", "--json"))
    assert told.pop("seconds") > 0
    share = round(float(hole().mean()), 6)
    sizes = {key: (here / told[name]).stat().st_size for key, name in (("in_bytes", "path"), ("out_bytes", "output"))}
    expected = {"path": "flower.png", "output": "flower.inpainted.png", "filled": share, "holes": 2, "guessed": 0}
    assert told == {**expected, "changed": True, **sizes}


def test_of_a_hole_that_is_too_deep_not_too_much_is_promised(here, vaetool):
    result = vaetool("inpaint", "flower.png", "--box", "0,0,140,107", "--box", "150,0,5,5")
    assert result.stderr.splitlines() == [
        "flower.png: the hole at 4,4 is 136 pixels deep: expect texture, not objects",
        "wrote flower.inpainted.png",
    ]
    result = vaetool("inpaint", "flower.png", "--box", "0,0,140,107", "--no-texture", "--force")
    assert result.stderr.splitlines()[0] == "flower.png: the hole at 4,4 is 136 pixels deep: expect a blur"
    assert "deep" not in vaetool("inpaint", "flower.png", "--box", "30,20,90,60", "-o", "shallow.png").stderr


def test_texture_can_be_left_out(here, vaetool):
    for name, arguments in (("texture.png", []), ("smooth.png", ["--no-texture"])):
        assert vaetool("inpaint", "flower.png", "--box", "30,20,90,60", "-o", name, *arguments).exit_code == 0
    inside = changed("texture.png", "smooth.png")
    assert inside[24:76, 34:116].mean() > 0.5
    inside[20:80, 30:120] = False
    assert not inside.any()


def test_an_empty_mask_warns_and_gives_the_pixels_back(here, vaetool):
    save_mask(here / "mask.png", np.zeros((107, 160), bool))
    result = vaetool("inpaint", "flower.png", "--mask", "mask.png", "--json")
    assert result.exit_code == 0
    (told,) = records(result)
    assert told["warnings"] == ["nothing is marked to be filled: it stays as it is"]
    assert not changed("flower.png", "flower.inpainted.png").any()


def test_in_a_pipe(here, vaetool):
    data = Path("flower.png").read_bytes()
    result = vaetool("inpaint", "-", "--mask", "mask.png", stdin=data)
    assert (result.exit_code, result.stderr) == (0, "")
    vaetool("inpaint", "flower.png", "--mask", "mask.png")
    assert Image.open(io.BytesIO(result.data)).size == (160, 107)
    assert np.array_equal(images.read(result.data).pixels, images.read("flower.inpainted.png").pixels)


def test_standard_input_has_no_name_to_find_a_mask_by(here, vaetool):
    save_mask(here / "masks/a.png")
    result = vaetool("inpaint", "-", "--mask", "masks", stdin=Path("flower.png").read_bytes())
    assert result.exit_code == 1
    assert result.stderr == "-: has no name to find its mask by: give --mask a file\n"


def test_the_same_twice(here, vaetool):
    for name in ("a.png", "b.png"):
        assert vaetool("inpaint", "flower.png", "--mask", "mask.png", "-o", name).exit_code == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "where are the holes? Give --mask, --box, --alpha, --color or --auto"),
        (["--auto", "dirt"], "--auto dirt: expected scratches, dust or date"),
        (["--box", "0,0,5"], "expected left, top, width and height in pixels, such as 40,60,200,100, not '0,0,5'"),
        (["--box", "0,0,5,0"], "expected left, top, width and height"),
        (["--color", "red", "--fuzz", "256"], "a whole number from 0 to 255"),
        (["--color", "pinkish"], "--color pinkish: expected a colour"),
        (["--mask", "gone.png"], "--mask: mask gone.png: not a readable image (no such file or directory)"),
        (["--alpha", "--invert-mask"], "--invert-mask"),
        (["--alpha", "--dilate", "-1"], "a whole number from 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_usage_error_is_one_line_and_exit_code_two(here, vaetool, arguments, told):
    result = vaetool("inpaint", "flower.png", *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_model_of_another_kind_is_a_usage_error(here, vaetool, tiny_dae):
    result = vaetool("inpaint", "flower.png", "--box", "0,0,5,5", "-m", tiny_dae)
    assert result.exit_code == 2
    assert "this is a dae; a mae is needed" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["china.jpg", "--mask", "mask.png", "-o", "mask.png"], "mask.png"),
        (["china.jpg", "--mask", "mask.png", "-o", "link.png"], "mask.png"),
        (["china.jpg", "flower.png", "--mask", "masks", "-o", "masks"], "masks/flower.png"),
        (["china.jpg", "--box", "1,2,3,4", "-o", "model.png"], "model.png"),
        (["china.jpg", "--box", "1,2,3,4", "--finder", "mask.png", "-o", "mask.png"], "mask.png"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_masks_and_models_are_never_replaced(here, vaetool, tiny_mae, arguments, kept):
    (here / "link.png").symlink_to("mask.png")
    (here / "model.png").symlink_to(tiny_mae)
    for name in ("china", "flower"):
        save_mask(here / "masks" / f"{name}.png")
    before = (here / kept).read_bytes()
    result = vaetool("inpaint", *arguments, "--force")
    assert result.exit_code == 2
    assert "is an input: results never replace inputs" in result.stderr
    assert (here / kept).read_bytes() == before


def test_a_picture_in_which_nothing_is_marked_is_copied(here, vaetool):
    save_mask(here / "none.png", np.zeros((107, 160), bool))
    result = vaetool("inpaint", "china.jpg", "--mask", "none.png", "--dilate", "0", "--json")
    [record] = records(result)
    size = (here / "china.jpg").stat().st_size
    assert (record["changed"], record["in_bytes"], record["out_bytes"]) == (False, size, size)
    assert (here / "china.inpainted.jpg").read_bytes() == (here / "china.jpg").read_bytes()
    [record] = records(vaetool("inpaint", "china.jpg", "--mask", "mask.png", "--json", "--force", "--format", "png"))
    assert (record["changed"], record["output"]) == (True, "china.inpainted.png")


@pytest.fixture
def scratched(here) -> Path:
    pixels = np.full((160, 200, 3), 110, np.uint8)
    pixels[:, :, 0] += np.arange(200, dtype=np.uint8) // 4
    picture = Image.fromarray(pixels)
    ImageDraw.Draw(picture).line([(20, 30), (170, 120)], (245, 245, 245), 2)
    picture.save("scan.png")
    return here / "scan.png"


def test_scratches_are_found_and_filled(scratched, vaetool):
    result = vaetool("inpaint", "scan.png", "--auto", "scratches")
    found, end = result.stderr.splitlines()
    assert found.startswith("scan.png: 1 place looks like scratches, 2.")
    assert (result.exit_code, end) == (0, "wrote scan.inpainted.png")
    assert (images.read(scratched).pixels == 245).all(axis=2).sum() > 150
    assert not (images.read("scan.inpainted.png").pixels > 220).all(axis=2).any()


def test_a_mask_that_is_written_marks_the_same(scratched, vaetool):
    assert vaetool("inpaint", "scan.png", "--auto", "scratches").exit_code == 0
    result = vaetool("inpaint", "scan.png", "--auto", "scratches", "--write-mask", "--json")
    (told,) = records(result)
    assert told["output"] == "scan_mask.png"
    assert 0.001 < told["marked"] < 0.1
    mask = images.read("scan_mask.png").pixels
    assert mask.shape == (160, 200, 1)
    assert np.array_equal(np.unique(mask), [0, 255])
    assert vaetool("inpaint", "scan.png", "--mask", "scan_mask.png", "-o", "again.png").exit_code == 0
    assert not changed("again.png", "scan.inpainted.png").any()


def test_a_finder_of_ones_own_is_used(scratched, vaetool, tmp_path, tiny_mae):
    finder = Flaws(FlawsConfig(widths=(4, 4), dilations=(1,)))
    torch.nn.init.constant_(finder.unet.tail.bias, 9)  # sees flaws everywhere
    weights.save(tmp_path / "mine.safetensors", finder, {"data": []})
    seek = ("inpaint", "scan.png", "--auto", "scratches", "--write-mask", "--json", "--finder")
    (told,) = records(vaetool(*seek, "mine.safetensors"))
    assert told["marked"] == 1
    marked = with_hole(scratched, auto=["scratches"], finder=tmp_path / "mine.safetensors")[1]
    assert marked.all()
    assert with_hole(scratched, auto=["scratches"], finder=finder)[1].all()
    result = vaetool(*seek, tiny_mae, "--force")
    assert result.exit_code == 2
    assert "this is a mae; a model of flaws is needed, such as scan-flaws" in result.stderr


def test_where_nothing_is_found_that_is_said_and_the_file_stays(here, vaetool):
    result = vaetool("inpaint", "flower.png", "--auto", "scratches", "--auto", "dust")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "flower.png: no scratches or dust found: it stays as it is",
        "wrote flower.inpainted.png",
    ]
    assert (here / "flower.inpainted.png").read_bytes() == (here / "flower.png").read_bytes()
