"""Pictures to .vae files and back, from Python: what is kept, and what is asked for is what comes."""

from __future__ import annotations

import itertools
import math
import shutil
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import vaetool
from vaetool import images
from vaetool.compression import container
from vaetool.compression.candidates import _last_quality
from vaetool.compression.container import Container, encode_stored, pack
from vaetool.compression.decode import decompress, decompress_picture, describe
from vaetool.compression.encode import compress, compress_picture
from vaetool.compression.targets import Target
from vaetool.compression.unpacking import unpack
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.images.metrics import psnr
from vaetool.store import catalogue


@pytest.fixture(scope="module")
def codec(tiny_codec):
    return vaetool.load(tiny_codec, device="cpu")


@pytest.fixture
def photo(photographs):
    return images.from_pil(photographs["china"])


@pytest.fixture
def screenshot():
    """A drawing: a few colours, straight lines."""
    image = Image.new("RGB", (400, 300), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 380, 60), fill="navy")
    for row in range(80, 280, 20):
        draw.text((30, row), f"row {row}: the same words again and again", fill="black")
    return images.from_pil(image)


def of_size(photo: Picture, height: int, width: int) -> Picture:
    rows, columns = (np.arange(count) % limit for count, limit in ((height, photo.height), (width, photo.width)))
    return replace(photo, pixels=photo.pixels[rows][:, columns].copy())


def there_and_back(codec, picture, target=None, **options):
    data, _ = compress_picture(codec, picture, target, **options)
    return decompress_picture(data, codec)[0]


# What is kept


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 70), (65, 3), (64, 64), (107, 160)])
def test_any_size_comes_back_at_that_size(codec, photo, height, width):
    result = there_and_back(codec, of_size(photo, height, width))
    assert result.pixels.shape == (height, width, 3)


def test_the_picture_that_comes_back_looks_like_the_one_that_went(codec, photo):
    result = there_and_back(codec, photo, Target(quality=90))
    assert psnr(result.pixels, photo.pixels, 255) > 20


def test_grey_stays_grey(codec, photo):
    grey = replace(photo, pixels=photo.pixels[..., 1:2].copy())
    result = there_and_back(codec, grey, Target(quality=90))
    assert result.pixels.shape == grey.pixels.shape
    assert psnr(result.pixels, grey.pixels, 255) > 20


