"""What `denoise` promises of every denoiser, kept by a small one: how well a large one does it, `quality/` says."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

import vaetool
from vaetool import images
from vaetool.denoising.cleaning import Cleaning
from vaetool.denoising.dae import DAE, DAEConfig
from vaetool.denoising.task import denoise_picture
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.images.metrics import psnr
from vaetool.images.palette import has_few_colours

SIGMA = 25
KINDS = ("colour", "16-bit colour", "grey", "16-bit grey", "transparent")
SIZES = [(1, 1), (1, 17), (17, 1), (2, 3), (3, 500), (33, 47), (64, 64), (101, 203)]


@pytest.fixture(scope="module")
def model(tiny_dae):
    return vaetool.load(tiny_dae, device="cpu", precision="float32")


@pytest.fixture(scope="module", params=["china", "flower"])
def photo(request, photographs) -> np.ndarray:
    """A clean photograph, (height, width, 3) in 0..1."""
    return np.asarray(photographs[request.param], np.float32) / 255


def grey(photo: np.ndarray) -> np.ndarray:
    return photo.mean(axis=2)


def with_noise(clean: np.ndarray, sigma: float = SIGMA, seed: int = 0) -> np.ndarray:
    """Noise of a sigma in 8-bit units, not clipped."""
    drawn = np.random.default_rng(seed).normal(0, sigma / 255, clean.shape)
    return (clean + drawn).astype(np.float32)


def stored(values: np.ndarray, dtype=np.uint8) -> np.ndarray:
    top = np.iinfo(dtype).max
    return np.rint(values.clip(0, 1) * top).astype(dtype)


def levels(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, in 8-bit units."""
    return 255 * float(np.abs(a.astype(np.float64) - b).max())


def as_kind(kind: str, photo: np.ndarray) -> tuple[Picture, np.ndarray]:
    """A noisy photo as a picture of a kind, and what it would be without noise, in 0..1."""
    if kind.endswith("colour"):
        return Picture(stored(with_noise(photo), np.uint16 if kind.startswith("16") else np.uint8)), photo
    if kind == "transparent":
        alpha = np.full(photo.shape[:2], 255, np.uint8)
        alpha[:20] = 0
        return Picture(stored(with_noise(photo)), alpha), photo
    clean = grey(photo)[..., None]
    return Picture(stored(with_noise(clean), np.uint16 if kind == "16-bit grey" else np.uint8)), clean


# Noise goes, the photo stays


@pytest.mark.parametrize("kind", KINDS)
def test_noise_goes_down_on_photos_of_every_kind(model, photo, kind):
    noisy, clean = as_kind(kind, photo)
    after = model.denoise(noisy)
    visible = slice(None) if noisy.alpha is None else noisy.alpha > 0
    top = np.iinfo(noisy.pixels.dtype).max
    assert psnr(after.pixels[visible] / top, clean[visible]) > psnr(noisy.pixels[visible] / top, clean[visible]) + 2


@pytest.mark.parametrize("sigma", [10, 25, 50])
def test_blind_is_close_to_knowing_sigma(model, photo, sigma):
    noisy = with_noise(photo, sigma)
    assert psnr(model.denoise(noisy), photo) > psnr(model.denoise(noisy, sigma), photo) - 0.4


@pytest.mark.parametrize("sigma", [10, 15, 25, 50])
@pytest.mark.parametrize("channels", ["colour", "grey"])
def test_sigma_is_estimated_within_a_third(model, photo, sigma, channels):
    clean = photo if channels == "colour" else grey(photo)
    assert model.estimate_sigma(with_noise(clean, sigma)) == pytest.approx(sigma, rel=0.33)


def test_noise_that_was_not_clipped_is_taken_and_the_result_not_clipped(model, photo):
    noisy = with_noise(photo, 50)
    assert noisy.min() < -0.1
    assert noisy.max() > 1.1
    after = model.denoise(noisy - 0.5)  # far below black
    assert after.min() < -0.4
    assert levels(after + 0.5, model.denoise(noisy)) < 64  # no edge of the range was in the way


