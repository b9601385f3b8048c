"""Random shapes that training draws on pictures, batched: random numbers, signed distances, walks.

A shape is a signed distance in pixels, positive inside. All tensors are on the generator's device.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

OCTAVES = (3, 6, 12, 24, 48)  # cells a side of smooth noise


class Draw:
    """Source of random numbers for the pictures of a batch, (batch, 1, 1, 1) unless stated otherwise."""

    def __init__(self, generator: torch.Generator, count: int, height: int, width: int) -> None:
        self.generator, self.device = generator, generator.device
        self.count, self.height, self.width = count, height, width
        rows = torch.arange(self.height, device=self.device, dtype=torch.float32)
        columns = torch.arange(self.width, device=self.device, dtype=torch.float32)
        self.place = torch.complex(*torch.meshgrid(columns, rows, indexing="xy"))  # of every pixel, x + iy

    def part(self, count: int) -> Draw:
        """Return the same for fewer pictures."""
        return Draw(self.generator, count, self.height, self.width)

    def order(self) -> Tensor:
        """Return the indices of the pictures, shuffled."""
        return torch.randperm(self.count, generator=self.generator, device=self.device)

    def uniform(self, low: float, high: float) -> Tensor:
        """Draw uniform numbers."""
        return low + (high - low) * torch.rand((self.count, 1, 1, 1), generator=self.generator, device=self.device)

    def scale(self, low: float, high: float) -> Tensor:
        """Draw numbers whose logarithms are uniform."""
        return self.uniform(math.log(low), math.log(high)).exp()

    def chance(self, share: float) -> Tensor:
        """Draw booleans, true for about a share of the pictures."""
        return self.uniform(0, 1) < share

    def normal(self, *shape: int) -> Tensor:
        """Draw normal numbers, (batch, *shape)."""
        return torch.randn((self.count, *shape), generator=self.generator, device=self.device)

    def direction(self) -> Tensor:
        """Draw unit vectors, half of them nearly along rows or columns."""
        angle = self.uniform(0, 2 * math.pi)
        straight = (angle / (math.pi / 2)).round() * (math.pi / 2) + 0.06 * self.normal(1, 1, 1)
        return torch.polar(torch.ones_like(angle), torch.where(self.chance(0.5), straight, angle))

    def point(self) -> Tensor:
        """Draw points in the pictures, x + iy."""
        return torch.complex(self.uniform(0, self.width), self.uniform(0, self.height))

    def smooth(self, octaves: tuple[int, ...] = OCTAVES) -> Tensor:
        """Draw smooth noise, (batch, 1, height, width), roughly normal, with cells of a random size."""
        favourite = self.uniform(-0.5, len(octaves) - 0.5)
        noise = torch.zeros((), device=self.device)
        for index, cells in enumerate(octaves):
            grid = torch.exp(-((favourite - index) ** 2)) * self.normal(1, cells + 1, cells + 1)
            noise = noise + F.interpolate(grid, (self.height, self.width), mode="bicubic", align_corners=True)
        return noise


def ellipse(draw: Draw, radius: Tensor, roughness: Tensor) -> Tensor:
    """Return the signed distance to the rough border of an ellipse; roughness: relative to its mean radius."""
    flatness = draw.scale(1, 2)
    turned = (draw.place - draw.point()) * draw.direction()
    distance = radius - (turned.real.square() * flatness**2 + turned.imag.square() / flatness**2).sqrt()
    return distance + roughness * radius * draw.smooth()


def walk(draw: Draw, length: Tensor, corners: int, winding: Tensor) -> Tensor:
    """Return the distance to a random walk of straight steps, each turned by about `winding` radians."""
    step = length / corners
    turns = (draw.normal(1, 1, corners) * winding).cumsum(dim=-1)
    steps = step * draw.direction() * torch.polar(torch.ones_like(turns), turns)
    ends = draw.point() + steps.cumsum(dim=-1)
    nearest = torch.full((draw.count, 1, draw.height, draw.width), math.inf, device=draw.device)
    for k in range(corners):
        way, offset = steps[..., k, None], draw.place - ends[..., k, None]
        back = ((offset * way.conj()).real / step.square()).clamp(-1, 0)
        apart = offset - back * way
        nearest = torch.minimum(nearest, apart.real.square() + apart.imag.square())
    return nearest.sqrt()
