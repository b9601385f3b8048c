"""The grid of a coded picture: its qualities, the positions of its latents, and tiles of them. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator

QUALITIES = 100
"""Highest quality; the lowest is 1."""

STRIDE = 16
"""Side of a position of y, in pixels of the picture."""

HYPER_STRIDE = 4
"""Side of a position of z, in positions of y."""


def positions(pixels: int) -> int:
    """Return the number of positions of y along a side of so many pixels."""
    return -(-pixels // STRIDE)


def hyper_positions(count: int) -> int:
    """Return the number of positions of z along a side of so many positions of y."""
    return -(-count // HYPER_STRIDE)


def tiles(height: int, width: int, tile: int) -> Iterator[tuple[slice, slice]]:
    """Yield the rows and columns of positions in each tile of a picture of height x width pixels, row by row.

    >>> list(tiles(height=100, width=150, tile=8))
    [(slice(0, 7, None), slice(0, 8, None)), (slice(0, 7, None), slice(8, 10, None))]
    """
    rows, columns = positions(height), positions(width)
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            yield slice(top, min(rows, top + tile)), slice(left, min(columns, left + tile))


def reach(blocks: int) -> int:
    """Return how many positions of y beyond a tile so many blocks see: each one patch, half a position, more.

    The synthesis's filter over pixels reaches less far than a block.
    """
    return -(-blocks // 2)


def window(rows: slice, columns: slice, halo: int, scale: int = 1) -> tuple[tuple[int, int], tuple[slice, slice]]:
    """Return the start of a tile within its surroundings, in positions, and the slices of these, times `scale`."""
    top, left = min(halo, rows.start), min(halo, columns.start)
    around = (
        slice((rows.start - top) * scale, (rows.stop + halo) * scale),
        slice((columns.start - left) * scale, (columns.stop + halo) * scale),
    )
    return (top, left), around
