"""Where the holes of pictures are, in every way in which that can be said, and what is told of a filled picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import ExifTags, Image

import vaetool
from vaetool import images
from vaetool.errors import FileError, ImageError, UsageError
from vaetool.images import Picture
from vaetool.inpainting.task import FUZZ, Holes, inpaint_picture, with_hole

SIZE = (60, 80)  # height, width


def picture(**parts) -> Picture:
    return Picture(np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8), **parts)


def box(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    hole = np.zeros(SIZE, bool)
    hole[top:bottom, left:right] = True
    return hole


HOLE = box(20, 30, 40, 60)


def save_mask(path, hole=HOLE, mode="L", **options) -> None:
    Image.fromarray(hole.astype(np.uint8) * 255).convert(mode).save(path, **options)


def marked(*, source=None, of=None, **ways) -> np.ndarray:
    return Holes(**ways).of(of or picture(), source).hole


# Masks


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_a_mask_of_any_mode_is_white_where_the_hole_is(tmp_path, mode):
    if mode == "I;16":
        Image.fromarray(HOLE.astype(np.uint16) * 65535).save(tmp_path / "mask.png")
    else:
        save_mask(tmp_path / "mask.png", mode=mode)
    assert np.array_equal(marked(mask=tmp_path / "mask.png"), HOLE)


@pytest.mark.parametrize("drawn", ["labels", "palette", "12 bits", "red strokes", "black strokes"])
def test_a_mask_without_white_is_a_map_of_labels_or_a_layer_of_strokes(tmp_path, drawn):
    path, marks = tmp_path / "mask.png", HOLE.astype(np.uint8)
    if "strokes" in drawn:
        layer = np.zeros((*SIZE, 4), np.uint8)
        layer[HOLE] = (200 if drawn == "red strokes" else 0, 0, 0, 255)
        Image.fromarray(layer).save(path)
    elif drawn == "palette":
        labels = Image.fromarray(marks).convert("P")
        labels.putpalette([0, 0, 0, 128, 0, 0])
        labels.save(path)
    else:
        Image.fromarray(marks if drawn == "labels" else marks.astype(np.uint16) * 4095).save(path)
    assert np.array_equal(marked(mask=path), HOLE)


def test_a_mask_of_nothing_is_none(tmp_path):
    Image.fromarray(np.full(SIZE, 3, np.uint8)).save(tmp_path / "dark.png")
    Image.fromarray(np.zeros((*SIZE, 4), np.uint8)).save(tmp_path / "clear.png")
    Image.fromarray(HOLE.astype(np.uint8)).save(tmp_path / "noise.jpg", quality=100)
    erased = np.zeros((*SIZE, 4), np.uint8)
    erased[..., 3] = np.where(HOLE, 0, 255)  # a black layer with a hole in it is not all a hole
    Image.fromarray(erased).save(tmp_path / "erased.png")
    for name in ("dark.png", "clear.png", "noise.jpg", "erased.png"):
        assert not marked(mask=tmp_path / name).any()


def test_the_fringe_of_a_jpeg_mask_does_not_matter(tmp_path):
    save_mask(tmp_path / "mask.jpg", quality=90)
    assert (marked(mask=tmp_path / "mask.jpg") != HOLE).mean() < 0.01


def test_a_mask_is_upright_like_a_picture(tmp_path):
    turned = Image.fromarray(HOLE.astype(np.uint8) * 255).transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[ExifTags.Base.Orientation] = 6
    turned.save(tmp_path / "mask.png", exif=exif)
    assert np.array_equal(marked(mask=tmp_path / "mask.png"), HOLE)


def test_a_mask_can_be_black_where_the_hole_is(tmp_path):
    save_mask(tmp_path / "mask.png", ~HOLE)
    assert np.array_equal(marked(mask=tmp_path / "mask.png", invert_mask=True), HOLE)


def test_a_folder_has_a_mask_for_every_picture(tmp_path):
    other = box(0, 5, 0, 5)
    for name, hole in (("a.png", HOLE), ("box/a.jpg", other), ("b_mask.png", other)):
        (tmp_path / "masks" / name).parent.mkdir(parents=True, exist_ok=True)
        save_mask(tmp_path / "masks" / name, hole, **({"quality": 100} if name.endswith("jpg") else {}))
    holes = Holes(tmp_path / "masks")
    for source, hole in (("scans/a.tif", HOLE), ("scans/box/a.jpg", other), ("b.webp", other)):
        assert np.array_equal(holes.of(picture(), source).hole, hole)
    with pytest.raises(FileError, match=r"no mask in .*masks has its name, c\.\*"):
        holes.of(picture(), "scans/c.png")
    with pytest.raises(FileError, match="has no name to find"):
        holes.of(picture(), b"the bytes of standard input")


def test_a_mask_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "mask.png").write_bytes(b"nothing")
    with pytest.raises(UsageError, match=r"--mask: mask .*mask\.png: not a readable image"):
        Holes(tmp_path / "mask.png")
    with pytest.raises(UsageError, match=r"gone\.png: not a readable image \(no such file"):
        Holes(tmp_path / "gone.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no images"):
        Holes(tmp_path / "empty")
    with pytest.raises(ImageError, match=r"mask .*mask\.png: not a readable image"):
        Holes(tmp_path).of(picture(), "mask.jpg")
    save_mask(tmp_path / "mask.png")
    with pytest.raises(UsageError, match="more than the limit of 100"):
        Holes(tmp_path / "mask.png", max_pixels=100)


# Other ways


def test_boxes_are_holes(tmp_path):
    assert np.array_equal(marked(box=[(40, 20, 20, 10)]), HOLE)
    assert np.array_equal(marked(box=(40, 20, 20, 10)), HOLE)
    assert np.array_equal(marked(box=[(40, 20, 20, 10), (0, 0, 5, 7)]), HOLE | box(0, 7, 0, 5))


@pytest.mark.parametrize("wrong", [(1, 2, 3), [(1, 2, 3, 4, 5)], [[(1, 2, 3, 4)]]], ids=str)
def test_a_box_of_other_than_four_numbers_is_refused(wrong):
    with pytest.raises(UsageError, match="a box is left, top, width and height, not"):
        marked(box=wrong)


def test_a_box_is_cut_off_at_the_borders():
    assert np.array_equal(marked(box=[(-5, -5, 10, 10)]), box(0, 5, 0, 5))
    assert np.array_equal(marked(box=[(70, 50, 1000, 1000)]), box(50, 60, 70, 80))


@pytest.mark.parametrize("outside", [(80, 0, 5, 5), (0, 60, 5, 5), (-9, 0, 9, 9), (0, -9, 9, 9)], ids=str)
def test_a_box_that_is_outside_is_refused_with_the_size_of_the_picture(outside):
    with pytest.raises(ImageError, match=r"is 80 x 60 pixels: the box .* is outside of it"):
        marked(box=[outside])


def test_what_is_transparent_is_a_hole_and_becomes_opaque():
    alpha = np.where(HOLE, 0, 255).astype(np.uint8)
    alpha[0, :4] = (127, 128, 254, 1)
    holed = Holes(alpha=True).of(picture(alpha=alpha))
    expected = HOLE.copy()
    expected[0, [0, 3]] = True
    assert np.array_equal(holed.hole, expected)
    assert holed.picture.alpha is None


def test_a_picture_without_transparency_has_no_such_hole():
    with pytest.raises(ImageError, match="has no transparency"):
        marked(alpha=True)


@pytest.mark.parametrize("name", ["#ff00ff", "ff00ff", "#F0F", "magenta"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_of_about_a_colour_is_a_hole(name, dtype):
    scale = np.iinfo(dtype).max // 255
    painted = Picture(np.full((*SIZE, 3), 100 * scale, dtype))
    painted.pixels[HOLE] = np.array((255, 0, 255)) * scale
    assert np.array_equal(marked(color=name, of=painted, fuzz=0), HOLE)
    painted.pixels[0, 0] = np.array((255, FUZZ, 255 - FUZZ)) * scale
    painted.pixels[0, 1] = np.array((255, FUZZ + 1, 255)) * scale
    assert np.array_equal(marked(color=name, of=painted), HOLE | box(0, 1, 0, 1))
    assert np.array_equal(marked(color=name, of=painted, fuzz=FUZZ + 1), HOLE | box(0, 1, 0, 2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_grey_picture_can_have_a_grey_as_that_colour(dtype):
    top = np.iinfo(dtype).max
    grey = Picture(np.where(HOLE, top, top // 2)[..., None].astype(dtype))
    assert np.array_equal(marked(color="white", of=grey), HOLE)
    assert not marked(color="#ff00ff", of=grey).any()


def test_a_colour_that_is_none_is_refused():
    with pytest.raises(UsageError, match="--color pinkish: expected a colour such as"):
        Holes(color="pinkish")


def test_there_is_at_least_one_way():
    with pytest.raises(UsageError, match="Give --mask, --box, --alpha, --color or --auto"):
        Holes()
    with pytest.raises(UsageError, match="--invert-mask"):
        Holes(alpha=True, invert_mask=True)


def test_several_ways_are_one_hole(tmp_path):
    save_mask(tmp_path / "mask.png")
    painted = picture()
    painted.pixels[50:, :9] = (255, 0, 255)
    boxes = box(0, 7, 0, 5)
    expected = HOLE | box(50, 60, 0, 9) | boxes
    ways = {"box": [(0, 0, 5, 7)], "color": "magenta", "fuzz": 0}
    assert np.array_equal(marked(mask=tmp_path / "mask.png", of=painted, **ways), expected)
    for mask in (HOLE, Image.fromarray(HOLE), tmp_path / "mask.png"):
        assert np.array_equal(with_hole(painted, mask, **ways)[1], expected)
    with pytest.raises(ImageError, match="is 80 x 60 pixels, but its mask is 60 x 80"):
        with_hole(painted, HOLE.T, **ways)


# Exactly what is marked, or more


def test_a_hole_grows_when_that_is_asked_for(tmp_path):
    save_mask(tmp_path / "mask.png")
    assert np.array_equal(marked(mask=tmp_path / "mask.png"), HOLE)
    wider = box(16, 34, 36, 64)
    for hole in (marked(mask=tmp_path / "mask.png", dilate=4), with_hole(picture(), HOLE, dilate=4)[1]):
        assert HOLE.sum() < hole.sum() <= wider.sum()
        assert not hole[~wider].any()


# The task


@pytest.fixture(scope="module")
def model(tiny_mae):
    return vaetool.load(tiny_mae, device="cpu")


def test_the_share_and_the_number_of_holes_are_told(model):
    filled, facts = inpaint_picture(model, picture(), HOLE | box(0, 6, 0, 10))
    assert facts == {"filled": round(260 / 4800, 6), "holes": 2, "guessed": 0}
    assert np.array_equal(filled.pixels, model.inpaint(picture(), HOLE | box(0, 6, 0, 10)).pixels)


def test_an_empty_hole_is_told_and_changes_nothing(model):
    holed = Holes(color="#ff00ff", fuzz=0).of(picture(warnings=("something else",)))
    assert holed.warnings == ("something else", "nothing is marked to be filled: it stays as it is")
    filled, facts = inpaint_picture(model, holed.picture, holed.hole)
    assert facts == {"filled": 0.0, "holes": 0, "guessed": 0}
    assert np.array_equal(filled.pixels, picture().pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_all_that_belongs_to_a_picture_is_kept(model, dtype, tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, np.iinfo(dtype).max, (*SIZE, 1), dtype)
    alpha = np.full(SIZE, np.iinfo(dtype).max, dtype)
    alpha[:, :7] = 0
    before = Picture(pixels, alpha, icc_profile=b"profile", dpi=(72.0, 72.0), format="TIFF")
    filled, _ = inpaint_picture(model, before, HOLE | box(0, 60, 0, 9))
    assert np.array_equal(filled.alpha, alpha)
    assert np.array_equal(filled.pixels[:, :7], pixels[:, :7])
    assert (filled.icc_profile, filled.dpi, filled.format) == (b"profile", (72.0, 72.0), "TIFF")
    assert filled.pixels.dtype == dtype
    images.encode(filled, "PNG")