@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_stay_16_bits(codec, photo, channels):
    deep = replace(photo, pixels=photo.pixels[..., :channels].astype(np.uint16) * 257)
    data, facts = compress_picture(codec, deep, Target(quality=90))
    result, _ = decompress_picture(data, codec)
    assert facts["form"] == "learned"
    assert (result.pixels.dtype, result.pixels.shape) == (deep.pixels.dtype, deep.pixels.shape)
    assert psnr(result.pixels, deep.pixels, 65535) > 20


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_alpha_is_exact(codec, photo, dtype):
    top = np.iinfo(dtype).max
    rows = np.linspace(0, top, photo.height).round().astype(dtype)
    alpha = np.repeat(rows[:, None], photo.width, axis=1)
    picture = replace(photo, pixels=photo.pixels.astype(dtype) * (top // 255), alpha=alpha)
    data, facts = compress_picture(codec, picture, Target(quality=20))
    assert facts["form"] == "learned"
    np.testing.assert_array_equal(decompress_picture(data, codec)[0].alpha, alpha)


def test_colours_that_are_hidden_cost_nothing_and_do_not_leak(codec, photo):
    alpha = np.full(photo.pixels.shape[:2], 255, np.uint8)
    alpha[:, 80:] = 0
    loud = photo.pixels.copy()
    loud[:, 80:] = np.random.default_rng(0).integers(0, 256, loud[:, 80:].shape)
    files = [compress_picture(codec, replace(photo, pixels=pixels, alpha=alpha))[0] for pixels in (photo.pixels, loud)]
    assert files[0] == files[1]


def test_profile_and_exif_are_kept_unless_stripped(codec, photo):
    exif = Image.Exif()
    exif[0x010E] = "a valley"
    block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
    picture = replace(photo, icc_profile=b"\0" * 16 + b"RGB " + b"\0" * 108, exif=block)
    result = there_and_back(codec, picture)
    assert (result.icc_profile, result.exif) == (picture.icc_profile, picture.exif)
    bare = there_and_back(codec, picture, strip=True)
    assert (bare.icc_profile, bare.exif) == (None, None)


def test_a_large_profile_is_packed_once_however_many_files_are_tried(codec, photo, monkeypatch):
    packed = []
    compress_bytes = zlib.compress

    def counting(data, *arguments):
        packed.append(bytes(data))
        return compress_bytes(data, *arguments)

    monkeypatch.setattr(container.zlib, "compress", counting)
    picture = replace(photo, icc_profile=b"\0" * 16 + b"RGB " + b"profile " * 50)
    data, _ = compress_picture(codec, picture, Target(psnr=25))
    assert packed.count(picture.icc_profile) == 1
    assert decompress_picture(data, codec)[0].icc_profile == picture.icc_profile


def test_the_same_picture_gives_the_same_bytes(codec, photo):
    assert compress_picture(codec, photo) == compress_picture(codec, photo)


# Targets


def test_a_higher_quality_is_larger_and_closer(codec, photo):
    results = [compress_picture(codec, photo, Target(quality=quality)) for quality in (1, 30, 60, 90)]
    sizes = [len(data) for data, _ in results]
    closeness = [psnr(decompress_picture(data, codec)[0].pixels, photo.pixels, 255) for data, _ in results]
    assert sizes == sorted(sizes)
    assert closeness == sorted(closeness)


def test_without_a_target_the_quality_is_70(codec, photo):
    assert compress_picture(codec, photo)[1]["quality"] == 70
    assert compress_picture(codec, photo)[0] == compress_picture(codec, photo, Target(quality=70))[0]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_a_size_is_never_exceeded_and_used_as_far_as_a_quality_allows(codec, photo, share):
    least, most = (len(compress_picture(codec, photo, Target(quality=quality))[0]) for quality in (1, 100))
    limit = round(least + share * (most - least))
    data, facts = compress_picture(codec, photo, Target(size=limit))
    assert len(data) == facts["bytes"] <= limit
    if facts["quality"] < 100:
        assert len(compress_picture(codec, photo, Target(quality=facts["quality"] + 1))[0]) > limit


def test_bits_per_pixel_are_those_of_the_whole_file(codec, photo):
    picture = replace(photo, icc_profile=b"\0" * 16 + b"RGB " + np.random.default_rng(0).bytes(400))
    data, facts = compress_picture(codec, picture, Target(bpp=0.8))
    assert facts["bpp"] == pytest.approx(8 * len(data) / (photo.height * photo.width), abs=1e-4)
    assert 0.6 < facts["bpp"] <= 0.8


def test_a_size_that_cannot_be_reached_is_an_error_that_names_the_smallest(codec, photo):
    smallest = len(compress_picture(codec, photo, Target(quality=1))[0])
    with pytest.raises(ImageError, match=f"cannot be made smaller than {smallest} bytes; 10 were asked for"):
        compress_picture(codec, photo, Target(size=10))


def test_a_size_with_room_for_everything_is_lossless(codec, photo):
    data, facts = compress_picture(codec, photo, Target(size=10**6))
    assert facts["form"] == "lossless"
    np.testing.assert_array_equal(decompress_picture(data)[0].pixels, photo.pixels)


def test_a_psnr_is_reached_by_the_smallest_quality_that_does(codec, photo):
    _, [low, high] = zip(*(measured(codec, photo, quality) for quality in (20, 60)), strict=True)
    wanted = (low + high) / 2
    data, facts = compress_picture(codec, photo, Target(psnr=wanted))
    reached = psnr(decompress_picture(data, codec)[0].pixels, photo.pixels, 255)
    assert reached >= wanted
    assert facts["psnr"] == pytest.approx(reached, abs=0.006)
    assert measured(codec, photo, facts["quality"] - 1)[1] < wanted


def measured(codec, picture, quality):
    data, _ = compress_picture(codec, picture, Target(quality=quality))
    return data, psnr(decompress_picture(data, codec)[0].pixels, picture.pixels, 255)


def test_a_psnr_out_of_reach_is_lossless(codec, photo):
    data, facts = compress_picture(codec, photo, Target(psnr=90))
    assert facts["form"] == "lossless"
    assert "quality" not in facts
    np.testing.assert_array_equal(decompress_picture(data)[0].pixels, photo.pixels)


def test_psnr_is_that_of_what_is_visible(codec, photo):
    alpha = np.full(photo.pixels.shape[:2], 255, np.uint8)
    alpha[30:] = 0
    picture = replace(photo, alpha=alpha)
    data, facts = compress_picture(codec, picture, Target(psnr=20))
    reached = psnr(decompress_picture(data, codec)[0].pixels[:30], photo.pixels[:30], 255)
    assert facts["psnr"] == pytest.approx(reached, abs=0.006)


@pytest.mark.parametrize(
    "values",
    [{"quality": 0}, {"quality": 101}, {"bpp": 0}, {"bpp": math.nan}, {"size": 0}, {"psnr": -1}, {"size": 9, "bpp": 1}],
    ids=str,
)
def test_a_target_that_makes_no_sense_is_a_usage_error(values):
    with pytest.raises(UsageError):
        Target(**values)


@pytest.mark.parametrize("limit", [0.5, 1, 17.3, 50, 77, 99.9, 1e6])
@pytest.mark.parametrize(
    "shape", [lambda q: q, lambda q: q**3 / 1e4, lambda q: 100 * q**0.1 - 60, lambda q: 0 if q < 40 else math.inf]
)
def test_the_search_finds_the_last_quality_in_few_steps(shape, limit):
    asked = []

    def value(quality):
        asked.append(quality)
        return shape(quality)

    found = _last_quality(value, limit, step=1)
    assert found == max((quality for quality in range(1, 101) if shape(quality) <= limit), default=0)
    assert len(asked) <= 12


def test_the_search_keeps_to_the_limit_where_values_do_not_only_rise():
    generator = np.random.default_rng(0)
    for _ in range(20):
        values = np.arange(101) + generator.normal(0, 10, 101)
        found = _last_quality(lambda quality, values=values: values[quality], 50, step=1)
        assert found == 0 or values[found] <= 50


# The lossless form


def test_a_screenshot_is_stored_without_loss_and_smaller(codec, screenshot):
    data, facts = compress_picture(codec, screenshot, Target(quality=80))
    assert facts["form"] == "lossless"
    result, told = decompress_picture(data)  # needs no codec
    assert told == {"form": "lossless"}
    np.testing.assert_array_equal(result.pixels, screenshot.pixels)


@pytest.mark.parametrize("alpha", [False, True])
def test_a_tiny_icon_is_stored_without_loss(codec, alpha):
    pixels = np.zeros((48, 48, 3), np.uint8)
    pixels[4:44:3, 4:40] = (200, 30, 30)
    visible = (pixels[..., 0] > 0).astype(np.uint8) * 255
    icon = Picture(pixels, visible if alpha else None)
    data, facts = compress_picture(codec, icon)
    result, _ = decompress_picture(data)
    assert facts["form"] == "lossless"
    np.testing.assert_array_equal(result.pixels, pixels)
    assert (result.alpha is None) == (not alpha)
    assert not alpha or (result.alpha == visible).all()


def test_no_file_is_larger_than_the_lossless_form_of_a_small_picture(codec, photo):
    for size, quality in itertools.product((1, 5, 16, 40), (10, 100)):
        picture = of_size(photo, size, size).without(("icc_profile", "dpi"))
        lossless = Container(size, size, 3, 8, stored=encode_stored(picture))
        data, _ = compress_picture(codec, picture, Target(quality=quality))
        assert len(data) <= len(pack(lossless))


def test_the_lossless_form_of_a_photograph_is_not_even_tried(codec, photographs, monkeypatch):
    photo = images.from_pil(photographs["china"].resize((480, 320)))
    monkeypatch.setattr(container, "encode_stored", None)
    assert compress_picture(codec, photo, Target(quality=20))[1]["form"] == "learned"


# Which codec


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of models of one's own, searched first; no other."""
    monkeypatch.setenv("VAETOOL_MODELS", str(tmp_path))
    for name in ("user_folder", "bundled_folder"):
        monkeypatch.setattr(catalogue, name, lambda: tmp_path / "nothing")
    return tmp_path


def another_codec(codec):
    twin = type(codec)(codec.config)
    twin.load_state_dict(codec.state_dict())
    with torch.no_grad():
        next(twin.parameters()).view(-1)[0] += 1
    return twin.eval()


def test_a_file_finds_its_codec_whatever_that_is_called(codec, photo, folder, tiny_codec, tiny_dae):
    data, _ = compress_picture(codec, photo)
    vaetool.store.weights.save(folder / "a.safetensors", another_codec(codec), {})
    shutil.copy(tiny_dae, folder / "b.safetensors")
    (folder / "c.safetensors").write_bytes(b"not really")
    shutil.copy(tiny_codec, folder / "d.safetensors")
    found, facts = decompress_picture(data)
    assert facts["codec"]["id"] == codec.identity.hex()
    np.testing.assert_array_equal(found.pixels, decompress_picture(data, codec)[0].pixels)


def test_a_codec_that_is_not_there_is_named_with_what_to_do(codec, photo, folder):
    data, _ = compress_picture(codec, photo)
    with pytest.raises(ImageError, match=f"needs the codec {codec.identity.hex()}, .* -m FILE"):
        decompress_picture(data)
    with pytest.raises(ImageError, match="needs the codec"):
        decompress_picture(data, another_codec(codec))


def test_a_codec_that_arrives_later_is_found_then(codec, photo, folder, tiny_codec):
    data, _ = compress_picture(codec, photo)
    with pytest.raises(ImageError):
        decompress_picture(data)
    shutil.copy(tiny_codec, folder / "late.safetensors")
    assert decompress_picture(data)[0].pixels.shape == photo.pixels.shape


def test_a_codec_that_was_replaced_is_looked_at_again(codec, photo, folder, tiny_codec):
    data, _ = compress_picture(codec, photo)
    path = folder / "mine.safetensors"
    shutil.copy(tiny_codec, path)
    decompress_picture(data)
    vaetool.store.weights.save(path, another_codec(codec), {})
    with pytest.raises(ImageError, match="needs the codec"):
        decompress_picture(data)


# What is in a file


def test_a_file_describes_itself(codec, photo):
    exif = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
    data, facts = compress_picture(codec, replace(photo, icc_profile=None, exif=exif))
    told = describe(data)
    assert (told["width"], told["height"], told["channels"], told["depth"]) == (160, 107, "RGB", 8)
    assert (told["alpha"], told["icc_profile"], told["exif"]) == (False, False, True)
    assert (told["form"], told["quality"]) == ("learned", 70)
    assert told["codec"] == {"id": codec.identity.hex()}
    assert {name: told[name] for name in ("bytes", "bpp", "ratio", "bits")} == {
        name: facts[name] for name in ("bytes", "bpp", "ratio", "bits")
    }
    assert sum(told["bits"].values()) == 8 * len(data)


def test_what_a_file_claims_of_its_bits_is_not_believed_beyond_its_size(codec, photo):
    content = unpack(compress_picture(codec, photo)[0], 10**6)
    assert content.coded is not None
    boasting = replace(content, coded=replace(content.coded, hyper_bits=2**31))
    assert describe(pack(boasting))["bits"]["y"] == 0


def test_a_bundled_codec_is_told_by_its_name(codec, photo, monkeypatch):
    entry = {"file": "x.safetensors", "kind": "codec", "id": codec.identity.hex()}
    monkeypatch.setattr(catalogue, "manifest", lambda: {"x": entry})
    data, _ = compress_picture(codec, photo)
    assert describe(data)["codec"] == {"id": codec.identity.hex(), "name": "x"}


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "longer"])
def test_a_damaged_file_is_an_image_error(codec, photo, damage):
    data, _ = compress_picture(codec, photo)
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    bad = {"empty": b"", "cut": data[:-7], "flipped": bytes(flipped), "longer": data + b"!"}[damage]
    for function in (describe, lambda data: decompress_picture(data, codec)):
        with pytest.raises(ImageError):
            function(bad)


