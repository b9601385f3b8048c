"""Pictures of few colours: drawings, sprites, pages, and pictures dithered to a palette."""

from __future__ import annotations

import numpy as np

MAX_PALETTE, MAX_DRAWN = 256, 16
"""Number of colours above which a picture may be a photo, and number of greys up to which it is not."""

USED_AGAIN = 4
"""Minimum mean number of pixels per colour of a drawing: in a tiny noisy photo nearly each has its own."""


def has_few_colours(pixels: np.ndarray) -> bool:
    """Tell whether pixels, (height, width, 1 or 3) of any type, are a drawing, a sprite or a page rather than a photo.

    Such a picture has no more colours than a palette, even if dithered. Grey levels without gaps may also be those of a
    dull photo.
    """
    colours = pixels.reshape(-1, pixels.shape[2])
    sample = colours[:: max(1, len(colours) // 2**16)]
    if len(_distinct(sample)) > MAX_PALETTE:
        return False
    found = _distinct(colours)
    if len(found) > MAX_PALETTE or len(found) > len(colours) / USED_AGAIN:
        return False
    if (found == found[:, :1]).all():
        return len(found) <= MAX_DRAWN and (len(found) <= 4 or np.ptp(found.astype(float)) >= 2 * len(found))
    return True


def _distinct(colours: np.ndarray) -> np.ndarray:
    """Return the distinct colours of an array, (number, channels)."""
    packed = np.ascontiguousarray(colours).view([("", colours.dtype)] * colours.shape[1])
    return np.unique(packed).view(colours.dtype).reshape(-1, colours.shape[1])