def test_the_report_tells_the_estimated_sigma_and_the_picture_is_the_same(model, photo):
    noisy = Picture(stored(with_noise(photo)))
    after, facts = denoise_picture(model, noisy)
    sigma = round(model.estimate_sigma(noisy), 2)
    assert facts == {"sigma": sigma, "sigma_range": [sigma, sigma], "changed": True}
    assert np.array_equal(after.pixels, model.denoise(noisy).pixels)


def test_the_report_tells_the_sigma_that_was_given(model, photo):
    facts = denoise_picture(model, Picture(stored(photo)), Cleaning(sigma=12.5))[1]
    assert facts == {"sigma": 12.5, "sigma_range": [12.5, 12.5], "changed": True}


def test_the_report_tells_the_range_of_a_map(photo):
    mapped = DAE(DAEConfig(widths=(8, 8), blocks=1, estimator_widths=(4, 4), pooling=5)).eval()
    noisy = with_noise(photo)
    noisy[:, :80] = photo[:, :80]
    facts = denoise_picture(mapped, Picture(stored(noisy)))[1]
    low, high = facts["sigma_range"]
    assert low < facts["sigma"] < high


@pytest.mark.parametrize(
    ("picture", "options", "reason"),
    [
        (np.full((48, 48, 3), 99, np.uint8), {"sigma": None}, "few colours, so not a photo (--sigma N"),
        (np.linspace(0, 255, 48 * 48 * 3).reshape(48, 48, 3).astype(np.uint8), {"sigma": None}, "no noise found"),
        (np.full((48, 48, 3), 99, np.uint8), {"sigma": 0}, "nothing to remove at this --sigma"),
        (
            np.linspace(0, 255, 48 * 48 * 3).reshape(48, 48, 3).astype(np.uint8),
            {"strength": 0},
            "nothing is removed at",
        ),
    ],
)
def test_the_report_says_why_nothing_changed(model, picture, options, reason):
    before = Picture(picture)
    after, facts = denoise_picture(model, before, Cleaning(**options))
    assert after is before
    assert facts["changed"] is False
    assert facts["reason"].startswith(reason)


def test_a_grey_picture_is_its_colour_picture_without_the_colour(model, photo):
    noisy = with_noise(grey(photo))
    colour = model.denoise(np.dstack([noisy] * 3))
    assert levels(model.denoise(noisy), colour.mean(axis=2)) < 0.01


# Strength


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("sigma", [None, 50])
def test_strength_0_gives_the_image_back_exactly(model, photo, dtype, sigma):
    noisy = with_noise(photo).astype(dtype) if np.issubdtype(dtype, np.floating) else stored(with_noise(photo), dtype)
    assert np.array_equal(model.denoise(noisy, sigma, strength=0), noisy)


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.75])
def test_a_strength_below_1_takes_that_share_of_the_noise(model, photo, strength):
    noisy = with_noise(photo)
    everything = model.denoise(noisy) - noisy
    assert levels(model.denoise(noisy, strength=strength) - noisy, strength * everything) < 0.01


def test_a_strength_above_1_counts_the_noise_as_so_much_stronger(model, photo):
    noisy = with_noise(photo, 20)
    assert levels(model.denoise(noisy, sigma=20, strength=1.5), model.denoise(noisy, sigma=30)) < 0.01


# Nothing to do


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (np.uint8, [0, 1, 100, 255]),
        (np.uint16, [0, 257, 40001, 65535]),
        (np.float32, [0.0, 0.1, 1.0, -2.7]),
        (np.float64, [0.1, 1 / 3]),
    ],
    ids=["uint8", "uint16", "float32", "float64"],
)
def test_a_constant_picture_comes_back_exactly(model, size, channels, dtype, values):
    for value in values:
        constant = np.full((*size, channels), value, dtype)
        assert np.array_equal(model.denoise(constant), constant)


