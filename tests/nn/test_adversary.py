"""The adversary alone: what it judges, what each side minimises, and that it learns."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vaetool.nn.adversary import PatchDiscriminator, discriminator_loss, generator_loss, r1_penalty


def new_discriminator(channels: int = 1) -> PatchDiscriminator:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return PatchDiscriminator(channels)


def noise(count: int, seed: int) -> Tensor:
    return torch.rand((count, 1, 16, 16), generator=torch.Generator().manual_seed(seed))


def blurred(pictures: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)


@pytest.fixture(scope="module")
def trained() -> PatchDiscriminator:
    """Taught to tell noise, which is real, from blurred noise."""
    discriminator = new_discriminator()
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-3)
    for step in range(60):
        real = noise(16, step)
        loss = discriminator_loss(discriminator(real), discriminator(blurred(noise(16, 1000 + step))))
        optimizer.zero_grad()
        (loss + 0.01 * r1_penalty(discriminator, real)).backward()
        optimizer.step()
    return discriminator


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 28, 64, 256])
def test_every_place_of_eight_pixels_is_judged(channels, size):
    assert new_discriminator(channels)(torch.rand(2, channels, size, size)).shape == (2, 1, size // 8, size // 8)


def test_a_judgement_looks_at_38_pixels_a_side():
    picture = torch.rand(1, 1, 128, 128, requires_grad=True)
    new_discriminator()(picture)[0, 0, 8, 8].backward()
    seen = picture.grad[0, 0].nonzero()
    assert (seen.amax(dim=0) - seen.amin(dim=0) + 1).tolist() == [38, 38]


def test_who_cannot_tell_loses_a_bit_on_each_side():
    undecided = torch.zeros(4, 1, 2, 2)
    assert discriminator_loss(undecided, undecided).item() == pytest.approx(2 * math.log(2))
    assert generator_loss(undecided).item() == pytest.approx(math.log(2))


def test_the_losses_are_logarithms_of_probabilities():
    real, fake = torch.tensor([0.3, -1.0]), torch.tensor([2.0, -0.5])
    expected = -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean()
    assert discriminator_loss(real, fake).item() == pytest.approx(expected.item(), rel=1e-5)
    assert generator_loss(fake).item() == pytest.approx(-fake.sigmoid().log().mean().item(), rel=1e-5)


def test_a_decoder_that_is_seen_through_has_the_largest_gradient():
    logits = torch.tensor([-10.0, 0.0, 10.0], requires_grad=True)
    generator_loss(logits).backward()
    assert (3 * logits.grad).tolist() == pytest.approx([-1.0, -0.5, 0.0], abs=1e-3)


def test_the_penalty_is_the_gradient_by_finite_differences():
    discriminator = new_discriminator().double()
    picture = noise(1, 0).double()
    step = 1e-5 * torch.eye(256, dtype=torch.float64).reshape(256, 1, 16, 16)
    with torch.no_grad():
        above, below = (discriminator(picture + sign * step).sum(dim=(1, 2, 3)) for sign in (1, -1))
    gradient = (above - below) / 2e-5
    assert r1_penalty(discriminator, picture).item() == pytest.approx(gradient.square().sum().item() / 2 / 4, rel=1e-6)


def test_the_penalty_makes_a_discriminator_flatter():
    discriminator, real = new_discriminator(), noise(8, 0)
    optimizer = torch.optim.SGD(discriminator.parameters(), 0.01)
    before = r1_penalty(discriminator, real)
    before.backward()
    optimizer.step()
    assert r1_penalty(discriminator, real) < before


def test_a_discriminator_learns_to_see_blur(trained):
    with torch.no_grad():
        real, fake = trained(noise(64, 5000)), trained(blurred(noise(64, 6000)))
    assert real.mean() > 1
    assert fake.mean() < -1


def test_the_gradient_of_the_generator_makes_pictures_sharper(trained):
    pictures = blurred(noise(8, 7000)).requires_grad_()
    generator_loss(trained(pictures)).backward()
    sharper = (pictures - 30 * pictures.grad).detach()
    assert trained(sharper).mean() > trained(pictures).mean()
    assert sharper.diff(dim=3).square().mean() > pictures.diff(dim=3).square().mean()
