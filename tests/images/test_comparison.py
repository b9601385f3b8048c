"""Two pictures side by side: `vaetool.images.comparison`."""

from __future__ import annotations

import numpy as np
import pytest

from tests.images.samples import SRGB, drawn, grey_profile
from vaetool.errors import ImageError
from vaetool.images import Picture
from vaetool.images.comparison import MID_GREY, Pair
from vaetool.images.metrics import ms_ssim, psnr, ssim


@pytest.fixture(scope="module")
def photo(photographs) -> np.ndarray:
    """(190, 200, 3) uint8, from 8 to 247."""
    return np.asarray(photographs["china"].resize((200, 190))).clip(8, 247)


@pytest.fixture(scope="module")
def noisy(photo) -> np.ndarray:
    """The photo with noise of up to 8 levels."""
    return (photo + np.random.default_rng(0).integers(-8, 9, photo.shape)).astype(np.uint8)


def compare(pixels, reference):
    return Pair(Picture(pixels), Picture(reference)).compare()


# Measures


def test_the_measures_are_those_of_the_metrics(noisy, photo):
    found = compare(noisy, photo)
    assert found.psnr == psnr(noisy, photo, 255)
    assert found.ssim == ssim(noisy, photo, 255)
    assert found.ms_ssim == ms_ssim(noisy, photo, 255)
    assert (found.max_difference, found.peak, found.identical) == (8, 255, False)
    assert isinstance(found.max_difference, int)


def test_equal_pictures_are_identical(photo):
    found = compare(photo, photo.copy())
    assert (found.psnr, found.ssim, found.ms_ssim) == (float("inf"), 1, 1)
    assert (found.max_difference, found.identical) == (0, True)


def test_the_measures_do_not_depend_on_which_is_the_reference(noisy, photo):
    assert vars(compare(noisy, photo)) == pytest.approx(vars(compare(photo, noisy)))


@pytest.mark.parametrize(
    ("side", "known"), [(10, (False, False)), (11, (True, False)), (175, (True, False)), (176, (True, True))]
)
def test_what_is_too_small_for_a_window_has_no_such_similarity(noisy, photo, side, known):
    found = compare(noisy[:side], photo[:side])
    assert (found.ssim is not None, found.ms_ssim is not None) == known
    assert found.psnr == psnr(noisy[:side], photo[:side], 255)


# Kinds of pictures


def test_pictures_of_different_sizes_are_refused():
    with pytest.raises(ImageError, match="is 24 x 16 pixels but its reference is 16 x 24"):
        compare(drawn(16, 24), drawn(24, 16))


def test_grey_is_compared_with_colour_as_three_equal_channels(noisy, photo):
    grey = noisy[:, :, :1]
    assert compare(grey, photo) == compare(np.repeat(grey, 3, axis=2), photo)
    assert compare(grey, np.repeat(grey, 3, axis=2)).identical


def test_8_bits_are_scaled_up_to_16(noisy, photo):
    deep = photo.astype(np.uint16) * 257
    found, shallow = compare(noisy, deep), compare(noisy, photo)
    assert (found.peak, found.max_difference) == (65535, 257 * shallow.max_difference)
    assert (found.psnr, found.ssim, found.ms_ssim) == pytest.approx((shallow.psnr, shallow.ssim, shallow.ms_ssim))
    assert compare(deep, photo).identical
    one_step = compare(deep + np.uint16(1), photo)
    assert (one_step.max_difference, one_step.identical) == (1, False)
    assert one_step.psnr == pytest.approx(20 * np.log10(65535))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_scaled_to_the_unit_range_beside_floating_point(dtype):
    pixels = drawn(16, 24, dtype=dtype)
    unit = (pixels / np.iinfo(dtype).max).astype(np.float32)
    assert compare(pixels, unit).identical
    found = compare(pixels, unit + np.float32(0.25))
    assert found.peak == 1
    assert found.max_difference == pytest.approx(0.25)
    assert found.psnr == pytest.approx(10 * np.log10(16), rel=1e-5)


# Pages and floating point


def test_all_pages_count(noisy, photo):
    same, other = Picture(photo, pages=(Picture(photo),)), Picture(photo, pages=(Picture(noisy),))
    found, alone = Pair(other, same).compare(), compare(noisy, photo)
    assert found.psnr == pytest.approx(alone.psnr + 10 * np.log10(2))
    assert (found.ssim, found.ms_ssim) == pytest.approx(((1 + alone.ssim) / 2, (1 + alone.ms_ssim) / 2))
    assert (found.max_difference, found.identical, found.pages) == (alone.max_difference, False, 2)
    assert Pair(other, other).compare().identical
    with pytest.raises(ImageError, match="has 2 pages but its reference has 1: "):
        Pair(same, Picture(photo))
    with pytest.raises(ImageError, match="page 2 is 200 x 9 pixels but its reference is 200 x 190"):
        Pair(Picture(photo, pages=(Picture(photo[:9]),)), same)


def test_each_page_is_measured_in_its_own_range(photo):
    deep = (photo * np.uint16(256)).clip(0, 60000)
    reference = Picture(photo, pages=(Picture(deep),))
    found = Pair(Picture(photo, pages=(Picture(deep + np.uint16(100)),)), reference).compare()
    assert found.psnr == pytest.approx(20 * np.log10(65535 / 100) + 10 * np.log10(2))


