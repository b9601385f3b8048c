"""Smooth filling of holes from their surroundings: the push-pull pyramid, batched, on the pictures' device."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def push_pull(pictures: Tensor, hole: Tensor) -> Tensor:
    """Fill the holes of pictures smoothly from their surroundings; the rest stays as it is.

    pictures: (batch, channels, height, width); hole: (batch, 1, height, width), 1 where a picture is unknown, else 0.
    Filled values lie between the smallest and the largest known value of their channel; a picture that is all hole
    becomes zero. Gortler et al. 1996 (The Lumigraph, section 3.4); for one picture of any size and type
    `vaetool.images.filling.fill_hidden` does the same in less memory.
    """
    known = 1 - hole
    return _filled(pictures * known, known)


def _filled(x: Tensor, known: Tensor) -> Tensor:
    """Fill the unknown parts of x, which are zero."""
    height, width = x.shape[2:]
    if height == width == 1:
        return x
    share, coarse = F.avg_pool2d(known, 2, ceil_mode=True), F.avg_pool2d(x, 2, ceil_mode=True)
    found = (share > 0).to(x.dtype)
    coarse = _filled(coarse / share.clamp_min(1e-6) * found, found)
    size = (2 * coarse.shape[2], 2 * coarse.shape[3])
    finer = F.interpolate(coarse, size, mode="bilinear", align_corners=False)[:, :, :height, :width]
    return x + finer * (1 - known)
