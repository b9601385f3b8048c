"""Uncertainty of filled holes, measured by filling a picture in four orientations.

Whatever the surroundings determine is the same in all of them. Where they differ the network guesses, and their mean is
nearer to the truth (Wang et al. 2019, Aleatoric Uncertainty Estimation with Test-Time Augmentation for Medical Image
Segmentation).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from vaetool.inpainting.holes import BLOCK, TOUCHING, blocks_of
from vaetool.nn.filters import local_mean

UNSURE = 4.0
"""Spread, in 8-bit units, above which a hole is a guess."""

_SMOOTH = 9  # pixels a side: textures may differ, colours and shapes should not


def fill_in_orientations(
    fill: Callable[[Tensor, Tensor], Tensor], filled: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the mean and the spread of the results of `fill` for pictures and masks in four orientations.

    filled, mask: see `MAE.fill`. spread: (batch, 1, height, width), the standard deviation of colours in 0..1, each
    averaged over the filled pixels around a place.
    """
    fills = torch.stack([turn(fill(turn(filled), turn(mask))) for turn in _TURNS])
    inside = (mask > 0).to(filled.dtype)
    smooth = local_mean((fills * inside).flatten(0, 1), _SMOOTH).unflatten(0, fills.shape[:2])
    share = local_mean(inside, _SMOOTH).clamp_min(1e-6)
    spread = (smooth / share).var(dim=0).mean(dim=1, keepdim=True).sqrt() * inside
    return fills.mean(dim=0), spread


_TURNS: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda x: x,
    lambda x: x.flip(3),
    lambda x: x.transpose(2, 3),
    lambda x: x.transpose(2, 3).flip(2, 3),
)
"""Orientations; each undoes itself, and none is upside down, since photographs are not."""


def unsure_holes(hole: np.ndarray, spread: np.ndarray) -> list[tuple[int, int]]:
    """Return the middles, as row and column, of holes whose filling is a guess, the worst first.

    hole: (height, width) bool; spread: same shape, in 0..1. Only holes with a whole block of `BLOCK` pixels inside are
    judged, by the mean over such blocks.
    """
    labels, _ = ndimage.label(blocks_of(hole, np.logical_or, False), TOUCHING)
    labels *= blocks_of(hole, np.logical_and, False)
    numbers = np.unique(labels[labels > 0])
    means = np.asarray(ndimage.mean(blocks_of(spread, np.add, 0) / BLOCK**2, labels, numbers))
    order = np.argsort(-means)[: np.count_nonzero(255 * means > UNSURE)]
    middles = ndimage.center_of_mass(labels > 0, labels, numbers[order]) if len(order) else []
    return [(round(BLOCK * (row + 0.5)), round(BLOCK * (column + 0.5))) for row, column in middles]
