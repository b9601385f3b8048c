"""Salt and pepper: single samples that are black or white, replaced by the median of those around them.

Defective sensors and lost data leave them. They carry no information about what was there, so averaging does not help,
and a network that keeps detail keeps many of them. Only extreme samples are replaced, and only those that differ from
their surroundings (after Hwang & Haddad 1995, "Adaptive median filters").
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vaetool.images.picture import full_scale

STANDS_OUT = (0.2, 3.0, 1)
"""Minimum distance of such a sample from the median around it, in 0..1 and in mean deviations of those samples, and
maximum number of its eight neighbours that are as extreme: more would be a letter or a highlight.
"""

FEWEST = 0.0002
"""Minimum share of a picture's samples that stand out as black, and as white, in salt and pepper. Stars are only white.
"""

DIFFERS = (0.02, 1.5, 4)
"""Like `STANDS_OUT`, for samples to replace once enough stand out: more neighbours would be the edge of a black area.
"""

MOST = 0.25
"""Minimum share of the replaced samples that stand out: in clipped white noise few do."""

NEAR, FAR = 1, 3
"""Distances, in pixels, of the neighbours used: the far ones where the near ones are black or white themselves."""

ENOUGH = 3
"""Number of neighbours needed to replace a sample."""

AT_ONCE = 2**18


def without_impulses(pixels: np.ndarray) -> np.ndarray:
    """Return pixels, (height, width, channels) of any type, without salt and pepper; themselves if there is none."""
    top = full_scale(pixels.dtype)
    black, white = pixels == 0, pixels == top  # not beyond: unclipped noise does not count
    if min(np.count_nonzero(black), np.count_nonzero(white)) < FEWEST * pixels.size:
        return pixels  # as most pictures: no need to look closer
    alike = np.where(black, _around_each(black), _around_each(white))
    extreme = black | white
    alone = alike <= STANDS_OUT[2]
    if min((black & alone).sum(), (white & alone).sum()) < FEWEST * pixels.size:
        return pixels
    places = np.flatnonzero(extreme & (alike <= DIFFERS[2]))
    parts = np.array_split(places, -(-len(places) // AT_ONCE))
    usual, deviation = np.concatenate([_usual(pixels, extreme, part) for part in parts], axis=1)
    difference = np.abs(pixels.flat[places].astype(np.float32) - usual)

    def differs(least: float, deviations: float, most_alike: int) -> np.ndarray:
        far = difference > least * top + deviations * deviation  # false for NaN, where too little is known
        return far & (alike.flat[places] <= most_alike)

    found, salt = differs(*DIFFERS), white.flat[places[differs(*STANDS_OUT)]]
    if min(salt.sum(), (~salt).sum()) < FEWEST * pixels.size or len(salt) < MOST * found.sum():
        return pixels
    cleaned = pixels.copy()
    cleaned.flat[places[found]] = usual[found] if pixels.dtype.kind == "f" else np.rint(usual[found])
    return cleaned


def _around_each(chosen: np.ndarray) -> np.ndarray:
    """Return the number of chosen samples among the eight around each: uint8, same shape."""
    padded = np.pad(chosen.view(np.uint8), ((1, 1), (1, 1), (0, 0)))
    rows = padded[:-2] + padded[1:-1] + padded[2:]
    return rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] - chosen


def _usual(pixels: np.ndarray, extreme: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the median around each of some extreme samples, and the mean deviation from it: (2, places) float32.

    Other extreme samples do not count, except in a black or white area, where there are no others.
    """
    found = np.full((2, len(places)), np.nan, np.float32)
    for reach, in_area in ((NEAR, False), (FAR, False), (NEAR, True)):
        unknown = np.isnan(found[0])
        if unknown.any():
            around = _around(pixels, extreme, places[unknown], reach, in_area=in_area)
            found[:, unknown] = _median_and_deviation(around)
    return found


def _around(pixels: np.ndarray, extreme: np.ndarray, places: np.ndarray, reach: int, *, in_area: bool) -> np.ndarray:
    """Return the samples of the same channel around each place, (samples, places), NaN for excluded ones.

    Extreme samples are excluded or, with `in_area`, only those as extreme as the one in the middle.
    """
    own = pixels.flat[places]
    found = np.full(((2 * reach + 1) ** 2, len(places)), np.nan, np.float32)
    for values, (inside, at) in zip(found, _neighbours(pixels, places, reach), strict=True):
        out = pixels.flat[at] == own[inside] if in_area else extreme.flat[at]
        values[inside] = np.where(out, np.nan, pixels.flat[at])
    return found


def _neighbours(pixels: np.ndarray, places: np.ndarray, reach: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, for each step of at most `reach` pixels, a mask of places with a neighbour there, and the neighbours."""
    height, width, channels = pixels.shape
    rows, columns = places // (width * channels), places // channels % width
    steps = range(-reach, reach + 1)
    for down in steps:
        for right in steps:
            row, column = rows + down, columns + right
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            yield inside, (places + (down * width + right) * channels)[inside]


def _median_and_deviation(samples: np.ndarray) -> np.ndarray:
    """Return the median of samples, (samples, places), and their mean absolute deviation, NaN for too few."""
    few = np.isfinite(samples).sum(axis=0) < ENOUGH
    samples = np.where(few, 0, samples)
    median = np.nanmedian(samples, axis=0)
    deviation = np.nanmean(np.abs(samples - median), axis=0)
    return np.where(few, np.nan, np.stack([median, deviation]))
