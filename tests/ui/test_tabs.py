"""The tabs Denoise, Compress, Sample, Morph and Score, with the bundled models."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from vaetool import compare, images, load, sample, train
from vaetool import denoise as denoised
from vaetool import morph as morphed
from vaetool.errors import ImageError, UsageError, WrongKindError
from vaetool.images import Picture
from vaetool.ui.compress import Pack, pack
from vaetool.ui.denoise import Clean, clean
from vaetool.ui.morph import Encode, Morph, encode, frames
from vaetool.ui.sample import Axes, Decode, Draw, axes, decode, samples
from vaetool.ui.score import Clear, Judge, add, clear, judge
from vaetool.ui.views import SHOWN_PIXELS, preview, saved


def pixels_of(address: str) -> np.ndarray:
    """Of an image in its address."""
    kind, data = re.fullmatch(r"data:image/(\w+);base64,(.*)", address).groups()
    assert kind in {"png", "webp"}
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


# Denoise


@pytest.fixture(scope="module")
def noisy(photographs):
    pixels = np.asarray(photographs["flower"]) + np.random.default_rng(0).normal(0, 20, (107, 160, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def test_denoising_is_that_of_the_command(session, opened, noisy):
    photo = opened(noisy, "night.png")
    found = clean(session, Clean(photo["id"], strength=0.7, grain=0.2))
    expected = denoised(np.asarray(noisy), strength=0.7, grain=0.2, device="cpu")
    assert np.array_equal(session.find(found["id"]).picture.pixels, expected)
    assert (found["name"], found["changed"]) == ("night.denoised.png", True)
    assert 10 < found["sigma"] < 40


def test_a_photo_without_noise_is_saved_as_the_same_file(session, opened, photos):
    data = photos[0].read_bytes()
    found = clean(session, Clean(opened(data, "china.jpg")["id"], sigma=0.0))
    assert found["changed"] is False
    assert found["reason"]
    assert "--" not in found["reason"]
    assert saved(session.find(found["id"])) == ("china.denoised.jpg", data)


def test_values_out_of_range_and_models_of_another_kind_are_refused(session, opened):
    photo = opened()
    with pytest.raises(UsageError, match="strength must be from 0 to 2, not 3"):
        clean(session, Clean(photo["id"], strength=3))
    with pytest.raises(WrongKindError, match="this is a vae; a dae is needed"):
        clean(session, Clean(photo["id"], model="faces"))


# Compress


def test_compressing_is_that_of_the_command_and_the_file_can_be_saved(session, opened, photos, vaetool):
    photo = opened(photos[1].read_bytes())
    found = pack(session, Pack(photo["id"], quality=40))
    assert vaetool("compress", photos[1], "-q", "40", "--device", "cpu", "--json").exit_code == 0
    name, data = saved(session.find(found["file"]))
    assert name == "flower.vae"
    assert data == photos[1].with_suffix(".vae").read_bytes()
    assert found["bits"] == 8
    assert (found["bytes"], found["quality"], found["in_bytes"]) == (len(data), 40, photos[1].stat().st_size)
    assert found["bpp"] == pytest.approx(8 * len(data) / (107 * 160), abs=1e-4)
    compared = compare(session.find(found["id"]).picture, session.find(photo["id"]).picture)
    assert found["psnr"] == pytest.approx(compared.psnr, abs=0.01)


def test_a_drawing_is_stored_losslessly(session, opened):
    found = pack(session, Pack(opened(Image.new("RGB", (64, 64), "navy"), "flat.png")["id"]))
    assert found["form"] == "lossless"
    assert "psnr" not in found


def test_a_quality_out_of_range_is_refused(session, opened):
    with pytest.raises(UsageError, match="100"):
        pack(session, Pack(opened()["id"], quality=101))


# Sample and morph


def test_samples_are_those_of_the_command(session):
    found = samples(session, Draw(count=3, seed=5, temperature=0.8))
    expected = sample(3, model="faces", seed=5, temperature=0.8, device="cpu")
    assert np.array_equal(np.stack([pixels_of(each) for each in found["pictures"]]), expected)
    assert found["words"].startswith("prior: ")
    again = decode(session, Decode(found["codes"]))
    assert again["pictures"] == found["pictures"]
    assert np.array_equal(session.find(again["id"]).picture.pixels, expected[0])


def test_sliders_are_named_directions_and_the_units_that_change_most(session):
    model = load("smiles", device="cpu")
    found = axes(session, Axes("smiles"))["axes"]
    assert [axis["name"] for axis in found[:2]] == ["neutral", "smile"]
    assert np.allclose(found[1]["vector"], model.named_directions()["smile"][0])
    units = [int(axis["name"].removeprefix("z")) for axis in found[2:]]
    assert len(set(units)) == 8
    mean = model.code_mean.numpy()

    def change(unit: int) -> float:
        step = 3 * model.code_sigma.numpy() * (np.arange(len(mean)) == unit)
        low, high = model.decode(np.stack([mean - step, mean + step])).astype(float)
        return np.abs(high - low).mean()

    others = [unit for unit in range(len(mean)) if unit not in units]
    assert min(map(change, units)) >= max(map(change, others))


def test_a_gan_makes_pictures_and_has_sliders_but_no_codes(session, tiny_gan, opened):
    name = str(tiny_gan)
    found = samples(session, Draw(count=2, seed=3, temperature=0.7, model=name))
    expected = sample(2, model=name, seed=3, temperature=0.7, device="cpu")
    assert np.array_equal(np.stack([pixels_of(each) for each in found["pictures"]]), expected.squeeze(-1))
    assert [axis["name"][0] for axis in axes(session, Axes(name))["axes"]] == ["z"] * 6
    with pytest.raises(WrongKindError, match="this is a gan"):
        encode(session, Encode(opened()["id"], name))


@pytest.mark.parametrize("name", ["pair", "labelled"])
def test_pairs_are_shown_side_by_side(session, tiny_mmvaes, name):
    name = str(tiny_mmvaes / f"{name}.safetensors")
    found = samples(session, Draw(count=2, seed=3, model=name))
    expected = sample(2, model=name, seed=3, device="cpu")
    assert np.array_equal(np.stack([pixels_of(each) for each in found["pictures"]]), expected)
    assert decode(session, Decode(found["codes"], name))["pictures"] == found["pictures"]
    assert len(axes(session, Axes(name))["axes"]) == 8


def test_codes_with_places_have_no_sliders(session, pairs, tmp_path):
    output = tmp_path / "places.safetensors"
    settings = [
        "model.size=32",
        "model.latent=20",
        "model.private=2",
        "model.places=8",
        "model.widths=[8, 16]",
        "model.blocks=[0, 0]",
    ]
    train("mmvae", [pairs / "photos", pairs / "masks"], output=output, settings=[*settings, "training.steps=1"])
    assert samples(session, Draw(count=1, model=str(output)))["pictures"]
    assert axes(session, Axes(str(output))) == {"axes": []}


@pytest.mark.parametrize("codes", [[], [[0.0]], [[float("nan")] * 128]])
def test_codes_that_are_none_are_refused(session, codes):
    with pytest.raises(UsageError, match="codes"):
        decode(session, Decode(codes))


def test_a_morph_is_that_of_the_command(session, opened):
    faces = [Image.fromarray(pixels) for pixels in sample(2, model="faces", device="cpu")]
    both = [opened(face, name) for face, name in zip(faces, ("anna.png", "ben.png"), strict=True)]
    found = frames(session, Morph([photo["id"] for photo in both], frames=5))
    expected = morphed(faces, frames=5, device="cpu")
    assert np.array_equal(np.stack([pixels_of(each) for each in found["frames"]]), expected)
    name, data = saved(session.find(found["webp"]))
    assert (name, Image.open(io.BytesIO(data)).n_frames) == ("anna.morph.webp", 5)
    assert saved(session.find(found["gif"]))[1].startswith(b"GIF89a")
    coded = encode(session, Encode(both[0]["id"]))
    assert np.allclose(coded["code"], load("faces", device="cpu").encode(faces[:1])[0])
    assert pixels_of(coded["seen"]).shape == (64, 64, 3)


def test_a_morph_needs_two_pictures_and_not_too_many_frames(session, opened):
    with pytest.raises(UsageError, match="from one picture to another"):
        frames(session, Morph([opened(Image.fromarray(sample(1, model="faces", device="cpu")[0]))["id"]]))
    with pytest.raises(ImageError, match=r"flower\.png: is not like the pictures"):
        frames(session, Morph([opened()["id"]] * 2))
    with pytest.raises(UsageError, match="at most 256 frames"):
        frames(session, Morph([], frames=1000))
    with pytest.raises(UsageError, match="at most 256 pictures"):
        samples(session, Draw(count=1000))


# Score


def test_new_pictures_are_judged_by_good_ones(session, parts):
    for number, data in enumerate(parts(12)[:-1]):
        assert add(session, data, f"good{number}.png", "good")["count"] == number + 1
    for number, data in enumerate(parts(3)):
        add(session, data, f"../new{number}.png", "new")
    found = judge(session, Judge(alpha=0.1))
    first = found["rows"][0]
    assert (first["name"], first["outlier"]) == ("new3.png", True)
    assert len(found["rows"]) == 4
    heat = pixels_of(first["heat"])
    redness = heat[..., 0].astype(int) - heat[..., 2]
    assert redness[29, 32] > 60 > redness[5, 5]
    assert saved(session.find(found["model"]))[0].endswith(".safetensors")
    assert "only pictures less usual" in found["doubts"][0]
    add(session, parts(12)[0], "again.png", "new")
    found = judge(session, Judge())  # at a level that so few allow
    assert found["rows"][0]["outlier"]
    assert found["doubts"][-1].startswith("the model was fitted to 1 of these 5 pictures")

    clear(session, Clear("new"))
    with pytest.raises(UsageError, match="what is to be judged"):
        judge(session, Judge())


def test_what_is_missing_is_said(session, parts):
    with pytest.raises(UsageError, match="what is good"):
        judge(session, Judge())
    with pytest.raises(ImageError, match=r"^notes\.txt: not a readable image"):
        add(session, b"no image", "notes.txt", "good")
    data = parts(1)[0]
    add(session, data, "good.png", "good")
    add(session, data, "new.png", "new")
    with pytest.raises(UsageError, match="too few good pictures, 1"):
        judge(session, Judge())
    with pytest.raises(UsageError, match="alpha must be between 0 and 1"):
        judge(session, Judge(alpha=2))


# What the browser is shown


def test_a_preview_has_the_same_pixels_and_profile(photographs):
    picture = images.from_pil(photographs["china"])
    shown = images.read(preview(picture))
    assert np.array_equal(shown.pixels, picture.pixels)
    assert shown.icc_profile == picture.icc_profile


def test_twelve_bits_are_shown_in_their_range():
    ramp = np.linspace(0, 4095, 256).astype(np.uint16).reshape(1, 256, 1)
    shown = images.read(preview(Picture(np.repeat(ramp, 4, axis=0)))).pixels
    assert (shown.dtype, shown.min(), shown.max()) == (np.uint8, 0, 255)


def test_transparency_is_shown():
    picture = Picture(np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 128, np.uint8))
    assert (images.read(preview(picture)).alpha == 128).all()
    twelve_bits = Picture(np.full((4, 4, 3), 4095, np.uint16), np.full((4, 4), 128 * 257, np.uint16))
    assert (images.read(preview(twelve_bits)).alpha == 128).all()


def test_a_huge_picture_is_shown_smaller():
    shown = images.read(preview(Picture(np.zeros((5000, 8000, 1), np.uint8))))
    assert 0.9 * SHOWN_PIXELS < shown.width * shown.height <= 1.01 * SHOWN_PIXELS
    assert shown.width / shown.height == pytest.approx(1.6, abs=0.01)
