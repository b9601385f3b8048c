"""Drawn masks: the holes that training cuts into pictures for a network to fill.

For real use these are strokes, boxes, blots, scratches and marks like text; for the masked autoencoder of He et al.
2022, square patches. Batched, on the images' device, seeded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import torch
from msgspec import Meta
from torch import Tensor

from vaetool.errors import UsageError
from vaetool.nn.sections import InnerShare, Section, Share
from vaetool.nn.shapes import OCTAVES, Draw, ellipse, walk

RATIO = 0.75

MAX_SHARE = 0.9  # of a picture that a hole may cover
STROKES, BOXES, BLOTS, SCRATCHES = 4, 3, 3, 10  # at most, in a picture
STROKE_CORNERS, SCRATCH_CORNERS = 8, 12
GLYPHS, LINES = 29, 3  # kinds of marks, and the number of lines in each
SPACES = 6  # one in this many marks is a space
CELL_WIDTH, ROW_HEIGHT = 0.7, 1.5  # for marks that are 1 high


@dataclass(frozen=True)
class Masks(Section, name="corruption"):
    """Settings of the masks that training hides pictures with.

    patch, ratio: side of square patches in pixels, and the share of them that is hidden; a patch of 0 means all other
    kinds of masks. refined: share of the pictures given with a coarse version of their hole to sharpen, as in very
    large holes.
    """

    patch: Annotated[int, Meta(ge=0, le=256)] = 0
    ratio: InnerShare = RATIO
    refined: Share = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ratio != RATIO and not self.patch:
            raise UsageError("corruption.ratio is the share of square patches: give their side, corruption.patch, too")


def draw_masks(generator: torch.Generator, count: int, height: int, width: int, masks: Masks) -> Tensor:
    """Draw masks for a batch, (count, 1, height, width): 1 in the hole, else 0; none is empty or full."""
    draw = Draw(generator, count, height, width)
    if masks.patch:
        return patches(draw, masks.patch, masks.ratio)
    order = draw.order()
    kinds: tuple[Callable[[Draw], Tensor], ...] = (_strokes, _strokes, _boxes, _blots, _scratches, _text)
    drawn = [kind(draw.part(len(part))) for kind, part in zip(kinds, order.tensor_split(len(kinds)), strict=True)]
    inside = torch.cat(drawn)[order.argsort()]
    return _neither_all_nor_none(inside).float()


def patches(draw: Draw, side: int, ratio: float) -> Tensor:
    """Hide exactly `ratio` of the squares of a grid, drawn for each picture; at least one is hidden and one visible."""
    rows, columns = -(-draw.height // side), -(-draw.width // side)
    hidden = min(max(1, round(ratio * rows * columns)), max(1, rows * columns - 1))
    rank = draw.normal(rows * columns).argsort(dim=1).argsort(dim=1)
    squares = (rank < hidden).float().view(-1, 1, rows, columns)
    enlarged = squares.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
    return enlarged[:, :, : draw.height, : draw.width]


def _neither_all_nor_none(inside: Tensor) -> Tensor:
    """Replace masks that hide nothing, or nearly everything, by one of the middle of the picture."""
    height, width = inside.shape[2:]
    middle = torch.zeros_like(inside)
    middle[:, :, height // 4 : -(-3 * height // 4), width // 4 : -(-3 * width // 4)] = True
    share = inside.float().mean(dim=(1, 2, 3), keepdim=True)
    return torch.where((share == 0) | (share > MAX_SHARE), middle, inside)


def _strokes(draw: Draw) -> Tensor:
    """Draw brush strokes, from thin ones to two fifths of the picture wide."""

    def stroke() -> Tensor:
        length = draw.scale(0.1 * draw.width, 1.5 * draw.width)
        radius = draw.scale(0.012 * draw.width, 0.2 * draw.width)
        return walk(draw, length, STROKE_CORNERS, draw.uniform(0, 1.2)) < radius

    return _some(draw, STROKES, stroke)


def _boxes(draw: Draw) -> Tensor:
    def box() -> Tensor:
        offset = draw.place - draw.point()
        beside, below = draw.uniform(0.06, 0.3) * draw.width, draw.uniform(0.06, 0.3) * draw.height
        return (offset.real.abs() < beside) & (offset.imag.abs() < below)

    return _some(draw, BOXES, box)


def _blots(draw: Draw) -> Tensor:
    """Draw rough ellipses, shaped like objects."""

    def blot() -> Tensor:
        return ellipse(draw, draw.scale(0.06 * draw.width, 0.33 * draw.width), draw.scale(0.02, 0.4)) > 0

    return _some(draw, BLOTS, blot)


def _scratches(draw: Draw) -> Tensor:
    def scratch() -> Tensor:
        thickness = draw.scale(0.6, 4) * (1 + 0.3 * draw.smooth(OCTAVES[2:]))
        length = draw.scale(0.2 * draw.width, 1.5 * draw.width)
        return walk(draw, length, SCRATCH_CORNERS, draw.scale(0.02, 0.7)) < thickness

    return _some(draw, SCRATCHES, scratch)


def _some(draw: Draw, most: int, shape: Callable[[], Tensor]) -> Tensor:
    """Draw from one to `most` shapes in every picture."""
    inside, number = shape(), draw.uniform(0, most)
    for count in range(1, most):
        inside = inside | (shape() & (number > count))
    return inside


def _text(draw: Draw) -> Tensor:
    """Draw rows of marks, each of a few straight lines between places in its cell, in a block across the picture."""
    size = draw.scale(0.04 * draw.width, 0.2 * draw.width).clamp_min(6)
    place = (draw.place - draw.point()) * draw.direction() / size
    row, column = torch.floor(place.imag / ROW_HEIGHT), torch.floor(place.real / CELL_WIDTH)
    within = place - torch.complex(CELL_WIDTH * column, ROW_HEIGHT * row)
    glyph = ((7 * column + 13 * row + 3 * column * row) % GLYPHS).long().expand(draw.count, -1, -1, -1)
    across, down = (0.5 + 0.3 * draw.normal(2, 2, LINES, GLYPHS)).clamp(0.1, 0.9).unbind(dim=1)
    starts, ends = torch.complex(CELL_WIDTH * across, down).unbind(dim=1)  # (batch, LINES, GLYPHS) each
    picture = torch.arange(draw.count, device=draw.device)[:, None, None, None]
    nearest = torch.full(within.shape, torch.inf, device=draw.device)
    for line in range(LINES):
        start, end = starts[picture, line, glyph], ends[picture, line, glyph]
        way, offset = end - start, within - start
        along = ((offset * way.conj()).real / way.abs().square().clamp_min(1e-6)).clamp(0, 1)
        nearest = torch.minimum(nearest, (offset - along * way).abs())
    rows, columns = draw.uniform(1, 5).floor(), draw.uniform(8, 40)
    block = (row >= -rows) & (row <= rows) & (column.abs() < columns) & (glyph % SPACES != 0)
    return (nearest * size < draw.scale(0.04, 0.14) * size.clamp_min(8)) & block
