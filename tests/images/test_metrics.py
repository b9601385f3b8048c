"""The figures of merit against their formulas written out, and against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vaetool.errors import UsageError
from vaetool.images.metrics import max_difference, ms_ssim, psnr, ssim, ssim_and_ms_ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@pytest.fixture(scope="module")
def photo(photographs) -> np.ndarray:
    """(184, 200, 3) in 0..1."""
    return np.asarray(photographs["china"].resize((200, 184), Image.Resampling.LANCZOS)) / 255


@pytest.fixture(scope="module")
def noise(photo) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 1, photo.shape)


def written_out(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Means of SSIM and of its contrast-structure part over one channel in 0..1, every window on its own."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    similarities, contrasts = [], []
    for top in range(x.shape[0] - 10):
        for left in range(x.shape[1] - 10):
            a, b = (image[top : top + 11, left : left + 11] for image in (x, y))
            mean_a, mean_b = (window * a).sum(), (window * b).sum()
            variances = (window * (a - mean_a) ** 2).sum() + (window * (b - mean_b) ** 2).sum()
            covariance = (window * (a - mean_a) * (b - mean_b)).sum()
            contrasts.append((2 * covariance + 0.03**2) / (variances + 0.03**2))
            luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
            similarities.append(luminance * contrasts[-1])
    return float(np.mean(similarities)), float(np.mean(contrasts))


def pooled(x: np.ndarray) -> np.ndarray:
    """The means of 2x2 pixels, one by one."""
    return np.array(
        [[x[i : i + 2, j : j + 2].mean() for j in range(0, x.shape[1] - 1, 2)] for i in range(0, x.shape[0] - 1, 2)]
    )


# PSNR and the largest difference


def test_arrays_larger_than_a_part_are_measured_whole():
    zeros, last = np.zeros((1100, 1000), np.uint8), np.zeros((1100, 1000), np.uint8)
    last[-1, -1] = 200
    assert psnr(last, zeros, peak=255) == pytest.approx(10 * np.log10(255**2 / (200**2 / zeros.size)))
    assert max_difference(last, zeros) == max_difference(zeros, last) == 200


# SSIM and MS-SSIM


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_equal_pictures_have_similarity_1(measure, photo):
    assert measure(photo, photo.copy()) == pytest.approx(1, abs=1e-12)


def test_ssim_is_its_formula(photo, noise):
    x, y = photo[60:80, 60:83], (photo + 0.1 * noise)[60:80, 60:83]
    by_channel = [written_out(x[..., channel], y[..., channel])[0] for channel in range(3)]
    assert ssim(y, x) == pytest.approx(np.mean(by_channel), rel=1e-9)


def test_ms_ssim_is_its_formula(photo, noise):
    """On a picture that has odd sizes at some of its scales."""
    x, y = photo[:179, :183, 1], (0.9 * photo + 0.2 * noise)[:179, :183, 1]
    similarity, product, scaled = 0.0, 1.0, (x, y)
    for weight in WEIGHTS:
        similarity, contrast = written_out(*scaled)
        product *= (similarity if weight == WEIGHTS[-1] else contrast) ** weight
        scaled = tuple(pooled(image) for image in scaled)
    assert ms_ssim(y, x) == pytest.approx(product, rel=1e-9)
    assert product < 0.95


def test_both_at_once_are_the_same_as_one_by_one(photo, noise):
    noisy = photo + 0.1 * noise
    assert ssim_and_ms_ssim(noisy, photo) == (ssim(noisy, photo), ms_ssim(noisy, photo))


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_with_all_visible_nothing_changes(measure, photo, noise):
    noisy = photo + 0.1 * noise
    everything = np.ones(photo.shape[:2], bool)
    assert measure(noisy, photo, visible=everything) == pytest.approx(measure(noisy, photo), rel=1e-12)


def test_ssim_counts_the_windows_whose_middle_is_visible(photo, noise):
    noisy, visible = photo + 0.1 * noise, np.zeros(photo.shape[:2], bool)
    visible[40:70, 50:90] = True
    assert ssim(noisy, photo, visible=visible) == pytest.approx(ssim(noisy[35:75, 45:95], photo[35:75, 45:95]))


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_what_is_far_from_everything_visible_does_not_count(measure, photo, noise):
    visible = np.zeros(photo.shape[:2], bool)
    visible[:100] = True
    below = noise * np.linspace(-10, 1, len(photo)).clip(0)[:, None, None]  # the last rows are noisy
    assert measure(photo + below, photo, visible=visible) == pytest.approx(1, abs=1e-5)
    assert measure(photo + below, photo) < 0.999


def test_with_no_window_to_count_similarity_is_not_a_number(photo):
    corner = np.zeros(photo.shape[:2], bool)
    corner[:5, :5] = True
    assert np.isnan(ssim(photo, photo, visible=corner))
    assert np.isnan(ms_ssim(photo, photo, visible=corner))


def test_between_flat_pictures_only_luminance_differs():
    dark, bright = np.full((176, 176), 0.2), np.full((176, 176), 0.6)
    luminance = (2 * 0.2 * 0.6 + 0.01**2) / (0.2**2 + 0.6**2 + 0.01**2)
    assert ssim(dark, bright) == pytest.approx(luminance)
    assert ms_ssim(dark, bright) == pytest.approx(luminance**0.1333)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_more_noise_is_less_similar(measure, photo, noise):
    values = [measure(photo + sigma * noise, photo) for sigma in (0.01, 0.03, 0.1, 0.3)]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_a_change_of_brightness_is_forgiven_where_noise_of_the_same_psnr_is_not(measure, photo, noise):
    noisy = photo + 0.1 * noise
    brighter = photo + np.sqrt(np.mean((noisy - photo) ** 2))
    assert psnr(brighter, photo) == pytest.approx(psnr(noisy, photo))
    assert 1 - measure(brighter, photo) < 0.5 * (1 - measure(noisy, photo))


def test_fine_noise_costs_less_at_many_scales_than_at_one(photo, noise):
    assert ms_ssim(photo + 0.1 * noise, photo) > ssim(photo + 0.1 * noise, photo) + 0.1


def test_a_negative_is_not_similar_at_all(photo):
    assert ssim(1 - photo, photo) < 0
    assert ms_ssim(1 - photo, photo) == 0


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_the_order_of_the_two_does_not_matter(measure, photo, noise):
    noisy = photo + 0.1 * noise
    assert measure(noisy, photo) == pytest.approx(measure(photo, noisy), rel=1e-12)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_eight_bits_are_measured_with_a_peak_of_255(measure, photo, noise):
    x, y = (np.rint(255 * image.clip(0, 1)).astype(np.uint8) for image in (photo, photo + 0.1 * noise))
    assert measure(y, x, peak=255) == pytest.approx(measure(y / 255, x / 255), rel=1e-9)
    assert measure(y, x, peak=255) != pytest.approx(measure(y, x, peak=100), rel=1e-3)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_a_colour_picture_is_the_mean_of_its_channels(measure, photo, noise):
    noisy = photo + np.array([0.02, 0.1, 0.3]) * noise
    by_channel = [measure(noisy[..., channel], photo[..., channel]) for channel in range(3)]
    assert measure(noisy, photo) == pytest.approx(np.mean(by_channel), rel=1e-12)
    assert by_channel[0] > by_channel[1] > by_channel[2]


@pytest.mark.parametrize(("measure", "side"), [(ssim, 11), (ms_ssim, 176)])
def test_a_picture_that_is_too_small_is_refused(measure, side):
    fits = np.zeros((side, side + 1))
    assert measure(fits, fits) == 1
    for small in (fits[1:], fits[:, 2:]):
        with pytest.raises(UsageError, match=f"at least {side} pixels a side"):
            measure(small, small)


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
@pytest.mark.parametrize("shape", [(176, 180), (176, 176, 1), (176,), (1, 176, 176, 3)], ids=str)
def test_pictures_of_different_or_strange_shapes_are_refused(measure, shape):
    pairs = [(shape, (176, 176))]
    if len(shape) not in (2, 3):
        pairs.append((shape, shape))
    for pair in pairs:
        with pytest.raises(UsageError, match="one shape"):
            measure(*(np.zeros(size) for size in pair))
