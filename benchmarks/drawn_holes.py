"""Holes of five kinds, drawn from the name of a picture.

Those of training come from other code, `vaetool.inpainting.masks`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

SIDE = 256  # pixels
SEED = 0

Shapes = Iterator[np.ndarray]


def draw_mask(kind: str, picture: str) -> np.ndarray:
    """(SIDE, SIDE) bool, True in the hole: shapes until a random share of the picture is covered."""
    shapes, least, most = KINDS[kind]
    rng = np.random.default_rng([SEED, list(KINDS).index(kind), zlib.crc32(picture.encode())])
    while True:
        wanted, hole = rng.uniform(least, most), np.zeros((SIDE, SIDE), bool)
        for shape in shapes(rng):
            hole |= shape
            if hole.mean() >= wanted:
                break
        if least <= hole.mean() <= most:
            return hole


def strokes(rng: np.random.Generator, thinnest: float, thickest: float) -> Shapes:
    """Straight pieces with round ends that form winding lines, one after another; endless."""
    rows, columns = np.indices((SIDE, SIDE))
    while True:
        place, angle = complex(*rng.uniform(0, SIDE, 2)), rng.uniform(0, 2 * np.pi)
        width = rng.uniform(thinnest, thickest)
        for _ in range(rng.integers(4, 10)):
            angle += rng.normal(0, 0.8)
            way = rng.uniform(20, 70) * complex(np.sin(angle), np.cos(angle))
            offset = rows + 1j * columns - place
            along = ((offset * way.conjugate()).real / abs(way) ** 2).clip(0, 1)
            yield abs(offset - along * way) <= width / 2
            place += way


def boxes(rng: np.random.Generator) -> Shapes:
    """Upright boxes, from 30 to 150 pixels a side, within the picture; endless."""
    while True:
        height, width = rng.integers(30, 151, 2)
        top, left = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
        box = np.zeros((SIDE, SIDE), bool)
        box[top : top + height, left : left + width] = True
        yield box


def outline(rng: np.random.Generator) -> Shapes:
    """One smooth closed shape, 60 to 140 pixels across where it is widest: the radius is a short Fourier series."""
    waves = np.arange(2, 7)
    sizes, phases = rng.normal(0, 0.5, 5) / waves, rng.uniform(0, 2 * np.pi, 5)

    def radius(angle: np.ndarray) -> np.ndarray:
        return (1 + np.cos(angle[..., None] * waves + phases) @ sizes).clip(0.2)

    turn = np.linspace(0, 2 * np.pi, 360)
    scale = rng.uniform(60, 140) / (radius(turn) + radius(turn + np.pi)).max()
    rows, columns = np.indices((SIDE, SIDE)) - rng.uniform(0.2 * SIDE, 0.8 * SIDE, (2, 1, 1))
    yield np.hypot(rows, columns) <= scale * radius(np.arctan2(rows, columns))


KINDS: dict[str, tuple[Callable[[np.random.Generator], Shapes], float, float]] = {
    "thin": (partial(strokes, thinnest=4, thickest=10), 0.05, 0.15),
    "medium": (partial(strokes, thinnest=15, thickest=35), 0.1, 0.25),
    "thick": (partial(strokes, thinnest=40, thickest=90), 0.2, 0.4),
    "box": (boxes, 0.05, 0.35),
    "object": (outline, 0.02, 0.25),
}
"""What holes are made of, and the smallest and the largest share of a picture that they take."""
