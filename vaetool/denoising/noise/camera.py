"""Simulation of a camera: light on a mosaic of colours, its noise, and the picture developed from that.

A clean picture is taken back to what a sensor saw (Brooks et al. 2019, Unprocessing images for learned raw denoising,
section 3), gets shot and read noise, and is developed again, next to the same picture without noise.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from vaetool.denoising.noise.demosaicing import bayer, bilinear, malvar
from vaetool.denoising.noise.draws import chance, log_uniform, normal, uniform
from vaetool.nn.filters import blurred

# From XYZ (D65) to the colours of four cameras, as Brooks et al. took them from raw files.
XYZ_TO_CAMERA = (
    ((1.0234, -0.2969, -0.2266), (-0.5625, 1.6328, -0.0469), (-0.0703, 0.2188, 0.6406)),
    ((0.4913, -0.0541, -0.0202), (-0.6130, 1.3513, 0.2906), (-0.1564, 0.2151, 0.7183)),
    ((0.8380, -0.2630, -0.0639), (-0.2887, 1.0725, 0.2496), (-0.0627, 0.1427, 0.5438)),
    ((0.6596, -0.2079, -0.0562), (-0.4782, 1.3016, 0.1933), (-0.0970, 0.1581, 0.5181)),
)
RGB_TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))

RED_GAIN, BLUE_GAIN = (1.2, 2.4), (1.2, 2.2)  # of white balance
EXPOSURE = (0.5, 1.0)  # share of the sensor's range that white takes
S_CURVE = 0.6  # share of the cameras that raise contrast
MALVAR = 0.6  # share of the cameras that demosaic by the method of that name
SOFT = 0.8  # share of the pictures that come through a lens without their finest detail
SOFTNESS = (0.3, 1.8)  # sigma of its blur, in pixels
SHOT = (3e-5, 6e-3)  # variance per unit of light, from low to high ISO


class Cameras(NamedTuple):
    """A camera, its settings and the light for each picture; (batch, 1, 1, 1) but for the first three."""

    to_camera: Tensor  # (batch, 3, 3): from linear RGB to the camera's colours
    to_rgb: Tensor  # (batch, 3, 3): and back
    gains: Tensor  # (batch, 3, 1, 1): of white balance and exposure, from the sensor's values to the picture's
    has_s_curve: Tensor
    uses_malvar: Tensor
    shot: Tensor
    read: Tensor


def draw_cameras(generator: torch.Generator, count: int) -> Cameras:
    """Draw a camera for each of `count` pictures.

    The variance of noise is `shot` · light + `read`; their relation is that of Brooks et al., equation 4.
    """
    device = generator.device
    weights = torch.rand((count, len(XYZ_TO_CAMERA)), generator=generator, device=device) + 1e-8
    mixed = torch.einsum("bk,kij->bij", weights, torch.tensor(XYZ_TO_CAMERA, device=device))
    to_camera = mixed @ torch.tensor(RGB_TO_XYZ, device=device)
    to_camera = to_camera / to_camera.sum(dim=2, keepdim=True)  # so that grey stays grey, whatever the weights sum to
    red, blue = uniform(generator, count, *RED_GAIN), uniform(generator, count, *BLUE_GAIN)
    balance = torch.cat([red, torch.ones_like(red), blue], dim=1)
    shot = log_uniform(generator, count, *SHOT)
    scatter = torch.randn(shot.shape, generator=generator, device=device)
    return Cameras(
        to_camera,
        torch.linalg.inv(to_camera),
        balance / uniform(generator, count, *EXPOSURE),
        chance(generator, count, S_CURVE),
        chance(generator, count, MALVAR),
        shot,
        torch.exp(2.18 * shot.log() + 1.2 + 0.26 * scatter),
    )


def through_lens(images: Tensor, generator: torch.Generator) -> Tensor:
    """Blur most pictures of a batch as lenses do: hardly any photo at full size is sharp from pixel to pixel."""
    soft = blurred(images, uniform(generator, len(images), *SOFTNESS))
    return torch.where(chance(generator, len(images), SOFT), soft, images)


def take(clean: Tensor, generator: torch.Generator, cameras: Cameras) -> tuple[Tensor, Tensor]:
    """Take pictures with cameras; return them without noise and with it.

    clean: (batch, 3, height, width) in 0..1, of even height and width. Both results: the same shape, in 0..1.
    """
    raw = exposed(clean, cameras)
    noisy = raw + (cameras.shot * raw + cameras.read).sqrt() * normal(generator, raw)
    return developed(raw, cameras), developed(noisy.clamp(max=1), cameras)


def exposed(clean: Tensor, cameras: Cameras) -> Tensor:
    """Return a sensor's values for pictures, (batch, 1, height, width) in 0..1: the inverse of `developed`."""
    bent = torch.where(cameras.has_s_curve, inverse_s_curve(clean), clean)
    light = _mixed(to_linear(bent), cameras.to_camera) / cameras.gains
    return (light * bayer(clean)).sum(dim=1, keepdim=True).clamp(0, 1)


def developed(raw: Tensor, cameras: Cameras) -> Tensor:
    """Develop pictures from a sensor's values: (batch, 1, height, width) → (batch, 3, ...) in 0..1.

    Values below black stay until the last step: cameras work above a level of black.
    """
    colours = torch.where(cameras.uses_malvar, malvar(raw), bilinear(raw))
    linear = _mixed((colours * cameras.gains).clamp(max=1), cameras.to_rgb)
    encoded = from_linear(linear.clamp(0, 1))
    return torch.where(cameras.has_s_curve, s_curve(encoded), encoded)


def _mixed(colours: Tensor, matrices: Tensor) -> Tensor:
    return torch.einsum("bij,bjhw->bihw", matrices, colours)


def to_linear(x: Tensor) -> Tensor:
    """Return the light that sRGB values in 0..1 stand for (IEC 61966-2-1)."""
    return torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def from_linear(x: Tensor) -> Tensor:
    """Return the sRGB values of light in 0..1 (IEC 61966-2-1)."""
    return torch.where(x <= 0.0031308, 12.92 * x, 1.055 * x.clamp_min(1e-8) ** (1 / 2.4) - 0.055)


def s_curve(x: Tensor) -> Tensor:
    """Return values in 0..1 with more contrast in the middle: 3x² − 2x³."""
    return x.square() * (3 - 2 * x)


def inverse_s_curve(x: Tensor) -> Tensor:
    """Return the values that `s_curve` turns into x."""
    return 0.5 - torch.sin(torch.asin((1 - 2 * x).clamp(-1, 1)) / 3)
