"""The geometry of holes: their depths, and the windows in which they are filled.

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
PER_WINDOW = 1000  # pixels in whose time a window is begun
BATCH = 256 * 256  # pixels that are computed at once; more are hardly faster
BAND_ROWS = 256
DEEP = 24  # pixels from known ones: a deeper hole is filled at half the size first

TOUCHING = np.ones((3, 3), bool)  # also at their corners

Slices = tuple[slice, slice]


def count_holes(hole: np.ndarray) -> int:
    """Count holes; those that touch, even at a corner, are one."""
    box = bounds(hole)
    return 0 if box is None else int(ndimage.label(hole[box], TOUCHING)[1])


def bounds(hole: np.ndarray) -> Slices | None:
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
    """Return the holes that somewhere are more than `least` pixels from known ones."""
    core = _depth(hole) > least
    if not core.any():
        return np.zeros_like(hole)
    labels, count = ndimage.label(blocks_of(hole, np.logical_or, False), TOUCHING)
    chosen = np.zeros(count + 1, bool)
    chosen[labels[core]] = True
    blocks = chosen[labels].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    return hole & blocks[: hole.shape[0], : hole.shape[1]]


def deepest_place(hole: np.ndarray) -> tuple[int, int, int]:
    """Return the row and column furthest from known pixels, and its distance in pixels, to the accuracy of a block."""
    depth = _depth(hole)
    row, column = np.unravel_index(depth.argmax(), depth.shape)
    return BLOCK * int(row) + BLOCK // 2, BLOCK * int(column) + BLOCK // 2, round(float(depth.max()))


def widened(box: Slices, margin: int, shape: tuple[int, ...]) -> Slices:
    """Widen a box by `margin` pixels on every side, within the picture."""
    rows, columns = (
        slice(max(0, part.start - margin), min(size, part.stop + margin)) for part, size in zip(box, shape, strict=True)
    )
    return rows, columns


def with_surroundings(box: Slices, shape: tuple[int, ...]) -> Slices:
    """Widen a box on every side by its own size, or by the largest context of any window if that is more."""
    rows, columns = box
    return widened(box, max(CONTEXT[1], rows.stop - rows.start, columns.stop - columns.start), shape)


def windows(hole: np.ndarray, stride: int, context: tuple[int, int] = CONTEXT, core: int = CORE) -> Iterator[Tile]:
    """Yield windows that together fill the whole hole, each in a box of up to `core` pixels a side.

    They are chosen for little computation: holes near each other share a window, a compact hole that is small enough
    lies in one, and a long diagonal one is cut. The deeper a hole, the more of its surroundings is seen, between the
    two numbers of pixels of `context`: the smaller if no block lies in it entirely. The sides of a window are multiples
    of `stride` where the picture is large enough.
    """
    blocks, depth = blocks_of(hole, np.logical_or, False), _depth(hole)
    labels, count = ndimage.label(blocks, TOUCHING)
    depth = ndimage.maximum(depth, labels, np.arange(count + 1))[labels]  # so that no thin part sees less when cut off
    for box in _boxes(blocks, depth, context, core):
        found = bounds(hole[_in_pixels(box)])
        if found is None:
            continue
        kept = _moved(found[0], BLOCK * box[0].start), _moved(found[1], BLOCK * box[1].start)
        rows, columns = widened(kept, int(_seen(depth[box].max(), context)), hole.shape)
        height, width = hole.shape
        yield Tile(_to_multiple(rows, stride, height), _to_multiple(columns, stride, width), *kept)


def batches(tiles: Iterable[Tile]) -> Iterator[list[Tile]]:
    """Yield windows of one size together, up to `BATCH` pixels, none of which sees what another fills."""
    begun: dict[tuple[int, int], list[list[Tile]]] = {}
    for tile in tiles:
        height, width = (part.stop - part.start for part in tile.window())
        waiting = begun.setdefault((height, width), [])
        batch = next((batch for batch in waiting if not any(_meet(tile, other) for other in batch)), None)
        if batch is None:
            waiting.append(batch := [])
        batch.append(tile)
        if (len(batch) + 1) * height * width > BATCH:
            waiting.remove(batch)
            yield batch
    yield from (batch for waiting in begun.values() for batch in waiting)


def _meet(one: Tile, other: Tile) -> bool:
    """Tell whether either of two windows sees what the other fills."""
    return any(
        all(a.start < b.stop and b.start < a.stop for a, b in zip(seen.window(), filled.kept(), strict=True))
        for seen, filled in ((one, other), (other, one))
    )


def blocks_of(values: np.ndarray, combine: np.ufunc, outside: float) -> np.ndarray:
    """Combine each block of a hole, or of pixel values, into one value; beyond the picture, values are `outside`."""
    below, beside = (-size % BLOCK for size in values.shape)
    padded = np.pad(values, ((0, below), (0, beside)), constant_values=outside) if below or beside else values
    rows = combine.reduce(padded.reshape(-1, BLOCK, padded.shape[1]), axis=1)
    return combine.reduce(rows.reshape(len(rows), -1, BLOCK), axis=2)


def _depth(hole: np.ndarray) -> np.ndarray:
    """Return the approximate distance in pixels of each block from known pixels."""
    return BLOCK * ndimage.distance_transform_edt(blocks_of(hole, np.logical_and, True))


def _seen(depth: np.ndarray, context: tuple[int, int]) -> np.ndarray:
    """Return the number of pixels seen around holes of these depths."""
    return np.where(depth > 0, np.clip(CONTEXT_PER_DEPTH * (depth + BLOCK), *context), context[0])


def _boxes(blocks: np.ndarray, depth: np.ndarray, context: tuple[int, int], core: int) -> Iterator[Slices]:
    """Yield boxes of blocks, of at most `core` pixels a side, around all blocks, so that windows around them are cheap.

    A box is cut in two at the cheapest place as long as that costs less; boxes still too large are cut evenly.
    """
    left = [(slice(0, blocks.shape[0]), slice(0, blocks.shape[1]))]
    while left:
        outer = left.pop()
        found = bounds(blocks[outer])
        if found is None:
            continue
        rows, columns = box = _moved(found[0], outer[0].start), _moved(found[1], outer[1].start)
        whole = _costs(blocks[box], depth[box], context, core)[-1]
        below = _cheapest_cut(blocks[box], depth[box], context, core)
        beside = _cheapest_cut(blocks[box].T, depth[box].T, context, core)
        if min(below, beside)[0] >= whole:
            yield from ((row, column) for row in _cut(rows, core) for column in _cut(columns, core))
        elif below <= beside:
            middle = rows.start + below[1]
            left += [(slice(middle, rows.stop), columns), (slice(rows.start, middle), columns)]
        else:
            middle = columns.start + beside[1]
            left += [(rows, slice(middle, columns.stop)), (rows, slice(columns.start, middle))]


def _cheapest_cut(blocks: np.ndarray, depth: np.ndarray, context: tuple[int, int], core: int) -> tuple[float, int]:
    """Return the cost of the two parts above and below the row where it is cheapest to cut, and that row."""
    if len(blocks) == 1:
        return np.inf, 0
    above = _costs(blocks, depth, context, core)[:-1]
    below = _costs(blocks[::-1], depth[::-1], context, core)[-2::-1]
    costs = above + below
    cheapest = np.flatnonzero(costs == costs.min())
    row = cheapest[abs(2 * cheapest + 2 - len(blocks)).argmin()]  # the one nearest to the middle
    return float(costs[row]), int(row) + 1


def _costs(blocks: np.ndarray, depth: np.ndarray, context: tuple[int, int], core: int) -> np.ndarray:
    """Return for each row the number of pixels seen by windows that fill it and all rows above: (rows,)."""
    count, width = blocks.shape
    any_ = blocks.any(axis=1)
    height = np.maximum.accumulate(np.where(any_, np.arange(count) + 1, 0))
    first = np.minimum.accumulate(np.where(any_, blocks.argmax(axis=1), width))
    last = np.maximum.accumulate(np.where(any_, width - blocks[:, ::-1].argmax(axis=1), 0))
    around = 2 * _seen(np.maximum.accumulate(depth.max(axis=1)), context)
    sides = BLOCK * height, BLOCK * (last - first)
    numbers = [np.ceil(side / core) for side in sides]
    seen = [side + around * number for side, number in zip(sides, numbers, strict=True)]
    return seen[0] * seen[1] + PER_WINDOW * numbers[0] * numbers[1]


def _cut(part: slice, core: int) -> list[slice]:
    """Cut a slice into parts of about the same length, none longer than a core."""
    length = part.stop - part.start
    count = -(-length * BLOCK // core)
    ends = [part.start + length * number // count for number in range(count + 1)]
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _in_pixels(box: Slices) -> Slices:
    rows, columns = (slice(BLOCK * part.start, BLOCK * part.stop) for part in box)
    return rows, columns


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)


def _to_multiple(part: slice, stride: int, size: int) -> slice:
    """Lengthen a slice to a multiple of `stride`, where the picture has more on either side."""
    stop = min(size, part.stop + -(part.stop - part.start) % stride)
    return slice(max(0, part.start - -(stop - part.start) % stride), stop)
