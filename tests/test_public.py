"""The public functions do what the commands of their names do, for images of any kind."""

from __future__ import annotations

import typing

import numpy as np
import pytest
import torch
from PIL import Image

import vaetool
from vaetool import public
from vaetool.errors import ImageError, UsageError, WrongKindError
from vaetool.store.kinds import KINDS
from vaetool.store.weights import manifest, model_class


@pytest.fixture
def noisy(tmp_path, photographs):
    """The path of a small noisy picture."""
    pixels = np.asarray(photographs["flower"].resize((96, 64))).astype(float)
    pixels += np.random.default_rng(0).normal(0, 20, pixels.shape)
    path = tmp_path / "noisy.png"
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)
    return path


def test_denoise_is_what_the_command_does(vaetool_process, noisy, tiny_dae):
    clean = vaetool.denoise(noisy, model=tiny_dae, device="cpu")
    assert vaetool_process("denoise", noisy, "-m", tiny_dae, "--device", "cpu").exit_code == 0
    assert np.array_equal(np.asarray(clean), np.asarray(Image.open(noisy.with_name("noisy.denoised.png"))))


def test_the_same_kind_of_image_comes_back(noisy, tiny_dae):
    model = vaetool.load(tiny_dae, device="cpu")
    pixels = np.asarray(Image.open(noisy))
    clean = vaetool.denoise(pixels, model=model)
    assert isinstance(clean, np.ndarray)
    assert torch.equal(
        vaetool.denoise(torch.from_numpy(pixels.copy()).permute(2, 0, 1), model=model),
        torch.from_numpy(clean).permute(2, 0, 1),
    )
    assert np.array_equal(np.asarray(vaetool.denoise(Image.open(noisy), model=model)), clean)


@pytest.mark.parametrize("how", ["array", "image", "path", "box", "color", "alpha"])
def test_holes_are_found_in_every_way(noisy, how):
    image = Image.open(noisy)
    pixels = np.asarray(image).copy()
    mask = np.zeros(pixels.shape[:2], bool)
    mask[20:30, 40:55] = True
    given = {
        "array": {"mask": mask},
        "image": {"mask": Image.fromarray(mask)},
        "path": {"mask": noisy.with_name("mask.png")},
        "box": {"box": [(40, 20, 15, 10)]},
        "color": {"color": "#ff00ff"},
        "alpha": {"alpha": True},
    }[how]
    Image.fromarray(mask).save(noisy.with_name("mask.png"))
    if how == "color":
        pixels[mask] = (255, 0, 255)
        image = Image.fromarray(pixels)
    if how == "alpha":
        image.putalpha(Image.fromarray((~mask * 255).astype(np.uint8)))
    filled = np.asarray(vaetool.inpaint(image, **given, device="cpu"))[..., :3]
    assert (filled != pixels)[mask].any(axis=1).mean() > 0.9
    assert np.array_equal(filled[~mask], pixels[~mask])


def test_several_ways_to_find_holes_are_taken_together(tiny_mae):
    pixels, mask = np.full((32, 32, 3), 100, np.uint8), np.zeros((32, 32), bool)
    mask[20:24] = True
    filled = vaetool.inpaint(pixels, mask, model=tiny_mae, box=[(0, 0, 4, 4)], device="cpu")
    changed = (filled != pixels).any(axis=2)
    assert changed[20:24].mean() > 0.9
    assert changed[:4, :4].mean() > 0.9
    assert changed.sum() <= 4 * 32 + 16
    with pytest.raises(UsageError, match="where are the holes"):
        vaetool.inpaint(pixels, model=tiny_mae)


def test_pictures_are_sampled_and_morphed(tiny_vae, digit_folders):
    assert vaetool.sample(3, model=tiny_vae, device="cpu").shape == (3, 16, 16, 1)
    two = sorted(digit_folders.rglob("*.png"))[:2]
    assert vaetool.morph(two, model=tiny_vae, frames=5, size=32, device="cpu").shape == (5, 32, 32, 1)
    along = vaetool.morph(two[:1], model=tiny_vae, direction="0", frames=4, device="cpu")
    assert along.shape == (4, 256, 256, 1)
    with pytest.raises(UsageError, match="5 frames of 9000 x 9000 pixels are too large"):
        vaetool.morph(two, model=tiny_vae, frames=5, size=9000, device="cpu")
    with pytest.raises(UsageError, match="a direction changes one picture, not 2"):
        vaetool.morph(two, model=tiny_vae, direction="0", device="cpu")


def test_codes_are_written(tiny_vae, digit_folders, tmp_path):
    result = vaetool.latent(tiny_vae, digit_folders, tmp_path / "space", device="cpu")
    assert (tmp_path / "space" / "codes.csv").is_file()
    assert result.pictures > 0


def test_a_picture_to_a_file_and_back(noisy):
    data = vaetool.compress(noisy, quality=30, device="cpu")
    for same in (data, bytearray(data), memoryview(data)):
        assert vaetool.decompress(same).size == (96, 64)


def test_images_of_any_kind_are_compared(noisy, tiny_codec, monkeypatch):
    monkeypatch.setenv("VAETOOL_MODELS", str(tiny_codec.parent))
    image, pixels = Image.open(noisy), np.asarray(Image.open(noisy))
    for same in (noisy, str(noisy), image, pixels, torch.from_numpy(pixels.copy()).permute(2, 0, 1), pixels / 255):
        assert vaetool.compare(same, image).identical
    noisy.with_name("noisy.vae").write_bytes(vaetool.compress(noisy, tiny_codec, quality=30, device="cpu"))
    found = vaetool.compare(noisy.with_name("noisy.vae"), noisy)
    assert found == vaetool.compare(vaetool.decompress(noisy.with_name("noisy.vae")), image)
    assert 15 < found.psnr < 40
    assert (found.ms_ssim, found.identical) == (None, False)


def test_floating_point_is_compared_as_it_is():
    found = vaetool.compare(np.full((16, 16), 0.5), np.full((16, 16), 0.5 + 1e-4))
    assert (found.psnr, found.peak) == (pytest.approx(80, abs=0.01), 1)
    with pytest.raises(UsageError, match="an image is a path"):
        vaetool.compare(3, np.zeros((16, 16)))


def test_a_model_of_another_kind_is_refused(noisy, tiny_vae):
    with pytest.raises(WrongKindError, match="this is a vae; a dae is needed"):
        vaetool.denoise(noisy, model=vaetool.load(tiny_vae, device="cpu"))
    with pytest.raises(WrongKindError, match="this is a vae; a codec is needed"):
        vaetool.compress(noisy, model=tiny_vae)


def test_what_is_no_image_is_an_error_of_ours(tiny_dae, tmp_path):
    with pytest.raises(ImageError, match=r"gone\.png"):
        vaetool.denoise(tmp_path / "gone.png", model=tiny_dae)
    with pytest.raises(ImageError, match=r"gone\.png: No such file"):
        vaetool.compare(tmp_path / "gone.png", np.zeros((16, 16)))


def test_an_editor_knows_the_class_that_load_gives():
    signatures = [each.__annotations__ for each in typing.get_overloads(public.load)]
    for name, entry in manifest().items():
        expected = [model_class(entry["kind"]).__name__]
        assert [each["return"] for each in signatures if f"'{name}'" in each["name"]] == expected
    for kind in KINDS:
        expected = [model_class(kind).__name__]
        assert [each["return"] for each in signatures if f"'{kind}'" in each["kind"]] == expected
