"""Noise learnt from noisy pictures: how strong it is, its spectrum, and what is drawn of it."""

from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

from vaetool import load
from vaetool.denoising.noise.learnt import PATCH, LearntNoise
from vaetool.errors import TrainingError
from vaetool.nn.filters import blurred


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_pictures(count: int = 12, size: int = 144) -> Tensor:
    """Pictures of all levels that are not clipped."""
    pictures = blurred(torch.rand((count, 3, size, size), generator=generator()), torch.full((count, 1, 1, 1), 20.0))
    low, high = pictures.amin(dim=(2, 3), keepdim=True), pictures.amax(dim=(2, 3), keepdim=True)
    return 0.15 + 0.7 * (pictures - low) / (high - low)


def photograph() -> Tensor:
    """A photograph with flat ground in it, (1, 3, 416, 640)."""
    return torch.from_numpy(load_sample_image("flower.jpg")[:416].copy()).permute(2, 0, 1)[None] / 255


def white(clean: Tensor, seed: int = 1) -> Tensor:
    return torch.randn(clean.shape, generator=generator(seed))


def blotches(clean: Tensor) -> Tensor:
    noise = blurred(white(clean), torch.full((len(clean), 1, 1, 1), 1.0))
    return 0.05 * noise / noise.std()


def grey(clean: Tensor) -> Tensor:
    return 0.05 * white(clean[:, :1]).expand_as(clean)


def rows(clean: Tensor) -> Tensor:
    return 0.05 * white(clean[:, :, :, :1]).expand_as(clean)


def learnt(noise: Tensor, clean: Tensor) -> LearntNoise:
    return LearntNoise.fit(clean + noise, clean)


def test_the_variance_depends_on_the_level_as_in_the_pictures():
    clean = smooth_pictures()
    power = 0.0004 + 0.003 * clean
    found = learnt(power.sqrt() * white(clean), clean)
    grey_wedge = torch.linspace(0, 1, 11).reshape(1, 1, 1, -1).expand(1, 3, 1, -1)
    expected = 0.0004 + 0.003 * grey_wedge
    assert torch.allclose(found.variance(grey_wedge), expected, rtol=0.15, atol=2e-4)


def test_each_channel_has_its_own_variance():
    clean = smooth_pictures()
    scale = torch.tensor([0.02, 0.04, 0.08]).reshape(1, 3, 1, 1)
    found = learnt(scale * white(clean), clean)
    middle = torch.full((1, 3, 1, 1), 0.5)
    assert torch.allclose(found.variance(middle).sqrt(), scale, rtol=0.1)


def correlations(noise: Tensor) -> list[float]:
    """Of neighbours in a row, in a column, two apart, and of two channels."""
    pairs = [
        (noise[..., 1:], noise[..., :-1]),
        (noise[..., 1:, :], noise[..., :-1, :]),
        (noise[..., 2:], noise[..., :-2]),
        (noise[:, 0], noise[:, 1]),
    ]
    return [float((a * b).mean() / noise.square().mean()) for a, b in pairs]


@pytest.mark.parametrize("make", [white, blotches, grey, rows])
@pytest.mark.parametrize("size", [(144, 144), (96, 64), (32, 32)], ids=str)
def test_drawn_noise_is_correlated_like_the_noise_of_the_pictures(make, size):
    clean = smooth_pictures()
    noise = make(clean)
    noise = noise * 0.05 / noise.std()
    found = learnt(noise, clean)
    middle = torch.full((40, 3, *size), 0.5)
    drawn = found.draw(middle, generator(2))
    assert float(drawn.std()) == pytest.approx(0.05, rel=0.1)
    # A mean of a place is taken for its level, so correlations over its whole width are missed a little.
    assert correlations(drawn) == pytest.approx(correlations(noise), abs=0.12)


def test_noise_is_drawn_on_pictures_and_clipped():
    clean = smooth_pictures()
    found = learnt(0.1 * white(clean), clean)
    target, noisy = found.add_to(clean, generator(2))
    assert torch.equal(target, clean)
    assert noisy.min() >= 0
    assert noisy.max() <= 1
    assert torch.equal(noisy, found.add_to(clean, generator(2)).noisy)


def test_on_a_single_photograph_detail_adds_less_than_a_third():
    clean = photograph() * 0.7 + 0.15
    found = learnt(0.04 * white(clean), clean)
    assert float(found.variance(torch.full((1, 3, 1, 1), 0.5)).mean().sqrt()) == pytest.approx(0.04, rel=0.33)


def test_a_channel_that_is_clipped_nearly_everywhere_is_taken_to_be_like_the_others():
    clean = smooth_pictures()
    clean[:, 2] = 0
    noisy = (clean + 0.05 * white(clean)).clamp(0, 1)
    found = LearntNoise.fit(noisy, clean)
    assert torch.allclose(found.variance(torch.full((1, 3, 1, 1), 0.5)).sqrt(), torch.tensor(0.05), rtol=0.1)
    assert found.draw(torch.full((4, 3, 96, 96), 0.5), generator()).std(dim=(0, 2, 3)) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize("pictures", [smooth_pictures(1, 48), torch.ones((8, 3, 144, 144))], ids=["few", "clipped"])
def test_too_little_to_learn_from_is_said(pictures):
    with pytest.raises(TrainingError, match=f"places of {PATCH} x {PATCH} pixels"):
        learnt(0.02 * white(pictures), pictures)


def test_an_exam_measures_the_error_from_clean_pictures_that_it_never_sees():
    """It is that of pictures with as much more noise as it adds, plus that noise of what they are compared with."""
    clean = photograph()
    noisy = clean + 0.08 * white(clean)
    model = load("photo-denoise-gaussian", device="cpu", precision="float32")
    found = LearntNoise.fit(noisy, clean)
    exam = model.exam(noisy, found, generator(3))
    figures = model.validate(exam)
    error = (model.restore(exam["noisy"], model.estimate(exam["noisy"])) - clean).square().mean()
    noise = (exam["clean"] - clean).square().mean()
    assert figures["psnr"] == pytest.approx(float(-10 * (error + noise).log10()), abs=0.05)
    assert figures["sigma_error"] < 2
