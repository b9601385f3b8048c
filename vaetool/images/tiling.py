"""Tiling: large images in bounded memory, with overlapping tiles read and their middles kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tile:
    """A part of an image: rows and columns to compute on, and those within them to keep."""

    rows: slice
    columns: slice
    kept_rows: slice
    kept_columns: slice

    def window(self, scale: int = 1) -> tuple[slice, slice]:
        """Return where to read, in an array that is `scale` times smaller than the image."""
        return _shrunk(self.rows, scale), _shrunk(self.columns, scale)

    def kept(self, scale: int = 1) -> tuple[slice, slice]:
        """Return where to write, in an array that is `scale` times smaller than the image."""
        return _shrunk(self.kept_rows, scale), _shrunk(self.kept_columns, scale)

    def middle(self, scale: int = 1) -> tuple[slice, slice]:
        """Return what to keep of the result for the window, `scale` times smaller than the window."""
        return (
            _shrunk(_shifted(self.kept_rows, self.rows.start), scale),
            _shrunk(_shifted(self.kept_columns, self.columns.start), scale),
        )


def tiles(height: int, width: int, size: int, halo: int, stride: int) -> Iterator[Tile]:
    """Cut an image into tiles that keep about `size` pixels a side and see `halo` more around them.

    Tiles begin at multiples of `stride`, and `halo` must be one, so that a network with that stride sees the same grid
    in a tile as in the whole image. An image that is not much larger than `size` is one tile.

    >>> [(t.rows, t.kept_rows) for t in tiles(100, 16, size=48, halo=16, stride=16)]
    [(slice(0, 64, None), slice(0, 48, None)), (slice(32, 100, None), slice(48, 100, None))]
    """
    for rows, kept_rows in _spans(height, size, halo, stride):
        for columns, kept_columns in _spans(width, size, halo, stride):
            yield Tile(rows, columns, kept_rows, kept_columns)


def _spans(length: int, size: int, halo: int, stride: int) -> list[tuple[slice, slice]]:
    count = max(1, round(length / size))
    starts = sorted({length * number // count // stride * stride for number in range(count)})
    ends = [*starts[1:], length]
    return [
        (slice(max(0, start - halo), min(length, end + halo)), slice(start, end))
        for start, end in zip(starts, ends, strict=True)
    ]


def _shifted(part: slice, origin: int) -> slice:
    return slice(part.start - origin, part.stop - origin)


def _shrunk(part: slice, scale: int) -> slice:
    return slice(part.start // scale, -(-part.stop // scale))


def pad_to_multiple(values: np.ndarray, stride: int) -> np.ndarray:
    """Pad (height, width, channels) to multiples of `stride`, mirrored at the bottom and right."""
    height, width = values.shape[:2]
    below, beside = -height % stride, -width % stride
    return np.pad(values, ((0, below), (0, beside), (0, 0)), mode="symmetric") if below or beside else values
