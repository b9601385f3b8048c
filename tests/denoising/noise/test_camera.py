"""A picture goes back to the sensor and comes again; what is added there is the noise of light and of reading it."""

from __future__ import annotations

import pytest
import torch

from vaetool.denoising.noise import camera
from vaetool.denoising.noise.camera import developed, draw_cameras, exposed, take, through_lens

COUNT = 8


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def smooth(count: int = COUNT, size: int = 32) -> torch.Tensor:
    """Pictures in which neighbours hardly differ, so that a mosaic of them loses nothing."""
    small = torch.rand((count, 3, 2, 2), generator=torch.Generator().manual_seed(1)) * 0.4 + 0.2
    return torch.nn.functional.interpolate(small, (size, size), mode="bilinear", align_corners=True)


def grey(value: float, count: int, size: int = 64) -> torch.Tensor:
    return torch.full((count, 3, size, size), value)


@pytest.mark.parametrize(("encoded", "linear"), [(0.0, 0.0), (0.04, 0.04 / 12.92), (0.5, 0.21404), (1.0, 1.0)])
def test_srgb_is_that_of_the_standard(encoded, linear):
    assert float(camera.to_linear(torch.tensor(encoded))) == pytest.approx(linear, abs=1e-5)
    assert float(camera.from_linear(torch.tensor(linear))) == pytest.approx(encoded, abs=1e-5)


def test_lenses_blur_most_pictures_and_keep_their_brightness(generator):
    images = torch.rand((200, 3, 16, 16), generator=generator)
    soft = through_lens(images, generator)
    is_soft = (soft != images).flatten(1).any(dim=1)
    assert is_soft.float().mean() == pytest.approx(camera.SOFT, abs=0.1)
    assert soft.mean(dim=(2, 3)) == pytest.approx(images.mean(dim=(2, 3)), abs=0.1)
    left = soft[is_soft].std(dim=(1, 2, 3)) / images[is_soft].std(dim=(1, 2, 3))
    assert left.min() < 0.3
    assert 0.9 < left.max() < 1


def test_the_s_curve_is_undone():
    x = torch.linspace(0, 1, 101)
    assert torch.allclose(camera.s_curve(camera.inverse_s_curve(x)), x, atol=1e-5)
    assert camera.s_curve(torch.tensor(0.8)) > 0.8


def test_a_smooth_picture_comes_back_from_the_sensor(generator):
    clean = smooth()
    cameras = draw_cameras(generator, COUNT)
    assert (developed(exposed(clean, cameras), cameras) - clean).abs().mean() < 0.005


def test_a_sensor_sees_one_channel_in_the_colours_of_its_camera(generator):
    clean = smooth()
    cameras = draw_cameras(generator, COUNT)
    raw = exposed(clean, cameras)
    assert raw.shape == (COUNT, 1, 32, 32)
    for number in range(COUNT):
        bent = camera.inverse_s_curve(clean[number]) if cameras.has_s_curve[number] else clean[number]
        for row, column, colour in ((4, 6, 0), (4, 7, 1), (5, 6, 1), (5, 7, 2)):
            light = camera.to_linear(bent[:, row, column])
            seen = (cameras.to_camera[number] @ light)[colour] / cameras.gains[number, colour, 0, 0]
            assert float(raw[number, 0, row, column]) == pytest.approx(float(seen.clamp(0, 1)), abs=1e-5)


def test_noise_has_the_variance_of_its_camera(generator, monkeypatch):
    """Seen before development, which is left out."""
    monkeypatch.setattr(camera, "developed", lambda raw, cameras: raw)
    cameras = draw_cameras(generator, 64)
    raw, noisy = take(grey(0.5, 64), generator, cameras)
    expected = (cameras.shot * raw + cameras.read).mean(dim=(1, 2, 3))
    measured = (noisy - raw).square().mean(dim=(1, 2, 3))
    inside = raw.amax(dim=(1, 2, 3)) + 5 * expected.sqrt() < 1  # else the brightest is cut
    assert inside.sum() > 40
    assert measured[inside].div(expected[inside]).sub(1).abs().max() < 0.12


def test_both_pictures_are_alike_but_for_the_noise(generator):
    target, noisy = take(grey(0.5, COUNT), generator, draw_cameras(generator, COUNT))
    assert (target - 0.5).abs().max() < 1e-4
    assert (noisy - target).flatten(1).std(dim=1).min() > 1e-3
    assert ((noisy >= 0) & (noisy <= 1)).all()


def test_darker_light_is_noisier_in_the_picture(generator):
    cameras = draw_cameras(generator, 32)
    dark, light = (
        (lambda pair: (pair[1] - pair[0]).square().mean())(take(grey(value, 32), generator, cameras))
        for value in (0.25, 0.75)
    )
    assert dark > light


def test_the_same_seed_gives_the_same_camera():
    one, same, other = (draw_cameras(torch.Generator().manual_seed(seed), 4) for seed in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not torch.equal(one.shot, other.shot)
