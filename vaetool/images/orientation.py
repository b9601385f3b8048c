"""Turning pictures upright by the orientation that a camera stored (EXIF 2.3, section 4.6.4, tag 274)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Operations that turn a Pillow image upright, by its orientation."""

SIDEWAYS = frozenset({5, 6, 7, 8})
"""Orientations of pictures that are stored with rows for columns."""

_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda stored: np.rot90(stored, 2),
    4: np.flipud,
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, 3),
    7: lambda stored: np.rot90(stored, 2).swapaxes(0, 1),
    8: np.rot90,
}


def upright(stored: np.ndarray, orientation: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Return upright pixels, (height, width, 1 or 3), and alpha, (height, width) or None.

    stored: samples as in the file, (rows, columns, 1 to 4), colours before alpha.
    """
    turned = _TURNS[orientation](stored) if orientation in _TURNS else stored
    channels = 1 if turned.shape[2] <= 2 else 3
    alpha = np.ascontiguousarray(turned[:, :, channels]) if turned.shape[2] > channels else None
    return np.ascontiguousarray(turned[:, :, :channels]), alpha
