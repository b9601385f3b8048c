"""Maps of where a picture is unusual, on a fixed scale: −log10 of a pixel's p-value among those of good pictures.

The scale ends at 4, one pixel in ten thousand, and is never stretched to fit a picture: a good one looks empty.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

SCALE = 4.0
PER_DECADE = 10
STEPS = round(SCALE * PER_DECADE) + 1

SHOWN_FROM = 1.0
COLOURS = {1.0: (255, 255, 0), 2.0: (255, 220, 0), 3.0: (255, 120, 0), 4.0: (255, 0, 0)}  # at −log10 p
OPACITY = 0.7
"""Opacity of the overlay at the end of the scale."""


def levels(values: np.ndarray) -> np.ndarray:
    """Return the map values exceeded by shares 1, 10^−0.1 ... 10^−4 of good pixels, (STEPS,), which give p-values."""
    shares = 10.0 ** (-np.arange(STEPS) / PER_DECADE)
    return np.quantile(np.asarray(values, np.float64).ravel(), 1 - shares)


def log_p(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Return −log10 p of map values, of any shape, from the `levels` of good ones: 0 to 4, float32."""
    return np.interp(values, good, np.arange(STEPS) / PER_DECADE).astype(np.float32)


def overlay(pixels: np.ndarray, heat: np.ndarray) -> np.ndarray:
    """Lay heat, (height, width) of 0 to 4, over a picture, (height, width, 1 or 3) uint8: (height, width, 3) uint8.

    Pixels as usual as nine in ten of good pictures stay unchanged.
    """
    points = list(COLOURS)
    colour = np.stack([np.interp(heat, points, channel) for channel in zip(*COLOURS.values(), strict=True)], axis=2)
    opacity = OPACITY * ((heat - SHOWN_FROM) / (SCALE - SHOWN_FROM)).clip(0, 1)[:, :, None]
    return np.rint(pixels * (1 - opacity) + colour * opacity).astype(np.uint8)


def resized(heat: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a map to the size of its picture."""
    if heat.shape == (height, width):
        return heat
    return np.asarray(Image.fromarray(heat.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))


def raw_png(heat: np.ndarray) -> bytes:
    """Encode a map as a grey 16-bit PNG, 0 to 65535 for 0 to 4."""
    return _png(np.rint(heat.clip(0, SCALE) * (65535 / SCALE)).astype(np.uint16))


def overlay_png(pixels: np.ndarray, heat: np.ndarray) -> bytes:
    """Encode the result of `overlay` as a PNG file; the map may be smaller than the picture."""
    return _png(overlay(pixels, resized(heat, *pixels.shape[:2])))


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)  # there are thousands, each looked at once or never
    return file.getvalue()
