"""Noise is what it says it is."""

from __future__ import annotations

import pytest
import torch

from vaetool.corruptions import LUMA, Noise, add_noise
from vaetool.errors import UsageError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grey_images(count: int, size: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.full((count, channels, size, size), 0.5)


PLAIN = Noise(sigma_max=50.0, clean=0.0, clipped=0.0, grey=0.0)


def test_the_noise_has_the_sigma_it_says():
    drawn = add_noise(grey_images(16), seeded(), PLAIN)
    measured = (drawn.noisy - drawn.clean).std(dim=(1, 2, 3))
    assert torch.allclose(measured, drawn.sigma.flatten(), rtol=0.03)
    assert (drawn.noisy - drawn.clean).mean().abs() < 1e-3


def test_sigma_is_drawn_evenly_up_to_its_largest_value():
    sigma = 255 * add_noise(grey_images(4000, 2), seeded(), PLAIN).sigma
    assert sigma.shape == (4000, 1, 1, 1)
    assert sigma.max() <= 50
    assert sigma.mean() == pytest.approx(25, abs=1)
    assert (sigma < 10).float().mean() == pytest.approx(0.2, abs=0.03)


def test_noise_is_white():
    drawn = add_noise(grey_images(8), seeded(), PLAIN)
    noise = (drawn.noisy - drawn.clean) / drawn.sigma
    for dim in (1, 2, 3):
        neighbours = (noise * noise.roll(1, dim)).mean()
        assert neighbours.abs() < 0.02


def test_the_share_of_clean_images_is_clean():
    drawn = add_noise(grey_images(2000, 4), seeded(), Noise(clean=0.25, clipped=0.0))
    untouched = (drawn.noisy == drawn.clean).flatten(1).all(dim=1)
    assert untouched.float().mean() == pytest.approx(0.25, abs=0.03)
    assert torch.equal(untouched, drawn.sigma.flatten() == 0)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_share_of_clipped_images_stays_within_black_and_white(share):
    images = torch.zeros(2000, 3, 8, 8)
    drawn = add_noise(images, seeded(), Noise(clean=0.0, clipped=share))
    inside = (drawn.noisy >= 0).flatten(1).all(dim=1)
    assert inside.float().mean() == pytest.approx(share, abs=0.04)


def test_grey_images_are_grey_and_so_is_their_noise():
    colours = torch.rand((40, 3, 8, 8), generator=seeded(1))
    drawn = add_noise(colours, seeded(), Noise(clean=0.0, clipped=0.0, grey=1.0))
    luma = sum(share * colours[:, n] for n, share in enumerate(LUMA))
    for channel in range(3):
        assert torch.allclose(drawn.clean[:, channel], luma)
        assert torch.equal(drawn.noisy[:, channel], drawn.noisy[:, 0])


def test_some_images_are_grey_and_the_others_as_they_were():
    colours = torch.rand((2000, 3, 4, 4), generator=seeded(1))
    clean = add_noise(colours, seeded(), Noise(grey=0.4)).clean
    grey = (clean[:, 0] == clean[:, 1]).flatten(1).all(dim=1)
    assert grey.float().mean() == pytest.approx(0.4, abs=0.04)
    assert torch.equal(clean[~grey], colours[~grey])


def test_images_of_one_channel_take_noise_too():
    assert add_noise(grey_images(4, channels=1), seeded(), Noise(grey=1.0)).noisy.shape == (4, 1, 64, 64)


def test_the_same_seed_gives_the_same_noise_and_another_seed_another():
    one, same, other = (add_noise(grey_images(4), seeded(seed), Noise()) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.noisy, other.noisy)


def test_the_images_given_are_not_changed():
    images = grey_images(4)
    add_noise(images, seeded(), Noise(grey=1.0, clipped=1.0))
    assert torch.equal(images, grey_images(4))


@pytest.mark.parametrize("wrong", [{"sigma_max": -1.0}, {"sigma_max": 256.0}, {"clean": 1.5}, {"clipped": -0.1}])
def test_noise_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="corruption"):
        Noise(**wrong)
