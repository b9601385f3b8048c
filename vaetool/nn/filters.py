"""Filters of batches, (batch, channels, height, width), in which each picture may have its own strength."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def luma(pictures: Tensor) -> Tensor:
    """Return the luma of pictures, (batch, 1, height, width); that of pictures of one channel is that channel."""
    if pictures.shape[1] == 1:
        return pictures
    return (pictures * torch.tensor(LUMA, device=pictures.device)[:, None, None]).sum(dim=1, keepdim=True)


def blurred(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each picture with a Gaussian of its own sigma, in pixels, (batch, 1, 1, 1); edges are mirrored.

    The kernel reaches three times the largest sigma, or as far as the picture does.
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
    """Return the mean over a square of odd `size` around each place, or over its part inside the picture.

    The padding is done here: the gradient of the padding that `avg_pool2d` itself offers is wrong on CUDA for tensors
    that are laid out channels last (pytorch/pytorch#188344, in releases before 2026-07): denoisers diverged there.
    """
    return _square_mean(x, size) / _square_mean(torch.ones_like(x[:1, :1]), size)


def _square_mean(x: Tensor, size: int) -> Tensor:
    """Return the mean over a square around each place of pictures that have zeros around them."""
    rows = F.avg_pool2d(F.pad(x, (0, 0, size // 2, size // 2)), (size, 1), 1)
    return F.avg_pool2d(F.pad(rows, (size // 2, size // 2)), (1, size), 1)