# From Python


def test_a_pillow_image_goes_in_and_comes_out(codec, photographs):
    image = photographs["china"].convert("RGBA")
    image.putalpha(200)
    result = decompress(compress(image, codec, quality=60), codec)
    assert (result.mode, result.size) == (image.mode, image.size)


def test_paths_go_in_and_come_out(codec, photos, tmp_path):
    (tmp_path / "x.vae").write_bytes(compress(str(photos[0]), codec, target_size=4000))
    assert (tmp_path / "x.vae").stat().st_size <= 4000
    assert decompress(tmp_path / "x.vae", codec).size == (160, 107)


@pytest.mark.parametrize("kind", ["uint8", "float", "tensor", "rows"])
def test_arrays_and_tensors_go_in(codec, photo, kind):
    pixels = photo.pixels
    image = {
        "uint8": pixels,
        "float": pixels / 255,
        "tensor": torch.from_numpy(pixels).permute(2, 0, 1),
        "rows": pixels[..., 0],
    }[kind]
    expected = "L" if kind == "rows" else "RGB"
    assert decompress(compress(image, codec), codec).mode == expected


def test_a_path_is_named_in_what_goes_wrong(codec, tmp_path):
    (tmp_path / "x.vae").write_bytes(b"not really")
    for path, call in itertools.product(
        (tmp_path / "x.vae", tmp_path / "gone"), (decompress, lambda path: compress(path, codec))
    ):
        with pytest.raises(ImageError, match=path.name):
            call(path)


def test_too_many_pixels_are_refused(codec, photo):
    data, _ = compress_picture(codec, photo)
    with pytest.raises(ImageError, match="--max-pixels"):
        decompress_picture(data, codec, max_pixels=1000)
