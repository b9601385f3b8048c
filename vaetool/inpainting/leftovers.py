"""Leftovers of a thing to remove: pixels just outside of a hole that look like those inside.

A network continues what it sees at the edge of a hole. A mask that is a little too small therefore brings back the
colours of the removed thing, while a larger one destroys good pixels: so holes are not grown without being asked.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from vaetool.images.ranges import white
from vaetool.inpainting.holes import dilate_hole, windows

NEAR = 1.5  # pixels from the hole, in which leftovers are looked for
AROUND = (3.5, 7.0)  # pixels from the hole: beyond a thin leftover
SEEN = 11  # pixels a side of the square over which the inside and the surroundings are averaged
CONTRAST = 24  # of 255, least meaningful difference of the two
LEFT, LEFT_SHARE = 0.6, 0.5  # an edge that is left is more like the inside than like the surroundings, along half of it
TINGED, TINGED_SHARE = 0.25, 0.2  # of a painted colour, less is visible
FAINT = 0.04  # on the mean along an edge, as much of a painted colour is still seen once it is continued into the hole
DILATIONS = (1, 2, 3, 4, 6, 8)  # that are tried for a suggestion
SOFT = 1  # pixels that are added to it, for edges that fade


def needed_dilation(pixels: np.ndarray, hole: np.ndarray, painted: bool = False) -> int:
    """Return the number of pixels by which a hole should grow to cover the whole thing inside; 0 if it does already.

    pixels: (height, width, channels) of an integer type, not yet filled; hole: (height, width) bool. painted: the
    inside has a colour that is nowhere else in the picture, so that even a tinge of it is a leftover.
    Also 0 if nothing in `DILATIONS` helps: the outside then is not a rim, but looks the same further out.
    """
    if not _is_left(pixels, hole, hole, painted):
        return 0
    wider = ((radius, dilate_hole(hole, radius)) for radius in DILATIONS)
    return next((radius + SOFT for radius, larger in wider if not _is_left(pixels, hole, larger, painted)), 0)


def _is_left(pixels: np.ndarray, hole: np.ndarray, larger: np.ndarray, painted: bool) -> bool:
    """Tell whether the thing in a hole also shows just outside of a larger one around it, or of itself."""
    shares = np.concatenate([*_likeness(pixels, hole, larger), np.zeros(1)])
    if not painted:
        return float(np.mean(shares > LEFT)) > LEFT_SHARE
    is_faint = larger is not hole and float(np.mean(shares.clip(-LEFT, LEFT))) > FAINT
    return is_faint or float(np.mean(shares > TINGED)) > TINGED_SHARE


def _likeness(pixels: np.ndarray, hole: np.ndarray, larger: np.ndarray) -> Iterator[np.ndarray]:
    """Yield, for the pixels at the edge of the larger hole, their colours' position between outside (0) and inside (1).

    The colours a of the surroundings and b of the inside are means around each pixel x: (x - a)·(b - a) / |b - a|².
    It is 0 where the two hardly differ.
    """
    scale = np.float32(255 / white(pixels))
    for window in windows(larger, 1):
        part, known = pixels[window.window()].astype(np.float32) * scale, ~larger[window.window()]
        distance = ndimage.distance_transform_edt(known) if not known.all() else np.full(known.shape, np.inf)
        edge = (distance > 0) & (distance <= NEAR)
        inside = _means(part, hole[window.window()])[edge]
        outside = _means(part, (distance > AROUND[0]) & (distance <= AROUND[1]))[edge]
        way = inside - outside
        length = np.linalg.norm(way, axis=1)
        along = ((part[edge] - outside) * way).sum(axis=1) / np.maximum(length, 1e-6) ** 2
        yield np.where(length > CONTRAST * way.shape[1] ** 0.5, along, 0.0)  # NaN, where either is not there, is not


def _means(part: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the mean of the chosen pixels in the square around each; NaN where there are none."""
    weight = ndimage.uniform_filter(chosen.astype(np.float32), SEEN, mode="constant")
    sums = ndimage.uniform_filter(part * chosen[..., None], (SEEN, SEEN, 1), mode="constant")
    return sums / np.where(weight > 0.5 / SEEN**2, weight, np.nan)[..., None]
