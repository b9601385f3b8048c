"""The masked autoencoder: what it promises whatever its weights are, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

import vaetool
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.inpainting.filling import push_pull
from vaetool.inpainting.holes import DEEP
from vaetool.inpainting.mae import COARSE, MAE, UNKNOWN, MAEConfig, MAEObjective
from vaetool.inpainting.masks import Masks

SIZES = [(1, 2), (2, 1), (3, 17), (17, 3), (33, 47), (64, 64), (101, 203)]
DTYPES = [np.uint8, np.uint16, np.float16, np.float32, np.float64]


@pytest.fixture(scope="module")
def model(tiny_mae) -> MAE:
    return vaetool.load(tiny_mae, device="cpu")


@pytest.fixture(scope="module")
def photo(photographs) -> np.ndarray:
    """A photograph, (107, 160, 3) uint8."""
    return np.array(photographs["china"])


def box(shape, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    hole = np.zeros(shape[:2], bool)
    hole[top:bottom, left:right] = True
    return hole


def as_type(photo: np.ndarray, dtype) -> np.ndarray:
    if np.issubdtype(dtype, np.floating):
        return (photo / 255).astype(dtype)
    return photo.astype(dtype) * (257 if dtype == np.uint16 else 1)


def large(photo: np.ndarray) -> np.ndarray:
    """Of 428 x 640 pixels."""
    return photo.repeat(4, axis=0).repeat(4, axis=1)


def holes(shape) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    height, width = shape[:2]
    diagonal = np.abs(np.subtract.outer(np.arange(height), np.arange(width))) < 4
    return {
        "in the middle": box(shape, 30, 70, 50, 110),
        "at the border": box(shape, 0, 40, 0, 30),
        "touching": box(shape, 10, 30, 10, 30) | box(shape, 30, 60, 30, 50),
        "a line across": diagonal,
        "specks": rng.random((height, width)) < 0.02,
        "all but a pixel": ~box(shape, 50, 51, 80, 81),
        "all but a column": ~box(shape, 0, height, 3, 4),
    }


HOLES = holes((107, 160))


# Only the hole


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_outside_the_hole_nothing_changes(model, photo, hole, dtype):
    picture = as_type(photo, dtype)
    filled = model.inpaint(picture, hole)
    assert (filled.dtype, filled.shape) == (picture.dtype, picture.shape)
    assert np.array_equal(filled[~hole], picture[~hole])


@pytest.mark.parametrize("hole", HOLES.values(), ids=HOLES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_was_in_the_hole_has_no_influence(model, photo, hole, dtype):
    picture = as_type(photo, dtype)
    other = picture.copy()
    other[hole] = 1 - other[hole] if np.issubdtype(dtype, np.floating) else ~other[hole]
    assert np.array_equal(model.inpaint(picture, hole), model.inpaint(other, hole))


def test_what_was_in_a_deep_hole_has_no_influence(model, photo):
    picture = large(photo)
    hole = box(picture.shape, 50, 400, 100, 500)  # filled at a quarter of the size first
    other = picture.copy()
    other[hole] = 255 - other[hole]
    filled = model.inpaint(picture, hole)
    assert np.array_equal(filled, model.inpaint(other, hole))
    assert np.array_equal(filled[~hole], picture[~hole])


@pytest.mark.parametrize("value", [np.float64(1e300), np.float64(-1e300)])
def test_not_even_numbers_that_are_far_too_large(model, photo, value):
    picture = as_type(photo, np.float64)
    hole = HOLES["in the middle"]
    other = picture.copy()
    other[hole] = value
    assert np.array_equal(model.inpaint(picture, hole), model.inpaint(other, hole))


@pytest.mark.parametrize("name", ["in the middle", "specks", "all but a pixel"])
def test_what_an_alpha_channel_hides_has_no_influence_either(model, photo, name):
    hole = HOLES[name]
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:, 90:100] = 0
    alpha[50, 80] = 255
    hidden = (alpha == 0) | hole
    other = photo.copy()
    other[hidden] = 255 - other[hidden]
    filled, again = (model.inpaint(Picture(pixels, alpha), hole) for pixels in (photo, other))
    seen = alpha > 0
    assert np.array_equal(filled.pixels[seen], again.pixels[seen])
    assert np.array_equal(filled.pixels[~seen], photo[~seen])
    assert np.array_equal(filled.alpha, alpha)


def test_something_is_in_the_hole_afterwards(model, photo):
    hole = HOLES["in the middle"]
    filled = model.inpaint(photo, hole)
    assert len(np.unique(filled[hole])) > 20
    assert np.abs(filled[hole].astype(float).mean(axis=0) - photo[~hole].mean(axis=0)).max() < 80


def test_an_untrained_network_is_the_smooth_filling(photo):
    model = MAE(MAEConfig(widths=(8, 8), blocks=1, dilations=(1,))).eval()
    pictures = torch.from_numpy(photo[:96]).permute(2, 0, 1)[None] / 255
    hole = torch.from_numpy(HOLES["in the middle"][:96])[None, None].float()
    smooth = push_pull(pictures, hole)
    assert torch.equal(model.fill(smooth, UNKNOWN * hole), smooth)


@pytest.mark.parametrize("mark", [UNKNOWN, COARSE])
def test_the_network_changes_holes_only(model, mark):
    pictures = torch.rand((2, 3, 32, 48), generator=torch.Generator().manual_seed(0))
    hole = torch.zeros((2, 1, 32, 48))
    hole[:, :, 8:20, 9:30] = 1
    filled = model.fill(pictures, mark * hole)
    changed = (filled != pictures).any(dim=1, keepdim=True)
    assert not changed[hole == 0].any()
    assert changed[hole > 0].float().mean() > 0.9


# Any size, any picture


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_size_is_taken(model, size, channels):
    picture = np.random.default_rng(0).integers(0, 256, (*size, channels), np.uint8)
    hole = np.zeros(size, bool)
    hole[size[0] // 2, size[1] // 2] = True
    filled = model.inpaint(picture, hole)
    assert filled.shape == picture.shape
    assert np.array_equal(filled[~hole], picture[~hole])


def test_a_grey_picture_is_its_colour_picture_without_the_colour(model, photo):
    grey, hole = photo.mean(axis=2).astype(np.float32) / 255, HOLES["in the middle"]
    colour = model.inpaint(np.dstack([grey] * 3), hole, texture=False)
    assert np.abs(model.inpaint(grey, hole, texture=False) - colour.mean(axis=2)).max() < 1e-4


def test_a_model_for_grey_takes_grey_pictures_only(photo):
    model = MAE(MAEConfig(channels=1, widths=(8, 8), blocks=1, dilations=(1,))).eval()
    assert model.inpaint(Image.fromarray(photo[:, :, 0]), HOLES["specks"]).mode == "L"
    with pytest.raises(ImageError, match="grey"):
        model.inpaint(photo, HOLES["specks"])


@pytest.mark.parametrize("value", [-0.5, 0.3, 1.0, 4.0])
def test_what_is_filled_keeps_to_the_range(model, value):
    picture = np.full((40, 40, 3), value, np.float32)
    filled = model.inpaint(picture, box(picture.shape, 10, 30, 10, 30))
    assert filled.min() >= min(0, value)
    assert filled.max() <= max(1, value)


def test_a_deep_hole_has_the_colours_of_what_is_around(model):
    """Through every size on the way and back."""
    side = 8 * DEEP
    picture = np.full((side, side, 3), (40, 120, 200), np.uint8)
    filled = model.inpaint(picture, box(picture.shape, 20, side - 20, 20, side - 20))
    assert np.abs(filled.astype(float).mean(axis=(0, 1)) - (40, 120, 200)).max() < 25


def test_memory_layout_does_not_matter(model, photo):
    hole = HOLES["a line across"]
    strided = np.asfortranarray(photo)
    assert np.array_equal(model.inpaint(strided, hole), model.inpaint(photo, hole))
    assert np.array_equal(model.inpaint(photo[:, ::-1][:, ::-1], hole), model.inpaint(photo, hole))


def test_twelve_bits_in_sixteen_are_filled_as_sixteen(model, photo):
    hole = HOLES["in the middle"]
    whole, twelve = as_type(photo, np.uint16), as_type(photo, np.uint16) >> 4
    twelve[hole] = 65535  # does not count
    filled = model.inpaint_pixels(twelve, hole, texture=False)[0]
    assert np.array_equal(filled[~hole], twelve[~hole])
    difference = filled[hole] * 16.0 - model.inpaint_pixels(whole, hole, texture=False)[0][hole]
    assert np.abs(difference).mean() < 2 * 257  # levels of eight bits
    assert filled.max() < 4096


def test_the_picture_itself_is_not_touched(model, photo):
    before, hole = photo.copy(), HOLES["specks"].copy()
    model.inpaint(photo, hole, dilate=3)
    assert np.array_equal(photo, before)
    assert np.array_equal(hole, HOLES["specks"])


def test_the_same_twice(model, photo):
    picture = large(photo)
    hole = box(picture.shape, 50, 400, 100, 500)
    assert np.array_equal(model.inpaint(picture, hole), model.inpaint(picture, hole))


# Masks


def test_an_empty_mask_gives_the_very_pixels_back(model, photo):
    assert np.array_equal(model.inpaint(photo, np.zeros(photo.shape[:2])), photo)


def test_masks_of_every_kind_say_the_same(model, photo, tmp_path):
    hole = HOLES["touching"]
    Image.fromarray(hole).save(tmp_path / "mask.png")
    expected = model.inpaint(photo, hole)
    for mask in (
        hole.astype(np.uint8),
        hole[..., None].astype(np.float32),
        torch.from_numpy(hole)[None],
        Image.fromarray(hole),
        Image.fromarray(hole.astype(np.uint8) * 255).convert("RGB"),
        tmp_path / "mask.png",
        str(tmp_path / "mask.png"),
    ):
        assert np.array_equal(model.inpaint(photo, mask), expected)


def test_images_of_every_kind_come_back_as_they_are(model, photo, tmp_path):
    hole = HOLES["touching"]
    expected = model.inpaint(photo, hole)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    for image in (Image.fromarray(photo), tmp_path / "photo.png"):
        assert np.array_equal(np.array(model.inpaint(image, hole)), expected)
    tensor = model.inpaint(torch.from_numpy(photo).permute(2, 0, 1), hole)
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), expected)
    assert np.array_equal(model.inpaint(Picture(photo), hole).pixels, expected)


def test_a_hole_can_be_made_larger(model, photo):
    small, wide = box(photo.shape, 40, 60, 50, 80), box(photo.shape, 37, 63, 47, 83)
    changed = (model.inpaint(photo, small, dilate=3) != photo).any(axis=2)
    assert changed[~small].any()
    assert not changed[~wide].any()


@pytest.mark.parametrize("picture", ["colour", "transparent"])
def test_a_picture_that_is_all_hole_is_refused(model, photo, picture):
    alpha = np.where(HOLES["in the middle"], 255, 0).astype(np.uint8)
    image = Picture(photo) if picture == "colour" else Picture(photo, alpha)
    hole = np.ones(photo.shape[:2], bool) if picture == "colour" else alpha > 0
    with pytest.raises(ImageError, match="is covered by the hole entirely"):
        model.inpaint(image, hole)


@pytest.mark.parametrize("image", ["array", "picture"])
def test_a_mask_of_another_size_is_refused_with_both(model, photo, image):
    with pytest.raises(ImageError, match="is 160 x 107 pixels, but its mask is 107 x 160"):
        model.inpaint(photo if image == "array" else Picture(photo), np.zeros((160, 107)))


@pytest.mark.parametrize("mask", [np.zeros(5), np.zeros((107, 160, 3)), np.zeros((0, 5)), None, 7], ids=repr)
def test_what_is_no_mask_is_refused(model, photo, mask):
    with pytest.raises(UsageError, match=r"mask must be|an image is"):
        model.inpaint(photo, mask)


# Training


def training_batch(model: MAE, photo: np.ndarray, settings: Masks):
    clean = torch.from_numpy(photo[:64, :128]).permute(2, 0, 1) / 255
    clean = torch.stack([*clean.split(64, dim=2)] * 2)
    return model.corrupt(clean, torch.Generator().manual_seed(0), settings)


def test_a_corrupted_batch_knows_what_is_outside_its_holes(model, photo):
    batch = training_batch(model, photo, Masks(refined=0.5))
    outside = batch["mask"] == 0
    assert torch.equal(batch["filled"] * outside, batch["clean"] * outside)
    assert set(batch["mask"].unique().tolist()) <= {0.0, COARSE, UNKNOWN}


@pytest.mark.parametrize("low_pass", [1, 4])
@pytest.mark.parametrize("settings", [Masks(), Masks(refined=1.0), Masks(patch=8)], ids=str)
def test_a_few_steps_of_training_lower_the_loss(photo, settings, low_pass):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MAE(MAEConfig(widths=(8, 8), blocks=1, dilations=(1, 2)))
    batch = training_batch(model, photo, settings)
    losses = []
    for _ in range(15):
        model.zero_grad()
        loss = model.loss(batch, MAEObjective(low_pass=low_pass))["loss"]
        loss.backward()
        losses.append(loss.item())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.003)
        with torch.no_grad():
            for weight in model.parameters():
                weight -= weight.grad
    assert losses[-1] < losses[0]


def test_the_figures_of_a_batch_are_those_of_its_holes(photo):
    model = MAE(MAEConfig(widths=(8, 8), blocks=1, dilations=(1,)))
    batch = training_batch(model, photo, Masks(refined=0.0))
    figures = model.validate(batch)
    perfect = model.validate({**batch, "filled": batch["clean"]})
    assert 10 < figures["psnr"] < 40
    assert 0 < figures["energy"] < 1  # smooth
    assert perfect["psnr"] == pytest.approx(50)
    assert perfect["energy"] == pytest.approx(1)


@pytest.mark.parametrize("wrong", [{"channels": 2}, {"widths": ()}, {"blocks": 0}, {"dilations": (0,)}], ids=str)
def test_a_configuration_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="model"):
        MAEConfig(**wrong)
