"""Drawn defects: painted on good pictures in training, so that a network learns to find defects.

A defect is a filled shape. Shapes are signed distances in pixels: blots, bands, and cracks as random walks. Fillings
are darker or lighter, have less detail or more, or come from another picture. After Zavrtanik et al. 2021 (DRAEM) and
Schlüter et al. 2022 (NSA). Batched, on the images' device, seeded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vaetool.nn.filters import local_mean
from vaetool.nn.sections import Section, ShareBelowOne
from vaetool.nn.shapes import OCTAVES, Draw, ellipse, walk

MAX_DEFECTS = 2  # defects in a picture
SMALL = 5.0  # radius of a spot
CORNERS = 24  # of a crack
VISIBLE = 4 / 255  # mean change over a few pixels: less is invisible


@dataclass(frozen=True)
class Defects(Section, name="corruption"):
    """Settings of drawn defects. clean: share of pictures without one. lighting: change of light across a picture."""

    clean: ShareBelowOne = 0.4
    lighting: ShareBelowOne = 0.15


class Defective(NamedTuple):
    """Pictures before and after, (batch, channels, height, width) in 0..1; the mask, (batch, 1, ...), is 0 or 1."""

    clean: Tensor
    defective: Tensor
    mask: Tensor


class Shape(NamedTuple):
    """The share of pixels that a defect covers, (batch, 1, height, width) in 0..1, and whether it is small or thin.

    The latter, (batch, 1, 1, 1), marks defects that are visible only if much darker or lighter than their surroundings.
    """

    cover: Tensor
    thin: Tensor


def add_defects(images: Tensor, generator: torch.Generator, defects: Defects) -> Defective:
    """Draw defects on a batch of good pictures, (batch, channels, height, width) in 0..1, each in different light."""
    count, _, height, width = images.shape
    draw = Draw(generator, count, height, width)
    light = (1 + defects.lighting * draw.smooth(OCTAVES[:1])) * draw.uniform(0.8, 1.25)
    clean = (images * light).clamp(0, 1)
    defective, mask = clean, torch.zeros_like(clean[:, :1])
    hit = ~draw.chance(defects.clean)
    for _ in range(MAX_DEFECTS):
        shape = draw_shapes(draw)
        changed = torch.lerp(defective, _filling(defective, shape, draw).clamp(0, 1), shape.cover * hit)
        mask = torch.maximum(mask, _visible(changed - defective, shape.cover))
        defective = changed
        hit = hit & draw.chance(0.5)
    return Defective(clean, defective, mask)


def draw_shapes(draw: Draw) -> Shape:
    """Draw a blot, a band or a crack for every picture, each kind for a third of them, in random order."""
    order = draw.order()
    shapes = []
    for kind, part in zip((_blots, _bands, _cracks), order.tensor_split(3), strict=True):
        if len(part):
            shapes.append(kind(draw.part(len(part))))
    cover, thin = (torch.cat(parts)[order.argsort()] for parts in zip(*shapes, strict=True))
    return Shape(cover, thin)


def _blots(draw: Draw) -> Shape:
    """Draw ellipses with a rough border, from small spots to large stains."""
    radius = draw.scale(1.5, 0.4 * draw.width)
    distance = ellipse(draw, radius, draw.scale(0.02, 0.5))
    return Shape(_cover(distance, draw.scale(0.2, 1.5)), radius < SMALL)


def _bands(draw: Draw) -> Shape:
    """Draw strips right across, with straight or wavy borders; at the edge only one border is visible."""
    turned = (draw.place - draw.point()) * draw.direction()
    width = draw.scale(4, 0.4 * draw.width)
    distance = width - (turned.real - width).abs() + draw.scale(0.02, 0.5) * width.clamp(max=16) * draw.smooth()
    return Shape(_cover(distance, draw.scale(0.2, 2)), width < 0)


def _cracks(draw: Draw) -> Shape:
    """Draw random walks, straight or winding, of uneven thickness."""
    length = draw.scale(8, 1.2 * draw.width)
    nearest = walk(draw, length, CORNERS, draw.scale(0.02, 0.7))
    thickness = draw.scale(0.4, 2.5) * (1 + 0.3 * draw.smooth(OCTAVES[2:]))
    return Shape(_cover(thickness - nearest, draw.scale(0.2, 0.6)), length > 0)


def _cover(distance: Tensor, softness: Tensor) -> Tensor:
    return torch.sigmoid(distance / softness)


def _filling(pictures: Tensor, shape: Shape, draw: Draw) -> Tensor:
    """Return whole pictures of the material of defects."""
    other = pictures.roll(1, dims=0).flip(3)
    if draw.height == draw.width:
        other = torch.where(draw.chance(0.5), other, other.transpose(2, 3))
    base = torch.where(draw.chance(0.2) & ~shape.thin, other, pictures)
    ground = local_mean(base, 15)
    level = ground.mean(dim=(2, 3), keepdim=True).clamp_min(0.02)
    base, ground = (x * (pictures.mean(dim=(2, 3), keepdim=True) / level) for x in (base, ground))
    detail = torch.where(draw.chance(0.6), draw.uniform(0, 2), 1.0)
    shift = torch.where(shape.thin, draw.uniform(0.15, 0.75), draw.scale(0.02, 0.5))
    shift = torch.where(draw.chance(0.25), shift, -shift)
    shift = shift * (1 + draw.uniform(0, 0.4) * draw.smooth(OCTAVES[2:]))
    return (ground + detail * (base - ground)) * (1 + shift)


def _visible(change: Tensor, cover: Tensor) -> Tensor:
    """Mark pixels that a defect covers visibly: 0 or 1."""
    inside = (cover > 0.3).to(change.dtype)
    amount = change.abs().amax(dim=1, keepdim=True) * inside
    return inside * (local_mean(amount, 7) > VISIBLE * local_mean(inside, 7))
