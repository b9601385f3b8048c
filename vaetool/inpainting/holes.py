"""The geometry of holes: which are deep, and the windows in which they are filled.

A hole is a bool array, (height, width), true where a picture is unknown. Depths and windows are found on a grid of
blocks, so that a large picture costs little time and memory; holes closer than a block or two count as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from scipy import ndimage

from vaetool.images.tiling import Tile

BLOCK = 8  # pixels a side
CORE = 192  # pixels a side, at most, that a window fills
CONTEXT = (16, 64)  # pixels around them that are seen, at least (thin holes need no more) and at most
CONTEXT_PER_DEPTH = 4
BAND_ROWS = 256
DEEP = 24  # pixels from what is known: a hole that reaches further is filled at half the size first

TOUCHING = np.ones((3, 3), bool)  # also at their corners

Box = tuple[slice, slice]


def count_holes(hole: np.ndarray) -> int:
    """Count holes; those that touch, even at a corner, are one."""
    box = bounds(hole)
    return 0 if box is None else int(ndimage.label(hole[box], TOUCHING)[1])


def bounds(hole: np.ndarray) -> Box | None:
    """Return the smallest box around all of a hole; None if nothing is missing."""
    rows, columns = (np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def dilate_hole(hole: np.ndarray, radius: int) -> np.ndarray:
    """Return the hole and everything within `radius` pixels of it."""
    box = bounds(hole)
    if radius < 1 or box is None:
        return hole
    wider = hole.copy()
    rows, columns = widened(box, radius, hole.shape)
    for start in range(rows.start, rows.stop, BAND_ROWS):  # distances take sixteen times the memory of a hole
        stop = min(start + BAND_ROWS, rows.stop)
        above = max(start - radius, 0)
        near = hole[above : stop + radius, columns]
        if near.any():
            distance = ndimage.distance_transform_edt(~near)
            wider[start:stop, columns] = distance[start - above : stop - above] <= radius
    return wider


def deep_part(hole: np.ndarray, least: int = DEEP) -> np.ndarray:
    """Return the holes that somewhere reach further than so many pixels from what is known."""
    core = _depth(hole) > least
    if not core.any():
        return np.zeros_like(hole)
    labels, count = ndimage.label(_blocks(hole, np.logical_or, False), TOUCHING)
    chosen = np.zeros(count + 1, bool)
    chosen[labels[core]] = True
    blocks = chosen[labels].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    return hole & blocks[: hole.shape[0], : hole.shape[1]]


def deepest_place(hole: np.ndarray) -> tuple[int, int, int]:
    """Return the row and column that is furthest from what is known, and how far in pixels: all to within a block."""
    depth = _depth(hole)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return BLOCK * int(row) + BLOCK // 2, BLOCK * int(column) + BLOCK // 2, round(float(depth.max()))


def widened(box: Box, margin: int, shape: tuple[int, ...]) -> Box:
    """Widen a box by `margin` pixels on every side, as far as the picture goes."""
    rows, columns = (
        slice(max(0, part.start - margin), min(size, part.stop + margin)) for part, size in zip(box, shape, strict=True)
    )
    return rows, columns


def with_surroundings(box: Box, shape: tuple[int, ...]) -> Box:
    """Widen a box by its own size on every side, or by the most context that any window has if that is more."""
    rows, columns = box
    return widened(box, max(CONTEXT[1], rows.stop - rows.start, columns.stop - columns.start), shape)


def windows(hole: np.ndarray, stride: int, context: tuple[int, int] = CONTEXT, core: int = CORE) -> Iterator[Tile]:
    """Yield windows that together fill all of the hole, each in a box of up to `core` pixels a side.

    A hole that is small enough lies in one window, and holes near each other share one. The deeper a hole is, the more
    is seen around it, from the least to the most pixels of `context`: the least if no block lies in it entirely. The
    sides of a window are multiples of `stride` where the picture is large enough.
    """
    blocks, depth = _blocks(hole, np.logical_or, False), _depth(hole)
    for box in _grouped(_pieces(blocks, core), core):
        found = bounds(hole[_in_pixels(box)])
        if found is None:
            continue
        kept = _moved(found[0], BLOCK * box[0].start), _moved(found[1], BLOCK * box[1].start)
        deepest = depth[box].max()
        seen = int(np.clip(CONTEXT_PER_DEPTH * (deepest + BLOCK), *context)) if deepest else context[0]
        rows, columns = widened(kept, seen, hole.shape)
        height, width = hole.shape
        yield Tile(_to_multiple(rows, stride, height), _to_multiple(columns, stride, width), *kept)


def _blocks(hole: np.ndarray, combine: np.ufunc, outside: bool) -> np.ndarray:
    """Combine each block into one value; its part beyond the picture counts as `outside`."""
    below, beside = (-size % BLOCK for size in hole.shape)
    padded = np.pad(hole, ((0, below), (0, beside)), constant_values=outside) if below or beside else hole
    rows = combine.reduce(padded.reshape(-1, BLOCK, padded.shape[1]), axis=1)
    return combine.reduce(rows.reshape(len(rows), -1, BLOCK), axis=2)


def _depth(hole: np.ndarray) -> np.ndarray:
    """Return about how many pixels each block is from what is known."""
    return BLOCK * ndimage.distance_transform_edt(_blocks(hole, np.logical_and, True))


def _pieces(blocks: np.ndarray, core: int) -> Iterator[Box]:
    """Yield boxes, in blocks, around each hole; those of larger holes are cut into parts, empty ones left out."""
    for rows, columns in ndimage.find_objects(ndimage.label(blocks, TOUCHING)[0]):
        for row in _cut(rows, core):
            for column in _cut(columns, core):
                if blocks[row, column].any():
                    yield row, column


def _cut(part: slice, core: int) -> list[slice]:
    """Cut a slice into parts of about the same length, none longer than a core."""
    length = part.stop - part.start
    count = -(-length * BLOCK // core)
    ends = [part.start + length * number // count for number in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _grouped(boxes: Iterable[Box], core: int) -> Iterator[Box]:
    """Group boxes, as many as fit into a core, from top to bottom and left to right; yield one around each group."""
    most = core // BLOCK
    left = np.array([(row.start, row.stop, column.start, column.stop) for row, column in boxes], int).reshape(-1, 4)
    while len(left):
        top, bottom, first, last = left.T
        band = bottom <= top.min() + most
        inside = band & (last <= first[band].min() + most)
        chosen = left[inside]
        (top, _, first, _), (_, bottom, _, last) = chosen.min(axis=0).tolist(), chosen.max(axis=0).tolist()
        yield slice(top, bottom), slice(first, last)
        left = left[~inside]


def _in_pixels(box: Box) -> Box:
    rows, columns = (slice(BLOCK * part.start, BLOCK * part.stop) for part in box)
    return rows, columns


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _to_multiple(part: slice, stride: int, size: int) -> slice:
    """Lengthen a slice to a multiple of `stride`, where the picture has more on either side."""
    stop = min(size, part.stop + -(part.stop - part.start) % stride)
    return slice(max(0, part.start - -(stop - part.start) % stride), stop)
