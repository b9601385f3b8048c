"""Multi-scale structural similarity as training needs it: batched, and with gradients.

`benchmarks/compress.py` measures with another implementation, in float64; a test compares the two.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.images.metrics import K1, K2, SCALE_WEIGHTS, WINDOW, WINDOW_SIGMA

MIN_SIMILARITY = 1e-3
"""Lower bound of a scale's similarity, since the gradient of a root is unbounded at zero."""


def ms_ssim(pictures: Tensor, reference: Tensor) -> Tensor:
    """Return the MS-SSIM of pictures, (batch,), 1 for equal ones: Wang et al. 2003, equation 7, mean of the channels.

    Both (batch, channels, height, width) in 0..1, of at least 176 pixels a side.
    """
    total = torch.ones((), device=pictures.device)
    for number, weight in enumerate(SCALE_WEIGHTS):
        is_last = number == len(SCALE_WEIGHTS) - 1
        total = total * _similarity(pictures, reference, with_light=is_last).clamp_min(MIN_SIMILARITY) ** weight
        if not is_last:
            pictures, reference = F.avg_pool2d(pictures, 2), F.avg_pool2d(reference, 2)
    return total.mean(dim=1)


def _similarity(x: Tensor, y: Tensor, *, with_light: bool) -> Tensor:
    """Return contrast and structure, times luminance if wanted, averaged over all full windows: (batch, channels)."""
    mean_x, mean_y, xx, yy, xy = _blurred(torch.cat([x, y, x * x, y * y, x * y])).split(len(x))
    variances = xx - mean_x.square() + yy - mean_y.square()
    similarity = (2 * (xy - mean_x * mean_y) + K2**2) / (variances + K2**2)
    if with_light:
        similarity = similarity * (2 * mean_x * mean_y + K1**2) / (mean_x.square() + mean_y.square() + K1**2)
    return similarity.mean(dim=(2, 3))


def _blurred(x: Tensor) -> Tensor:
    places = torch.arange(WINDOW, device=x.device) - WINDOW // 2
    window = torch.exp(-places.square() / (2 * WINDOW_SIGMA**2))
    window = (window / window.sum()).to(x.dtype).expand(x.shape[1], 1, WINDOW)
    columns = F.conv2d(x, window[:, :, :, None], groups=x.shape[1])
    return F.conv2d(columns, window[:, :, None, :], groups=x.shape[1])