def test_floating_point_is_measured_in_the_range_of_the_reference(noisy, photo):
    unit, there = (each[..., :1] / np.float32(255) for each in (noisy, photo))
    found, scaled = compare(unit, there), compare(20 * unit + 1000, 20 * there + 1000)
    share = np.ptp(np.quantile(there, (0.001, 0.999)))
    assert (found.peak, scaled.peak) == (1, pytest.approx(20 * share, rel=1e-3))
    assert scaled.max_difference == pytest.approx(20 * found.max_difference, rel=1e-3)
    assert scaled.psnr == pytest.approx(found.psnr + 20 * np.log10(share), abs=1e-3)
    assert scaled.ssim == pytest.approx(found.ssim, abs=0.02)


# Transparency


def half_hidden(pixels, dtype=np.uint8) -> np.ndarray:
    """An alpha channel under which the left half is hidden."""
    alpha = np.full(pixels.shape[:2], np.iinfo(dtype).max, dtype)
    alpha[:, : alpha.shape[1] // 2] = 0
    return alpha


def test_only_pixels_count_that_are_visible_in_both(noisy, photo):
    alpha = half_hidden(photo)
    hidden = noisy.copy()
    hidden[alpha == 0] = 255 - hidden[alpha == 0]
    found = Pair(Picture(hidden, alpha), Picture(photo, alpha)).compare()
    right = compare(noisy[:, 100:], photo[:, 100:])
    assert (found.psnr, found.max_difference) == (right.psnr, right.max_difference)
    assert found.ssim == pytest.approx(right.ssim, abs=0.005)  # there are windows across the edge
    assert found.ms_ssim == pytest.approx(compare(noisy, photo).ms_ssim, abs=0.01)


def test_hidden_colours_make_no_difference(photo):
    alpha = half_hidden(photo)
    other = np.where(alpha[..., None] == 0, 255 - photo, photo)
    pair = Pair(Picture(other, alpha), Picture(photo, alpha))
    found = pair.compare()
    assert (found.identical, found.ssim, found.ms_ssim, pair.warnings) == (True, 1, 1, ())


@pytest.mark.parametrize("other", ["none", "softer"])
def test_transparency_that_differs_is_told_and_not_identical(photo, other):
    alpha = half_hidden(photo)
    reference = Picture(photo) if other == "none" else Picture(photo, (alpha // 2).astype(np.uint8))
    pair = Pair(Picture(photo, alpha), reference)
    found = pair.compare()
    assert (found.max_difference, found.psnr, found.identical) == (0, float("inf"), False)
    assert ["transparency" in warning for warning in pair.warnings] == [True]


def test_opaque_alpha_is_no_transparency(photo):
    opaque = Picture(photo.astype(np.uint16) * 257, np.full(photo.shape[:2], 65535, np.uint16))
    for reference in (Picture(photo), Picture(photo, np.full(photo.shape[:2], 255, np.uint8))):
        pair = Pair(opaque, reference)
        assert (pair.compare().identical, "transparency" in "".join(pair.warnings)) == (True, False)


def test_other_depths_are_told(photo):
    deep = Picture(photo.astype(np.uint16) * 257)
    assert Pair(Picture(photo), deep).warnings == (
        "it has 8 bits, its reference 16 bits: both are compared in 0..65535",
    )
    assert "32 bits of floating point" in Pair(Picture(photo), Picture(photo / np.float32(255))).warnings[0]
    assert Pair(deep, deep).warnings == ()


def test_pictures_that_share_no_visible_pixel_are_refused(photo):
    alpha = half_hidden(photo)
    with pytest.raises(ImageError, match="shares no visible pixel"):
        Pair(Picture(photo, alpha), Picture(photo, 255 - alpha))


def test_a_visible_corner_that_no_window_fits_has_no_similarity(photo):
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[:4, :4] = 255
    found = Pair(Picture(photo, alpha), Picture(photo, alpha)).compare()
    assert (found.ssim, found.ms_ssim, found.identical) == (None, None, True)


# Profiles


def test_colour_profiles_that_differ_are_told(photo):
    with_srgb = Picture(photo, icc_profile=SRGB)
    assert Pair(with_srgb, Picture(photo)).warnings == ()
    assert Pair(with_srgb, with_srgb).warnings == ()
    assert "profile" in Pair(with_srgb, Picture(photo, icc_profile=grey_profile())).warnings[0]


# The difference


def test_the_difference_is_magnified_on_mid_grey(noisy, photo):
    shown = Pair(Picture(noisy), Picture(photo)).difference().pixels
    expected = (MID_GREY + 8 * (noisy.astype(int) - photo)).clip(0, 255)
    assert shown.dtype == np.uint8
    assert np.array_equal(shown, expected)
    twice = Pair(Picture(noisy), Picture(photo)).difference(gain=2).pixels
    assert np.array_equal(twice, MID_GREY + 2 * (noisy.astype(int) - photo))


def test_a_difference_of_16_bits_is_shown_in_8(photo):
    deep = photo.astype(np.uint16) * 257
    assert set(Pair(Picture(deep + np.uint16(257)), Picture(deep)).difference(gain=3).pixels.ravel()) == {MID_GREY + 3}


def test_grey_pictures_have_a_grey_difference(photo):
    grey = Picture(photo[:, :, :1])
    assert Pair(grey, grey).difference().pixels.shape == (190, 200, 1)
    assert Pair(grey, Picture(photo)).difference().pixels.shape == (190, 200, 3)


def test_what_is_hidden_shows_no_difference(noisy, photo):
    alpha = half_hidden(photo)
    shown = Pair(Picture(noisy, alpha), Picture(photo)).difference().pixels
    assert (shown[:, :100] == MID_GREY).all()
    assert (shown[:, 100:] != MID_GREY).any()