def test_a_picture_of_one_colour_comes_back_exactly(model):
    coloured = np.full((45, 67, 3), (200, 31, 99), np.uint8)
    assert np.array_equal(model.denoise(coloured), coloured)


# Sizes and tiles


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("sigma", [None, SIGMA])
def test_every_size_is_kept(model, size, sigma):
    assert model.denoise(with_noise(np.full((*size, 3), 0.5)), sigma).shape == (*size, 3)


@pytest.mark.parametrize("size", [(17, 301), (33, 47), (101, 203)], ids=str)
def test_odd_sizes_lose_their_noise_too(model, size):
    flat = np.full((*size, 3), 0.5)
    noisy = with_noise(flat)
    assert psnr(model.denoise(noisy), flat) > psnr(noisy, flat) + 2


@pytest.mark.parametrize("shape", [(107, 160), (106, 159), (99, 33), (33, 47)], ids=str)
@pytest.mark.parametrize("tile", [16, 32, 48, 64, 100])
@pytest.mark.parametrize("sigma", [None, 50])
def test_tiles_leave_no_trace(model, photo, shape, tile, sigma):
    noisy = with_noise(photo[: shape[0], : shape[1]], 50)
    assert levels(model.denoise(noisy, sigma, tile=tile), model.denoise(noisy, sigma, tile=4096)) <= 1


def test_the_noise_map_is_the_same_in_tiles(model, photo):
    noisy = with_noise(photo, 50)
    assert levels(model.noise_map(noisy, tile=32), model.noise_map(noisy)) < 0.01


@pytest.mark.parametrize("shape", [(33, 49), (41, 65), (64, 96), (107, 145)], ids=str)
@pytest.mark.parametrize("tile", [None, 32])
def test_the_noise_map_stays_with_its_places(photo, shape, tile):
    """At any size, as a picture is padded for the network, this one to a multiple of 16."""
    deep = DAE(DAEConfig(widths=(8, 8, 8, 8), blocks=1, estimator_widths=(8, 8), uniform=False)).eval()
    picture = photo[: shape[0], : shape[1]]
    noise = deep.noise_map(picture)
    edge = noise.shape[1] - 3
    noise[:, :edge], noise[:, edge:] = 0, 0.2
    changed = (deep.denoise_pixels(picture, noise, Cleaning(tile=tile)) != picture).any(axis=2).mean(axis=0)
    assert (changed[: 4 * edge - 4] == 0).all()
    assert (changed[4 * edge + 4 :] > 0.9).all()


# Pictures of few colours


def two_colours(photo: np.ndarray) -> np.ndarray:
    """Dithered to black and white."""
    return np.asarray(Image.fromarray(stored(photo)).convert("1").convert("RGB"))


def sprite(photo: np.ndarray) -> np.ndarray:
    """In forty colours, each pixel as four by four."""
    palette = Image.fromarray(stored(photo)).quantize(40)
    return np.asarray(palette.convert("RGB")).repeat(4, axis=0).repeat(4, axis=1)


@pytest.mark.parametrize("draw", [two_colours, sprite])
def test_a_picture_of_few_colours_is_left_alone(model, photo, draw):
    picture = draw(photo)
    assert has_few_colours(picture)
    assert np.array_equal(model.denoise(picture), picture)
    assert not np.array_equal(model.denoise(picture, sigma=25), picture)


def test_sixteen_levels_of_grey_are_few_if_they_are_spread(photo):
    levels = stored(grey(photo))[..., None] // 16
    assert has_few_colours(levels * 17)
    assert has_few_colours(np.dstack([levels * 17] * 3))
    assert has_few_colours((levels * 17).astype(np.uint16))
    assert not has_few_colours(levels + 100)  # without gaps: a dull photo


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_noisy_photo_has_many_colours(photo, dtype):
    noisy = with_noise(photo, 3)
    pixels = noisy if dtype == np.float32 else stored(noisy, dtype)
    assert not has_few_colours(pixels)
    assert not has_few_colours(pixels[..., :1])
    assert not has_few_colours(np.dstack([pixels[..., :1]] * 3))


