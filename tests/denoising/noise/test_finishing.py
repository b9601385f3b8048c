"""What happens to a picture after it is developed, stage by stage, against a plain version for one picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

from vaetool.denoising.noise import finishing
from vaetool.denoising.noise.draws import uniform
from vaetool.denoising.noise.finishing import enlarged, finish, reduce_noise, resized
from vaetool.nn.filters import luma


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def flat(count: int = 16, size: int = 64) -> torch.Tensor:
    return torch.full((count, 3, size, size), 0.5)


def noise(like: torch.Tensor, sigma: float = 0.05) -> torch.Tensor:
    return sigma * torch.randn(like.shape, generator=torch.Generator().manual_seed(1))


def textured(like: torch.Tensor) -> torch.Tensor:
    """Stripes of strong contrast."""
    stripes = torch.arange(like.shape[-1]) // 2 % 2
    return (0.3 + 0.4 * stripes).expand(like.shape).clone()


def at_scale(noise: torch.Tensor, size: int) -> torch.Tensor:
    """What is left of noise in means of `size` pixels a side, per picture."""
    return torch.nn.functional.avg_pool2d(noise, size).square().mean(dim=(1, 2, 3)).sqrt()


def test_noise_reduction_leaves_a_clean_picture_alone(generator):
    target = textured(flat())
    assert torch.allclose(reduce_noise(target, target, generator), target, atol=1e-6)


def test_noise_reduction_takes_the_fine_part_and_leaves_the_coarse(generator, monkeypatch):
    monkeypatch.setattr(finishing, "REDUCED", 1.0)
    target = flat(64)
    before = noise(target)
    after = reduce_noise(target, target + before, generator) - target
    ratio = at_scale(after, 8) / at_scale(after, 1)
    assert (ratio > 1.5 * at_scale(before, 8) / at_scale(before, 1)).float().mean() > 0.9


def test_noise_reduction_takes_more_of_the_colours(generator):
    target = flat(64)
    after = reduce_noise(target, target + noise(target), generator) - target
    grey = luma(after)
    assert (after - grey).square().mean() < grey.square().mean()


def test_noise_reduction_holds_back_where_there_is_detail(generator):
    smooth, detailed = flat(64), textured(flat(64))
    after = [
        reduce_noise(target, target + noise(target), torch.Generator().manual_seed(2)) - target
        for target in (smooth, detailed)
    ]
    coarse, fine = (at_scale(noise, 8) / at_scale(noise, 1) for noise in after)
    assert fine.mean() < 0.8 * coarse.mean()


def by_hand(target: np.ndarray, noise: np.ndarray, draw) -> np.ndarray:
    """What is left of one picture's noise, (3, height, width); `draw(low, high)` gives the next random number."""

    def smoothed(x: np.ndarray, sigmas: tuple[float, float], gain: float) -> np.ndarray:
        sigma = draw(*sigmas)
        fine = np.stack([gaussian_filter(plane, sigma, mode="mirror") for plane in x]) * (1 + gain * sigma * draw(0, 1))
        blotches = draw(*finishing.BLOTCHES) / 4
        channels, height, width = x.shape
        means = x.reshape(channels, height // 4, 4, width // 4, 4).mean(axis=(2, 4))
        small = [Image.fromarray(gaussian_filter(plane, blotches, mode="mirror"), "F") for plane in means]
        coarse = np.stack([np.asarray(plane.resize((width, height), Image.Resampling.BILINEAR)) for plane in small])
        return fine + coarse * draw(*finishing.BLOTCHINESS)

    weights = np.array([0.299, 0.587, 0.114], np.float32)
    grey = np.tensordot(weights, noise, 1)[None]
    light = np.tensordot(weights, target, 1)
    variance = uniform_filter((light - uniform_filter(light, 5, mode="nearest")) ** 2, 5, mode="nearest")
    detail = variance / (variance + finishing.DETAIL**2)
    keep = draw(0, finishing.MAX_KEPT)
    keep = keep + (1 - keep) * detail * draw(0, 1)
    luma_left = keep * grey + (1 - keep) * smoothed(grey, finishing.LUMA_GRAIN, finishing.LUMA_GAIN)
    keep = keep * draw(0, 0.6)
    chroma = noise - grey
    chroma_left = keep * chroma + (1 - keep) * smoothed(chroma, finishing.CHROMA_GRAIN, finishing.CHROMA_GAIN)
    chroma_left *= draw(*finishing.CHROMA_LEFT)
    return luma_left + chroma_left * (draw(0, 1) >= finishing.COLOURLESS)


@pytest.mark.parametrize("seed", range(4))
def test_noise_reduction_of_a_batch_is_that_of_each_picture(seed, monkeypatch):
    monkeypatch.setattr(finishing, "REDUCED", 1.0)
    target = textured(flat(1, 96)).where(torch.arange(96) < 48, torch.tensor(0.5))
    added = noise(target)
    ours = reduce_noise(target, target + added, torch.Generator().manual_seed(seed)) - target
    again = torch.Generator().manual_seed(seed)
    expected = by_hand(target[0].numpy(), added[0].numpy(), lambda low, high: float(uniform(again, 1, low, high)))
    inner = (slice(None), slice(32, -32), slice(32, -32))  # where what is beyond the edges does not matter
    assert ours[0].numpy()[inner] == pytest.approx(expected[inner], abs=2e-3)
    assert np.abs(expected[inner]).max() > 0.02


def test_some_cameras_do_not_reduce_noise(generator, monkeypatch):
    target = flat()
    noisy = target + noise(target)
    monkeypatch.setattr(finishing, "REDUCED", 0.0)
    assert torch.equal(reduce_noise(target, noisy, generator), noisy)


def test_sharpening_is_an_unsharp_mask(generator, monkeypatch):
    monkeypatch.setattr(finishing, "SHARPENED", 1.0)
    monkeypatch.setattr(finishing, "SMOOTHED", 0.0)
    monkeypatch.setattr(finishing, "SHARPENING", (0.5, 0.5))
    x = torch.rand((2, 3, 16, 16), generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    result = finish(x, generator)
    inner = slice(1, -1)
    for picture, sharp in zip(x.numpy(), result.numpy(), strict=True):
        expected = picture + 0.5 * (picture - uniform_filter(picture, (0, 3, 3)))
        assert sharp[:, inner, inner] == pytest.approx(expected[:, inner, inner], abs=1e-5)


def test_smoothing_colours_leaves_the_luma(generator, monkeypatch):
    monkeypatch.setattr(finishing, "SHARPENED", 0.0)
    monkeypatch.setattr(finishing, "SMOOTHED", 1.0)
    x = torch.rand((4, 3, 16, 16), generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    result = finish(x, generator)
    assert torch.allclose(luma(result), luma(x), atol=1e-5)
    again = torch.Generator().manual_seed(0)
    shares = [uniform(again, 4, 0, 1) for _ in range(3)][-1] * 0.7 + 0.3
    inner = slice(2, -2)
    for picture, smooth, share in zip(x.numpy(), result.numpy(), shares.flatten().tolist(), strict=True):
        grey = np.tensordot(np.array([0.299, 0.587, 0.114], np.float32), picture, 1)
        chroma = picture - grey
        expected = grey + chroma + share * (uniform_filter(chroma, (0, 5, 5)) - chroma)
        assert smooth[:, inner, inner] == pytest.approx(expected[:, inner, inner], abs=1e-5)


def test_copies_of_a_picture_are_finished_alike(generator):
    x = torch.rand((6, 3, 16, 16), generator=torch.Generator().manual_seed(1))
    one, other = finish(torch.cat([x, x]), generator, copies=2).chunk(2)
    assert torch.equal(one, other)
    assert not torch.equal(one, x)


def test_resizing_is_that_of_pillow():
    x = torch.rand((1, 3, 60, 80), generator=torch.Generator().manual_seed(1))
    x = enlarged(x, 0.5)[:, :, :120, :160]
    ours = resized(x, torch.Size((64, 88)))[0].permute(1, 2, 0).numpy()
    for channel in range(3):
        plain = Image.fromarray(x[0, channel].numpy(), "F").resize((88, 64), Image.Resampling.BICUBIC)
        assert ours[:, :, channel] == pytest.approx(np.asarray(plain).clip(0, 1), abs=1e-4)


@pytest.mark.parametrize("scale", [0.5, 0.7, 0.99])
def test_enlarged_pictures_have_even_sides(scale):
    height, width = enlarged(torch.rand((1, 3, 34, 48)), scale).shape[2:]
    assert height % 2 == width % 2 == 0
    assert height == pytest.approx(34 / scale, abs=1)
