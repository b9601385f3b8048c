"""Pictures unlike photographs: no quality loses more than a lower one does, nor than one flat colour."""

import itertools
import warnings

import numpy as np
import pytest
from PIL import Image, ImageDraw

import vaetool
from vaetool.compression.candidates import SAMPLE, Candidates
from vaetool.compression.decode import decompress_picture
from vaetool.compression.encode import compress_picture
from vaetool.compression.targets import Target
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.metrics import psnr

QUALITIES = (1, 5, 10, 30, 50, 75, 90, 100)


@pytest.fixture(scope="module")
def codec():
    return vaetool.load("photo-codec", device="cpu")


def noise(height=96, width=96, dtype=np.uint8, channels=3):
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, (height, width, channels), dtype)


def noisy(pattern):
    """A pattern of 0 and 1, (height, width), as grey in RGB with a little noise, so that it is not stored as it is."""
    levels = np.dstack([pattern * 200 + 25] * 3)
    return (levels + np.random.default_rng(0).normal(0, 6, levels.shape)).clip(0, 255).astype(np.uint8)


def text():
    page = Image.new("L", (96, 96), 255)
    for row in range(2, 96, 11):
        ImageDraw.Draw(page).text((2, row), "The committee met", fill=0)
    return np.asarray(page)[..., None]


Y, X = np.mgrid[:96, :96]
PICTURES = {
    "noise": noise(),
    "grey noise": noise(channels=1),
    "16-bit noise": noise(dtype=np.uint16, channels=1),
    "black and white noise": noise() // 128 * np.uint8(255),
    "stripes": noisy(X % 2),
    "wide stripes": noisy(X // 3 % 2),
    "checkerboard": noisy((X + Y) % 2),
    "wide checkerboard": noisy((X // 4 + Y // 4) % 2),
    "text": text(),
}


def decibels(codec, pixels, quality):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data, _ = compress_picture(codec, Picture(pixels), Target(quality))
        found = decompress_picture(data, codec)[0].pixels
    return psnr(found, pixels, np.iinfo(pixels.dtype).max)


@pytest.mark.parametrize("name", PICTURES)
def test_psnr_does_not_fall_with_quality_nor_below_one_colour(codec, name):
    pixels = PICTURES[name]
    mean = np.broadcast_to(np.rint(pixels.mean(axis=(0, 1))).astype(pixels.dtype), pixels.shape)
    flat = psnr(mean, pixels, np.iinfo(pixels.dtype).max)
    found = [decibels(codec, pixels, quality) for quality in QUALITIES]
    assert min(found) > flat - 0.1
    assert all(higher >= lower - 0.2 for lower, higher in itertools.pairwise(found))


def test_a_large_picture_is_judged_by_a_sample(codec):
    pixels = noise(320, 448)
    candidates = Candidates(codec, Picture(pixels), strip=False)
    assert candidates.sample.pixels.shape == (2 * SAMPLE, 2 * SAMPLE, 3)
    file = candidates.choose(Target(1))
    mean = np.broadcast_to(pixels.mean(axis=(0, 1)), pixels.shape)
    assert candidates.psnr_of(file) > psnr(np.rint(mean).astype(np.uint8), pixels, 255) - 0.1
    assert len(file.data) < len(candidates.coded(1).data)


@pytest.mark.parametrize("quality", [1, 5, 20])
def test_a_page_is_stored_losslessly_where_that_is_smaller(codec, quality):
    page = Image.new("L", (400, 120), 255)
    for row in range(5, 110, 18):
        ImageDraw.Draw(page).text(
            (5, row), f"The committee met at noon; {row} of 27 items were agreed.", fill=0, font_size=14
        )
    data, facts = compress_picture(codec, Picture(np.asarray(page)[..., None]), Target(quality=quality))
    assert facts["form"] == "lossless"
    assert len(data) < len(codec.encode_pixels(np.asarray(page)[..., None], quality)[0].streams[0])


def test_photographs_are_coded_at_the_quality_that_is_asked_for(codec, photographs):
    picture = vaetool.images.from_pil(photographs["china"])
    for quality in (1, 20, 50, 80, 100):
        assert compress_picture(codec, picture, Target(quality))[1]["quality"] == quality


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_size_is_kept_to_for_noise_as_well(codec, share):
    picture = Picture(noise())
    limit = int(share * len(compress_picture(codec, picture, Target(100))[0]))
    data, _ = compress_picture(codec, picture, Target(size=limit))
    assert len(data) <= limit


def test_noise_becomes_as_small_as_one_colour_if_that_is_asked_for(codec):
    assert len(compress_picture(codec, Picture(noise()), Target(size=200))[0]) <= 200


def test_hidden_pixels_are_not_in_the_mean_colour(codec):
    pixels, alpha = noise(), np.full((96, 96), 255, np.uint8)
    pixels[:, 48:], alpha[:, 48:] = 255, 0
    candidates = Candidates(codec, Picture(pixels, alpha), strip=False)
    shown = pixels[:, :48]
    mean = np.broadcast_to(np.rint(shown.mean(axis=(0, 1))).astype(np.uint8), shown.shape)
    assert abs(candidates.psnr_of(candidates.flat) - psnr(mean, shown, 255)) < 0.1


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("scale", [1e20, 1e30])
def test_weights_that_overflow_are_refused_and_no_black_picture(codec, part, scale):
    broken = vaetool.load("photo-codec", device="cpu")
    for weight in getattr(broken, part).parameters():
        weight.mul_(scale).clamp_(-3e38, 3e38)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match="so large that they give no numbers"):
            compress_picture(broken, Picture(noise(64, 64)))
        if part == "decoder":
            coded = broken.encode_pixels(noise(64, 64), 50)[0]
            with pytest.raises(ImageError, match="so large that they give no numbers"):
                broken.decode_pixels(coded, 64, 64)
