"""The tab Inpaint: fills what is painted over, as `vaetool inpaint --mask` does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from vaetool.errors import UsageError
from vaetool.inpainting.growing import grow_hole
from vaetool.inpainting.holes import dilate_hole
from vaetool.inpainting.task import MaskedPicture, inpaint_picture, mask_picture
from vaetool.ui.session import Item, Session, renamed
from vaetool.ui.views import show

Point = tuple[float, float]


@dataclass(frozen=True)
class Mark:
    """A stroke through points, across and down in pixels of the picture, or a box between two of them.

    radius: of the brush, in pixels. erase: unmark what the stroke covers.
    """

    points: list[Point]
    radius: float = 0.0
    shape: Literal["stroke", "box"] = "stroke"
    erase: bool = False


@dataclass(frozen=True)
class Fill:
    """A request to fill the marked parts of a picture.

    grow: first, to the edges of the marked things. dilate: also fill everything within this many pixels.
    """

    picture: str
    marks: list[Mark]
    grow: bool = False
    dilate: int = 0
    model: str = "photo-inpaint"


def fill(session: Session, request: Fill) -> dict[str, Any]:
    """Fill the marked parts. The answer describes the new picture, with facts of `inpaint_picture` and `warnings`."""
    item, hole = _marked(session, request)
    marked = MaskedPicture(item.picture, hole)
    with session.working(item.name):
        filled, facts = inpaint_picture(session.model(request.model, "mae"), marked.picture, marked.hole)
    told = dict.fromkeys((*marked.warnings, *filled.warnings))
    warnings = [words for words in told if words not in marked.picture.warnings]
    return show(session, Item(renamed(item.name, "inpainted"), filled)) | facts | {"warnings": warnings}


def mask(session: Session, request: Fill) -> dict[str, Any]:
    """Make a mask file of the marked parts: white on black, as `vaetool inpaint --mask` takes it."""
    item, hole = _marked(session, request)
    return show(session, Item(renamed(item.name, "mask", ".png"), mask_picture(hole)))


def hole_of(marks: Sequence[Mark], height: int, width: int) -> np.ndarray:
    """Return the mask that marks cover, (height, width) bool: the pixels whose centres are within them."""
    hole = np.zeros((height, width), bool)
    for mark in marks:
        _check(mark)
        if mark.shape == "box":
            (left, top), (right, bottom) = mark.points[0], mark.points[-1]
            _cover(hole, mark, (left, top), (right, bottom))
        else:
            for start, end in pairwise(mark.points if len(mark.points) > 1 else 2 * mark.points):
                _cover(hole, mark, start, end)
    return hole


def _check(mark: Mark) -> None:
    numbers = [mark.radius, *(number for point in mark.points for number in point)]
    if not mark.points or not all(map(math.isfinite, numbers)) or mark.radius < 0:
        raise UsageError("a mark needs points, and a radius of 0 or more")


def _cover(hole: np.ndarray, mark: Mark, start: Point, end: Point) -> None:
    """Mark, or erase, the pixels within the radius of the line between two points, or in the box between them."""
    height, width = hole.shape
    reach = mark.radius if mark.shape == "stroke" else 0.0
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(start, end, strict=True))
    rows = slice(*(min(max(int(edge), 0), height) for edge in (math.floor(top - reach), math.ceil(bottom + reach))))
    columns = slice(*(min(max(int(edge), 0), width) for edge in (math.floor(left - reach), math.ceil(right + reach))))
    part = hole[rows, columns]
    if not part.size:
        return
    if mark.shape == "box":
        part[:] = not mark.erase
        return
    y = np.arange(rows.start, rows.stop)[:, None] + 0.5 - start[1]
    x = np.arange(columns.start, columns.stop) + 0.5 - start[0]
    way = (end[0] - start[0], end[1] - start[1])
    length = way[0] ** 2 + way[1] ** 2
    along = np.clip((x * way[0] + y * way[1]) / (length or 1.0), 0, 1)
    part[(x - along * way[0]) ** 2 + (y - along * way[1]) ** 2 <= mark.radius**2] = not mark.erase


def _marked(session: Session, request: Fill) -> tuple[Item, np.ndarray]:
    item = session.find(request.picture)
    if not 0 <= request.dilate <= 1000:
        raise UsageError(f"dilate must be from 0 to 1000, not {request.dilate}")
    hole = hole_of(request.marks, item.picture.height, item.picture.width)
    if request.grow:
        hole = grow_hole(item.picture.pixels, hole)
    hole = dilate_hole(hole, request.dilate)
    if not hole.any():
        raise UsageError("nothing is marked: paint over what is to be removed")
    return item, hole
