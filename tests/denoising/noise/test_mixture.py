"""How much of which noise, and what counts as clean."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vaetool.denoising.noise.mixture import Noise, add_noise
from vaetool.errors import UsageError
from vaetool.nn.filters import LUMA, local_mean

KINDS = ("camera", "compressed", "plain", "clean")
NONE = dict.fromkeys((*KINDS, "jpeg", "clipped", "grey", "drawn", "documents"), 0.0)


def only(**shares: float) -> Noise:
    """White noise, but for what is given."""
    return Noise(**{**NONE, **shares})


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def grey_images(count: int, size: int = 64, channels: int = 3) -> torch.Tensor:
    return torch.full((count, channels, size, size), 0.5)


def pictures(count: int, size: int = 32) -> torch.Tensor:
    """Smooth pictures in colour."""
    small = torch.rand((count, 3, 4, 4), generator=seeded(9))
    return torch.nn.functional.interpolate(small, (size, size), mode="bilinear", align_corners=True)


def is_changed(drawn) -> torch.Tensor:
    return (drawn.noisy != drawn.clean).flatten(1).any(dim=1)


def test_white_noise_alone_leaves_the_target_as_it_is():
    images = pictures(32)
    drawn = add_noise(images, seeded(), only(sigma_max=50.0))
    assert torch.equal(drawn.clean, images)
    noise = drawn.noisy - images
    assert noise.std(dim=(1, 2, 3)).max() < 53 / 255
    assert drawn.noisy.min() < 0  # not clipped


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_a_share_of_the_images_stays_clean(share):
    drawn = add_noise(grey_images(400, 4), seeded(), only(clean=share))
    assert (~is_changed(drawn)).float().mean() == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize("others", [{}, {"camera": 1.0}, {"compressed": 1.0}, {"plain": 1.0}], ids=str)
def test_a_share_of_noisy_images_are_documents(others):
    images = grey_images(60)
    noise = only(sigma_max=10.0, **others)
    photographs, mixed = (add_noise(images, seeded(), replace(noise, documents=share)).clean for share in (0.0, 0.3))
    variety = [clean.flatten(1).std(dim=1) for clean in (photographs, mixed)]
    assert variety[0].max() < 0.02  # of a grey image as a camera sees it
    assert 0.1 < (variety[1] > 0.02).float().mean() < 0.45


def test_clean_images_are_drawn_by_a_share_of_their_own():
    clean = add_noise(grey_images(50), seeded(), only(clean=1.0, documents=1.0)).clean
    assert torch.equal(clean, grey_images(50))


@pytest.mark.parametrize("count", [1, 3, 16])
def test_shares_are_right_on_average_even_in_small_batches(count):
    noise, clean = only(clean=0.3), 0
    for seed in range(200):
        clean += int((~is_changed(add_noise(grey_images(count, 2), seeded(seed), noise))).sum())
    assert clean / (200 * count) == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_is_clipped_and_rounded_as_a_file_of_eight_bits_is(share):
    drawn = add_noise(torch.zeros(400, 3, 8, 8), seeded(), only(clipped=share))
    levels = 255 * drawn.noisy
    stored = ((levels >= 0) & ((levels - levels.round()).abs() < 1e-4)).flatten(1).all(dim=1)
    assert stored.float().mean() == pytest.approx(share, abs=0.08)


def test_grey_images_are_the_luma_of_those_in_colour():
    colours = pictures(8)
    luma = (colours * torch.tensor(LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    assert torch.allclose(add_noise(colours, seeded(), only(grey=1.0)).clean, luma.expand_as(colours))


@pytest.mark.parametrize("kind", [*KINDS, "white"])
def test_grey_images_have_grey_noise(kind):
    shares = {} if kind == "white" else {kind: 1.0}
    for images in add_noise(pictures(64), seeded(), only(**shares, grey=1.0, jpeg=0.5, drawn=0.5)):
        assert torch.allclose(images[:, :1].expand_as(images), images, atol=1e-6)


@pytest.mark.parametrize("shares", [{"camera": 1.0}, {"plain": 1.0}, {}])
def test_the_noise_of_grey_images_is_no_weaker(shares):
    grey, coloured = (add_noise(pictures(64), seeded(), only(**shares, grey=share)) for share in (1.0, 0.0))
    power = [float((drawn.noisy - drawn.clean).square().mean()) for drawn in (grey, coloured)]
    assert power[0] ** 0.5 == pytest.approx(power[1] ** 0.5, rel=0.35)


def test_a_share_of_the_images_is_to_lose_the_traces_of_strong_jpeg():
    images = torch.rand((40, 3, 32, 32), generator=seeded(9))
    drawn = add_noise(images, seeded(), only(compressed=0.5))
    assert torch.equal(drawn.clean, images)
    assert len(add_noise(images, seeded(), only(compressed=1.0)).noisy) == 40
    noise = add_noise(images, seeded(), only(compressed=1.0)).noisy - images
    assert noise.std(dim=(1, 2, 3)).min() > 0.02


@pytest.mark.parametrize("noise", [Noise(), only(camera=1.0), only(plain=1.0), only(clean=1.0, drawn=1.0)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 16])
def test_every_kind_takes_images_of_one_channel_and_of_three(noise, channels, count):
    images = pictures(count)[:, :channels]
    drawn = add_noise(images, seeded(), noise)
    assert drawn.clean.shape == drawn.noisy.shape == images.shape
    assert ((drawn.clean >= 0) & (drawn.clean <= 1)).all()
    assert torch.isfinite(drawn.noisy).all()


def test_what_a_camera_took_is_to_become_what_it_takes_without_noise():
    images = pictures(64)
    drawn = add_noise(images, seeded(), only(camera=1.0))
    assert is_changed(drawn).all()
    assert (drawn.clean - images).abs().mean() < 0.02
    developing = drawn.clean - images
    developing = developing - local_mean(developing, 9)  # the target has the brightness of the noisy picture
    assert (drawn.noisy - drawn.clean).std() > 1.5 * developing.std()


@pytest.mark.parametrize("level", [0.02, 0.5, 0.98])
def test_what_a_camera_took_is_to_keep_its_brightness(level):
    drawn = add_noise(torch.full((64, 3, 64, 64), level), seeded(), only(camera=1.0))
    noise = drawn.noisy - drawn.clean
    assert noise.mean(dim=(1, 2, 3)).abs().max() < 1 / 255
    assert noise.std() > 2 / 255


def test_what_was_saved_as_jpeg_is_to_become_the_same_without_noise():
    images = torch.rand((64, 3, 32, 32), generator=seeded(9))
    drawn = add_noise(images, seeded(), only(clean=1.0, jpeg=1.0))
    kept = ~is_changed(drawn)
    saved = (drawn.noisy != images).flatten(1).any(dim=1)
    assert 20 < saved.sum() < 44  # half as many as of the camera's
    assert 8 < (saved & kept).sum() < 30
    assert torch.equal(drawn.clean[~kept], images[~kept])  # the traces of a low quality are to go


def test_drawings_replace_clean_images():
    images = pictures(40)
    drawn = add_noise(images, seeded(), only(clean=1.0, drawn=0.5))
    replaced = (drawn.clean != images).flatten(1).any(dim=1)
    assert 10 <= replaced.sum() <= 30
    assert not is_changed(drawn).any()


def test_the_same_seed_gives_the_same_noise_and_another_seed_another():
    one, same, other = (add_noise(pictures(8), seeded(seed), Noise()) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.noisy, other.noisy)


def test_the_images_given_are_not_changed():
    images = pictures(16)
    add_noise(images, seeded(), Noise(grey=1.0, clipped=1.0))
    assert torch.equal(images, pictures(16))


@pytest.mark.parametrize(
    "wrong",
    [{"sigma_max": -1.0}, {"sigma_max": 256.0}, {"clean": 1.5}, {"clipped": -0.1}, {"camera": 0.9, "plain": 0.2}],
)
def test_noise_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(UsageError, match="corruption"):
        Noise(**wrong)
