"""Paths between codes: straight lines, and great circles, which keep the distance from the centre.

Codes of many dimensions lie near a sphere around their mean: halfway between two codes of 100 dimensions, a straight
line passes at distance 7, while codes of pictures are at about 10: the decoder was never trained there (White 2016).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Way = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

NEARLY_PARALLEL = 1e-6
"""Sine of the angle below which the great circle of two codes is undefined."""


def lerp(start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return codes, (steps, latent), on the straight line between two, (latent,); t: (steps,), from 0 to 1."""
    t = np.asarray(t)[:, None]
    return (1 - t) * start + t * end


def slerp(start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Return codes, (steps, latent), on the great circle (Shoemake 1985) between two, (latent,), with linear norms.

    For whitened codes, whose centre is zero. t: (steps,), from 0 to 1. A straight line where the great circle is
    undefined: one of the codes is zero, or both lie on one line with zero.

    >>> slerp(np.array([2.0, 0.0]), np.array([0.0, 4.0]), np.array([0.5])).round(3)
    array([[2.121, 2.121]])
    """
    norms = np.linalg.norm(start), np.linalg.norm(end)
    if min(norms) == 0:
        return lerp(start, end, t)
    one, other = start / norms[0], end / norms[1]
    angle = np.arccos(np.clip(one @ other, -1, 1))
    if np.sin(angle) < NEARLY_PARALLEL:
        return lerp(start, end, t)
    t = np.asarray(t)[:, None]
    direction = (np.sin((1 - t) * angle) * one + np.sin(t * angle) * other) / np.sin(angle)
    return ((1 - t) * norms[0] + t * norms[1]) * direction


PATHS: dict[str, Way] = {"slerp": slerp, "lerp": lerp}


def chain(
    codes: np.ndarray, frames: int, path: Way, mean: np.ndarray, sigma: np.ndarray, *, loop: bool = False
) -> np.ndarray:
    """Interpolate between two or more codes, (codes, latent), with evenly spread frames: (frames, latent).

    Each code is one of the frames, of which there are at least as many. path: between whitened codes,
    (z − mean) / sigma; mean, sigma: (latent,). loop: the last frame is one step before the first.
    """
    whitened = (np.asarray(codes, np.float64) - mean) / sigma
    stops = np.concatenate([whitened, whitened[:1]]) if loop else whitened
    places = _places(len(stops), frames if loop else frames - 1)[:frames]
    legs = np.minimum(places.astype(int), len(stops) - 2)
    steps = [path(stops[leg], stops[leg + 1], places[legs == leg] - leg) for leg in range(len(stops) - 1)]
    return (np.concatenate(steps) * sigma + mean).astype(np.float32)


def _places(stops: int, last: int) -> np.ndarray:
    """Return the positions of frames 0..last: at stop 0, 1, ..., or in between; every stop has its own frame."""
    frames_of_stops = np.rint(np.linspace(0, last, stops))
    return np.interp(np.arange(last + 1), frames_of_stops, np.arange(stops))
