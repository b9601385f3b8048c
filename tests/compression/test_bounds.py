"""Errors that stay within a bound, and samples of 16 bits that use a part of their range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vaetool
from vaetool import images
from vaetool.compression import corrections
from vaetool.compression.container import pack
from vaetool.compression.decode import decompress_picture, describe
from vaetool.compression.encode import compress_picture
from vaetool.compression.targets import Target, error_bound
from vaetool.compression.unpacking import unpack
from vaetool.errors import ImageError, UsageError
from vaetool.images import Picture
from vaetool.images.metrics import psnr


@pytest.fixture(scope="module")
def codec():
    return vaetool.load("photo-codec", device="cpu")


@pytest.fixture(scope="module")
def photo(photographs):
    return Picture(images.from_pil(photographs["china"]).pixels)


def worst(picture: Picture, other: Picture) -> int:
    return int(np.abs(picture.pixels.astype(int) - other.pixels).max())


def twelve_bits(picture: Picture, offset: int = 0) -> Picture:
    """Return a picture with values from `offset` on, of 12 bits, as cameras for microscopes give them."""
    noise = np.random.default_rng(0).integers(0, 16, picture.pixels.shape)
    return Picture((picture.pixels.astype(np.uint16) * 16 + noise + offset).astype(np.uint16))


@pytest.mark.parametrize("max_error", [0, 1, 3, 8, 25])
def test_no_sample_is_off_by_more_than_was_asked_for(codec, photo, max_error):
    data, facts = compress_picture(codec, photo, Target(max_error=max_error))
    assert worst(decompress_picture(data, codec)[0], photo) <= max_error
    assert facts["max_error"] == max_error
    assert facts["form"] == ("lossless" if max_error < 8 else "learned")


def test_a_wider_bound_never_costs_more(codec, photo):
    sizes = [len(compress_picture(codec, photo, Target(max_error=bound))[0]) for bound in (0, 1, 4, 16)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[3] < sizes[0] / 4


def test_one_level_is_left_for_decoders_that_differ(codec, photo):
    """Another machine may decode every sample one level higher or lower."""
    content = unpack(compress_picture(codec, photo, Target(max_error=8))[0], 10**9)
    decoded = codec.decode_pixels(content.coded, *photo.pixels.shape)
    for shift in (-1, 1):
        elsewhere = (decoded.astype(int) + shift).clip(0, 255).astype(np.uint8)
        assert worst(Picture(corrections.apply(content.correction, elsewhere)), photo) <= 8


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_bits_are_bounded_and_lossless_too(codec, photo, channels):
    deep = twelve_bits(Picture(photo.pixels[:, :, :channels].copy()), offset=9000)
    for bound in (0, 20, 300):
        data, _ = compress_picture(codec, deep, Target(max_error=bound))
        found = decompress_picture(data, codec)[0]
        assert found.pixels.dtype == np.uint16
        assert worst(found, deep) <= bound


def test_hidden_colours_need_no_correction(codec, photo):
    alpha = np.full(photo.pixels.shape[:2], 255, np.uint8)
    alpha[:, :100] = 0
    half = Picture(photo.pixels, alpha)
    data, _ = compress_picture(codec, half, Target(max_error=4))
    found = decompress_picture(data, codec)[0]
    assert worst(Picture(found.pixels[:, 100:]), Picture(photo.pixels[:, 100:])) <= 4
    assert len(data) < 0.7 * len(compress_picture(codec, photo, Target(max_error=4))[0])


def test_two_bounds_are_refused():
    assert (error_bound(True, None), error_bound(True, 0), error_bound(False, 3)) == (0, 0, 3)
    with pytest.raises(UsageError, match="--lossless or --max-error"):
        error_bound(True, 3)


# The range in use


def test_twelve_bits_are_coded_as_well_as_eight(codec, photo):
    eight, facts = compress_picture(codec, photo, measure=True)
    data, deep_facts = compress_picture(codec, twelve_bits(photo), measure=True)
    assert deep_facts["psnr"] == pytest.approx(facts["psnr"], abs=0.5)
    assert len(data) == pytest.approx(len(eight), rel=0.05)
    assert describe(data)["range"] == [int(value(twelve_bits(photo).pixels)) for value in (np.min, np.max)]


def test_an_offset_does_not_matter(codec, photo):
    """A detector's pedestal is no part of the picture."""
    found = []
    for offset in (0, 20000):
        deep = twelve_bits(photo, offset)
        restored = decompress_picture(compress_picture(codec, deep)[0], codec)[0]
        found.append(psnr(restored.pixels, deep.pixels, 4095))
    assert found[0] == pytest.approx(found[1], abs=0.01)


def test_a_flat_picture_comes_back_exactly(codec):
    for value in (0, 7, 65535):
        flat = Picture(np.full((40, 50, 1), value, np.uint16))
        assert worst(decompress_picture(compress_picture(codec, flat)[0], codec)[0], flat) == 0


# The file


@settings(max_examples=50, deadline=None)
@given(
    bound=st.integers(2, 40),
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([3, 60, 255]),
)
def test_a_correction_bounds_the_error_of_any_decoding(bound, seed, spread):
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    decoded = (pixels + generator.integers(-spread, spread + 1, pixels.shape)).clip(0, 255).astype(np.uint8)
    data = corrections.encode(decoded, pixels, bound)
    corrected = corrections.apply(data, decoded) if data else decoded
    assert worst(Picture(corrected), Picture(pixels)) <= bound - corrections.tolerance(8)


def test_large_steps_of_sixteen_bits_are_stored():
    decoded, pixels = (np.full((4, 4, 1), value, np.uint16) for value in (0, 65535))
    corrected = corrections.apply(corrections.encode(decoded, pixels, 9), decoded)
    assert np.abs(corrected.astype(int) - pixels).max() <= 1


def test_range_and_correction_are_in_the_file_and_checked(codec, photo):
    data, _ = compress_picture(codec, twelve_bits(photo), Target(max_error=50))
    content = unpack(data, 10**9)
    assert content.correction
    assert pack(content) == data
    for values, message in (
        ({"depth": 8}, "a range of"),
        ({"range": content.range._replace(high=2**16)}, "a range of"),
        ({"range": content.range._replace(low=content.range.high)}, "a range of"),
        ({"coded": None, "stored": b"x"}, "of a lossless picture"),
        ({"correction": bytes(2**22)}, "a correction of"),
    ):
        with pytest.raises(ImageError, match=message):
            replace(content, **values)
    broken = replace(content, correction=b"\x05\x03" + content.correction[2:])
    with pytest.raises(ImageError, match="damaged: its correction"):
        decompress_picture(pack(broken), codec)