def test_a_noisy_flat_field_is_no_drawing():
    flat = np.random.default_rng(0).normal(100, 2, (128, 128, 1)).round().astype(np.uint8)
    assert len(np.unique(flat)) < 24
    assert not has_few_colours(flat)


def test_a_handful_of_pixels_tells_nothing_of_colours():
    assert not has_few_colours(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))


# What tells nothing of the noise


def stored_noisy_photo(photo: np.ndarray) -> np.ndarray:
    return np.rint(255 * with_noise(photo, 25).clip(0, 1)).astype(np.uint8)


@pytest.mark.parametrize("share", [0.3, 0.6])
@pytest.mark.parametrize("value", [0, 255, 240])
def test_a_border_does_not_hide_the_noise(model, photo, share, value):
    picture = stored_noisy_photo(photo)
    alone = model.estimate_sigma(picture[:, int(share * picture.shape[1]) :])
    picture[:, : int(share * picture.shape[1])] = value
    assert model.estimate_sigma(picture) == pytest.approx(alone, rel=0.25)


def test_a_cut_out_shows_its_noise(model, photo):
    picture = stored_noisy_photo(photo)
    alpha = np.zeros(picture.shape[:2], np.uint8)
    alpha[20:80, 30:110] = 255
    assert model.estimate_sigma(Image.fromarray(np.dstack([picture, alpha]))) > 10


def test_a_mostly_clipped_picture_still_has_noise(model):
    page = np.random.default_rng(0).normal(255, 50, (160, 160, 3)).clip(0, 255).round().astype(np.uint8)
    assert model.estimate_sigma(page) > 10


def test_tiles_follow_the_grid_of_a_deep_network():
    torch.manual_seed(0)
    deep = DAE(DAEConfig(widths=(4,) * 6, blocks=1, estimator_widths=(4, 4))).eval()
    noisy = np.random.default_rng(0).normal(0.5, 0.2, (320, 192, 3)).astype(np.float32)
    noise = np.full((1, 1), 0.2, np.float32)
    assert (
        levels(
            deep.denoise_pixels(noisy, noise, Cleaning(tile=128)), deep.denoise_pixels(noisy, noise, Cleaning(tile=999))
        )
        <= 1
    )


# Repeatable


def test_the_same_twice(model, photo):
    noisy = with_noise(photo)
    assert np.array_equal(model.denoise(noisy), model.denoise(noisy))


def test_the_number_of_threads_changes_at_most_one_level(model, photo):
    noisy = stored(with_noise(photo))
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, max(2, os.cpu_count() or 1)):
            torch.set_num_threads(count)
            results.append(model.denoise(noisy))
    finally:
        torch.set_num_threads(threads)
    assert levels(results[0] / 255, results[1] / 255) <= 1


# Refused


@pytest.mark.parametrize("sigma", [-1, 255.1, float("nan"), float("inf")])
def test_a_sigma_out_of_range_is_a_usage_error(model, photo, sigma):
    with pytest.raises(UsageError, match="sigma must be from 0 to 255"):
        model.denoise(photo, sigma)


@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan")])
def test_a_strength_out_of_range_is_a_usage_error(model, photo, strength):
    with pytest.raises(UsageError, match="strength must be from 0 to 2"):
        model.denoise(photo, strength=strength)


@pytest.mark.parametrize("tile", [0, -64])
def test_a_tile_without_pixels_is_a_usage_error(model, photo, tile):
    with pytest.raises(UsageError, match="tile must be 1 pixel or more"):
        model.denoise(photo, tile=tile)


def test_a_model_for_grey_takes_grey_pictures_only(photo):
    model = DAE(DAEConfig(channels=1, widths=(8, 16), blocks=1, estimator_widths=(8, 8))).eval()
    assert model.denoise(Image.fromarray(stored(grey(photo)))).mode == "L"
    with pytest.raises(ImageError, match="grey"):
        model.denoise(photo)


