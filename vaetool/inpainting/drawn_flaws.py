"""Drawn flaws of scans: scratches, dust and printed dates on clean pictures, so that a network learns to find them.

Batched, on the pictures' device, seeded. Each kind returns the cover of each pixel, (batch, 1, height, width) in 0..1,
and the colour of the flaw, (batch, 3, 1, 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.nn.shapes import Draw, ellipse, walk

FLAWS = ("scratches", "dust", "date")

COUNTS = (3, 3, 1)  # of each kind, at most, in a picture
CORNERS = 5  # of a scratch or a fibre
TRACES = 0.35  # of a pixel that must be covered to count as the flaw's

# The segments of a digit on a seven-segment display, as ends in a cell 1 wide and 2 high, and which ones are lit.
SEGMENTS = ((0, 1j), (1j, 2j), (1, 1 + 1j), (1 + 1j, 1 + 2j), (0, 1), (1j, 1 + 1j), (2j, 1 + 2j))
DIGITS = ("1111101", "0011000", "0110111", "0011111", "1011010", "1001111", "1101111", "0011100", "1111111", "1011111")
APOSTROPHE, SPACE = "1000000", "0000000"
WIDTH = 1.5  # from one digit to the next, their own width being 1


def draw_flaws(generator: torch.Generator, clean: Tensor) -> tuple[Tensor, Tensor]:
    """Return pictures with flaws, and masks of these, (batch, len(FLAWS), height, width) of 0 and 1.

    clean: (batch, channels, height, width) in 0..1. A third of the pictures stay without a flaw, a third is toned
    grey, half get some grain.
    """
    count, channels, height, width = clean.shape
    draw = Draw(generator, count, height, width)
    grey = clean.mean(dim=1, keepdim=True) * (1 + 0.08 * draw.normal(channels, 1, 1))
    pictures = torch.where(draw.chance(1 / 3), grey.clamp(0, 1), clean)
    spared, traces = draw.chance(1 / 3), []
    for most, flaw in zip(COUNTS, (_scratch, _dust, _date), strict=True):
        number, where = draw.uniform(-1, most), torch.zeros_like(pictures[:, :1])
        for index in range(most):
            covered, colour = flaw(draw)
            covered = covered * ((number > index) & ~spared)
            where = torch.maximum(where, covered)
            opacity = draw.uniform(0.35, 1)
            pictures = torch.lerp(pictures, colour[:, :channels].expand_as(pictures), covered * opacity)
        traces.append(where > TRACES)
    grain = draw.normal(channels, height, width) * draw.uniform(-0.03, 0.03).clamp_min(0)
    return (pictures + grain).clamp(0, 1), torch.cat(traces, dim=1).float()


def _scratch(draw: Draw) -> tuple[Tensor, Tensor]:
    """Draw a long thin line, nearly straight, that fades in places."""
    length = draw.scale(0.3 * draw.width, 2 * draw.width)
    distance = walk(draw, length, CORNERS, draw.scale(0.005, 0.2))
    thickness = draw.scale(0.5, 2.2) * (1 + 0.2 * draw.smooth((12, 24)))
    fading = (1.4 + draw.smooth((6, 12))).clamp(0, 1)
    return _soft(thickness - distance) * fading, _grey(draw)


def _dust(draw: Draw) -> tuple[Tensor, Tensor]:
    """Draw many specks, or a short curled fibre."""
    thickness = draw.scale(0.6, 1.6)
    fibre = thickness - walk(draw, draw.scale(12, 70), CORNERS, draw.uniform(0.2, 1))
    speck = ellipse(draw, draw.scale(1, 5), draw.scale(0.02, 0.3))
    sand = draw.normal(1, draw.height, draw.width) - draw.uniform(3.5, 4.3)
    sand = F.max_pool2d(sand, 3, 1, 1) * 8  # single pixels, three wide
    specks = torch.where(draw.chance(0.4), sand, speck)
    return _soft(torch.where(draw.chance(0.4), fibre, specks)), _grey(draw)


def _date(draw: Draw) -> tuple[Tensor, Tensor]:
    """Draw a row of glowing digits as cameras print them, upright or turned by quarters."""
    size = draw.scale(4, 20)  # half the height of a digit
    quarter = torch.polar(torch.ones_like(size), (draw.uniform(-1, 2).round() * math.pi / 2))
    tilt = torch.polar(torch.ones_like(size), 0.02 * draw.normal(1, 1, 1))
    place = (draw.place - draw.point()) * quarter * tilt / size
    place = torch.complex(place.real + draw.uniform(0, 0.2) * place.imag, place.imag)
    column = torch.floor(place.real / WIDTH)
    within = torch.complex(place.real - WIDTH * column, place.imag)
    glyphs = torch.tensor([[int(lit) for lit in glyph] for glyph in (*DIGITS, APOSTROPHE, SPACE, SPACE)])
    columns = 9
    text = glyphs.to(draw.device)[(draw.normal(columns).abs() * 1e4).long() % len(glyphs)]  # (batch, columns, 7)
    cell = (column + columns // 2).clamp(0, columns - 1).long()
    picture = torch.arange(draw.count, device=draw.device)[:, None, None, None]
    nearest = torch.full(within.shape, torch.inf, device=draw.device)
    for number, (start, end) in enumerate(SEGMENTS):
        offset, way = within - start, end - start
        along = (offset * complex(way).conjugate()).real.clamp(0.08, 0.92)
        distance = torch.where(text[picture, cell, number] > 0, (offset - along * way).abs(), torch.inf)
        nearest = torch.minimum(nearest, distance)
    nearest = torch.where((column.abs() <= columns // 2) & nearest.isfinite(), nearest, 1e3)
    thickness = draw.uniform(0.1, 0.25) * size
    warmth = draw.uniform(0.2, 0.9)
    colour = torch.cat([torch.ones_like(warmth), warmth, warmth.square() * draw.uniform(0, 0.6)], dim=1)
    return _soft((thickness.clamp_min(0.7) - nearest * size) / draw.uniform(0.7, 2)), colour


def _soft(distance: Tensor) -> Tensor:
    """Return the share of a pixel that is covered at a signed distance from the border."""
    return (distance + 0.5).clamp(0, 1)


def _grey(draw: Draw) -> Tensor:
    """Draw a near-white or near-black colour with a slight tint."""
    light = torch.where(draw.chance(0.65), draw.uniform(0.8, 1), draw.uniform(0, 0.2))
    return (light + 0.05 * draw.normal(3, 1, 1)).clamp(0, 1)
