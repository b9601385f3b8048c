"""Filters of batches, (batch, channels, height, width), with a strength for each picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.images.conversion import LUMA


def luma(pictures: Tensor) -> Tensor:
    """Return the luma of pictures, (batch, 1, height, width), which is the channel itself if there is only one."""
    if pictures.shape[1] == 1:
        return pictures
    return (pictures * torch.tensor(LUMA, device=pictures.device)[:, None, None]).sum(dim=1, keepdim=True)


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture with a Gaussian of its own sigma, in pixels, (batch, 1, 1, 1); edges are mirrored.

    The kernel reaches three times the largest sigma, at most to the size of the picture.
    """
    batch, channels, height, width = x.shape
    reach = min(math.ceil(3 * float(sigma.max())), height - 1, width - 1)
    places = torch.arange(-reach, reach + 1, device=x.device)
    kernel = torch.exp(-(places**2) / (2 * sigma.reshape(-1, 1) ** 2).clamp_min(1e-6))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    x = x.reshape(1, batch * channels, height, width)
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), mode="reflect"), kernel[:, None, :, None], groups=len(kernel))
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="reflect"), kernel[:, None, None, :], groups=len(kernel))
    return x.reshape(batch, channels, height, width)


def local_mean(x: Tensor, size: int) -> Tensor:
    """Return the mean over a square of odd `size` around each place, or over its part inside the picture."""
    return _line_mean(_line_mean(x, size, dim=2), size, dim=3)


def _line_mean(x: Tensor, size: int, dim: int) -> Tensor:
    """Return the mean over a line of odd `size`, along a dimension, around each place."""
    around = [0, 0, 0, 0]
    around[6 - 2 * dim : 8 - 2 * dim] = 2 * [size // 2]
    counts = _sums(F.pad(torch.ones_like(x[:1, :1]).narrow(5 - dim, 0, 1), around), size, dim)
    return _sums(F.pad(x, around), size, dim) / counts


def _sums(x: Tensor, size: int, dim: int) -> Tensor:
    """Return the sums of each `size` neighbours along a dimension, by doubling: about log2(size) additions for each."""
    length = x.shape[dim] - size + 1
    total, start, width = torch.zeros((), device=x.device), 0, 1
    while True:  # x holds the sums of `width` neighbours
        if size & width:
            total = total + x.narrow(dim, start, length)
            start += width
        if 2 * width > size:
            return total
        pairs = x.shape[dim] - width
        x, width = x.narrow(dim, 0, pairs) + x.narrow(dim, width, pairs), 2 * width