def test_a_model_of_one_level_works(photo):
    model = DAE(DAEConfig(widths=(8,), blocks=1, estimator_widths=(8, 8))).eval()
    assert model.denoise(photo[:33, :47]).shape == (33, 47, 3)


# Other ranges than those of eight and sixteen bits


def test_twelve_bits_in_sixteen_are_cleaned_like_sixteen(model, photo):
    noisy = with_noise(photo).clip(0, 1)
    sixteen, twelve = (
        model.denoise(np.rint(noisy * top).astype(np.uint16)).astype(np.float64) / top for top in (65535, 4095)
    )
    assert levels(sixteen, twelve) < 0.3
    assert levels(sixteen, noisy) > 5


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_all_pages_are_cleaned_in_their_own_range(model, photo, dtype):
    scale = {np.uint8: 255, np.uint16: 4095, np.float32: 3000}[dtype]
    clean = grey(photo)[..., None]
    pages = [with_noise(clean, seed=seed).clip(0, 1) * scale for seed in range(3)]
    first, *others = (Picture(np.rint(page).astype(dtype), format="TIFF") for page in pages)
    result, facts = denoise_picture(model, replace(first, pages=tuple(others)))
    assert (facts["pages"], facts["changed"], len(result.pages)) == (3, True, 2)
    for before, after in zip(pages, (result, *result.pages), strict=True):
        assert after.pixels.dtype == dtype
        assert psnr(after.pixels / scale, clean, 1) > psnr(before / scale, clean, 1) + 2


