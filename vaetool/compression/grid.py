"""How a picture is counted: its qualities, the positions of its latents, and the tiles of them. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterator

QUALITIES = 100
"""They run from 1 to this."""

STRIDE = 16
"""Pixels of the picture a side for each position of y."""

HYPER_STRIDE = 4
"""Positions of y a side for each position of z."""


def positions(pixels: int) -> int:
    """Positions of y along a side of so many pixels."""
    return -(-pixels // STRIDE)


def hyper_positions(count: int) -> int:
    """Positions of z along a side of so many positions of y."""
    return -(-count // HYPER_STRIDE)


def tiles(height: int, width: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of positions in each tile of a picture of height x width pixels, row by row.

    >>> list(tiles(height=100, width=150, tile=8))
    [(slice(0, 7, None), slice(0, 8, None)), (slice(0, 7, None), slice(8, 10, None))]
    """
    rows, columns = positions(height), positions(width)
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            yield slice(top, min(rows, top + tile)), slice(left, min(columns, left + tile))