def test_a_stack_goes_through_the_command(vaetool, tiny_dae, photo, tmp_path):
    import tifffile

    pages = np.stack([with_noise(grey(photo), seed=seed) * 500 - 100 for seed in range(2)])
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    result = vaetool("denoise", tmp_path / "stack.tif", "-m", tiny_dae, "-o", tmp_path / "out.tif", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["pages"] == 2
    found = tifffile.imread(tmp_path / "out.tif")
    assert (found.dtype, found.shape) == (np.float32, pages.shape)
    clean = grey(photo) * 500 - 100
    assert np.square(found - clean).mean() < 0.5 * np.square(pages - clean).mean()
    refused = vaetool("denoise", tmp_path / "stack.tif", "-m", tiny_dae, "-o", tmp_path / "out.png")
    assert (refused.exit_code, "has 2 pages, and PNG holds one" in refused.stderr) == (1, True)
    assert not (tmp_path / "out.png").exists()


# What may stay: grain, colour noise


def parts(change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What all colours have in common, and the rest."""
    common = change.mean(axis=2, keepdims=True)
    return common, change - common


@pytest.mark.parametrize("kept", [0.4, 1.0])
@pytest.mark.parametrize("name", ["grain", "colour_noise"])
def test_a_share_of_the_grain_or_of_the_colour_noise_stays(model, photo, name, kept):
    noisy = with_noise(photo)
    common, rest = parts(model.denoise(noisy) - noisy)
    changed_common, changed_rest = parts(model.denoise(noisy, **{name: kept}) - noisy)
    assert levels(changed_common, (1 - kept) * common if name == "grain" else common) < 0.01
    assert levels(changed_rest, (1 - kept) * rest if name == "colour_noise" else rest) < 0.01


def test_a_grey_picture_has_grain_alone(model, photo):
    noisy = with_noise(grey(photo))
    assert np.array_equal(model.denoise(noisy, grain=1), noisy)
    assert levels(model.denoise(noisy, colour_noise=1), model.denoise(noisy)) < 0.01


@pytest.mark.parametrize("name", ["grain", "colour_noise"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_a_usage_error(model, photo, name, value):
    with pytest.raises(UsageError, match=f"{name} must be from 0 to 1"):
        model.denoise(photo, **{name: value})


# Clean pictures that are no photos, and too much noise


def page_of_text(mode="L", size=12, ink=0, paper=255):
    page = Image.new(mode, (400, 120), paper)
    for row in range(4, 110, size + 3):
        words = "The committee met at noon; 14 of 27 items were agreed upon, see p. 3."
        ImageDraw.Draw(page).text((5, row), words, fill=ink, font=ImageFont.load_default(size))
    return page


def code_of_squares(side):
    squares = np.random.default_rng(0).integers(0, 2, (33, 33)) * 255
    return Image.fromarray(np.kron(squares, np.ones((side, side))).astype(np.uint8))


def sprite(side, colours, alpha):
    generator = np.random.default_rng(0)
    palette = generator.integers(0, 256, (colours, 3))
    pixels = palette[generator.integers(0, colours, (side, side))].astype(np.uint8)
    hidden = np.where(generator.random((side, side)) < 0.3, 0, 255).astype(np.uint8)
    return Image.fromarray(np.dstack([pixels, hidden]) if alpha else pixels)


@pytest.fixture(scope="module")
def bundled():
    return vaetool.load("photo-denoise", device="cpu")


@pytest.mark.parametrize(
    "drawing",
    [
        page_of_text("1", paper=1),
        page_of_text(),
        page_of_text(size=9),
        page_of_text("RGB", ink=(20, 30, 90), paper=(250, 245, 230)),
        page_of_text().rotate(5, Image.Resampling.BICUBIC, fillcolor=255),
        code_of_squares(1),
        code_of_squares(8),
        code_of_squares(8).resize((300, 300), Image.Resampling.BICUBIC),
        sprite(16, 24, alpha=False),
        sprite(16, 24, alpha=True),
        sprite(64, 200, alpha=True),
    ],
)
def test_clean_drawings_are_left_alone(bundled, drawing):
    picture = images.from_pil(drawing)
    assert denoise_picture(bundled, picture)[0] is picture


@pytest.mark.parametrize("colours", [2, 16, 256])
def test_dithered_photos_are_left_alone(bundled, photographs, colours):
    photo = photographs["china"]
    picture = images.from_pil(photo.convert("1") if colours == 2 else photo.quantize(colours, dither=1))
    assert denoise_picture(bundled, picture)[0] is picture


def test_more_noise_than_training_saw_is_warned_of(bundled, photographs):
    photo = np.asarray(photographs["china"], float)
    for sigma, expected in ((20, 0), (120, 1)):
        noisy = (photo + np.random.default_rng(0).normal(0, sigma, photo.shape)).clip(0, 255).astype(np.uint8)
        found = denoise_picture(bundled, Picture(noisy))[0].warnings
        assert len(found) == expected
        assert all("is more than denoisers are trained on" in words for words in found)
    assert denoise_picture(bundled, Picture(noisy), Cleaning(sigma=120))[0].warnings == ()


def test_weights_that_overflow_are_refused(photographs):
    broken = vaetool.load("photo-denoise", device="cpu")
    for weight in broken.unet.parameters():
        weight.mul_(1e30)
    with pytest.raises(ImageError, match="so large that they give no numbers"):
        denoise_picture(broken, images.from_pil(photographs["china"]), Cleaning(sigma=20))


# JPEG files


@pytest.mark.parametrize(("quality", "sigma"), [(10, 0), (40, 0), (10, 8), (40, 8), (75, 8)])
def test_a_jpeg_is_better_than_before_when_it_is_written_again(photographs, quality, sigma):
    clean = np.asarray(photographs["china"])
    file = io.BytesIO()
    Image.fromarray(stored(with_noise(clean / 255, sigma))).save(file, "JPEG", quality=quality)
    picture = images.read(file.getvalue())
    model = vaetool.load("photo-denoise", kind="dae", device="cpu")
    cleaned, facts = denoise_picture(model, picture)
    again = images.read(images.encode(cleaned, "JPEG"))
    assert facts["changed"]
    assert psnr(again.pixels, clean) > psnr(picture.pixels, clean)
