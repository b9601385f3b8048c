"""The colour filter of a sensor, and how the missing two of three colours at each pixel are filled in."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

# Malvar, He & Cutler 2004, High-quality linear interpolation for demosaicing of Bayer-patterned color images, figure 2.
_GREEN = ((0, 0, -1, 0, 0), (0, 0, 2, 0, 0), (-1, 2, 4, 2, -1), (0, 0, 2, 0, 0), (0, 0, -1, 0, 0))
_IN_ROW = ((0, 0, 0.5, 0, 0), (0, -1, 0, -1, 0), (-1, 4, 5, 4, -1), (0, -1, 0, -1, 0), (0, 0, 0.5, 0, 0))
_ACROSS = ((0, 0, -1.5, 0, 0), (0, 2, 0, 2, 0), (-1.5, 0, 6, 0, -1.5), (0, 2, 0, 2, 0), (0, 0, -1.5, 0, 0))

_BILINEAR_GREEN = ((0, 1, 0), (1, 4, 1), (0, 1, 0))
_BILINEAR_RED_BLUE = ((1, 2, 1), (2, 4, 2), (1, 2, 1))


def bayer(pictures: Tensor) -> Tensor:
    """Return masks of the pixels of a sensor that see red, green and blue, (3, height, width) of 0 and 1: RGGB.

    pictures: (..., height, width), for the size and the device.
    """
    height, width = pictures.shape[-2:]
    rows = torch.arange(height, device=pictures.device)[:, None] % 2
    columns = torch.arange(width, device=pictures.device)[None, :] % 2
    return torch.stack([(1 - rows) * (1 - columns), (rows + columns) % 2, rows * columns]).float()


def bilinear(raw: Tensor) -> Tensor:
    """Interpolate colours as means of the nearest pixels that saw them: (batch, 1, height, width) → (batch, 3, ...)."""
    kernels = torch.tensor([_BILINEAR_RED_BLUE, _BILINEAR_GREEN, _BILINEAR_RED_BLUE], device=raw.device)[:, None] / 4
    seen = raw * bayer(raw)
    return F.conv2d(F.pad(seen, (1, 1, 1, 1), mode="reflect"), kernels, groups=3)


def malvar(raw: Tensor) -> Tensor:
    """Interpolate colours with gradient correction: (batch, 1, height, width) → (batch, 3, ...)."""
    in_row = torch.tensor(_IN_ROW)
    kernels = torch.stack([torch.tensor(_GREEN), in_row, in_row.T, torch.tensor(_ACROSS)])[:, None].to(raw.device) / 8
    padded = F.pad(raw, (2, 2, 2, 2), mode="reflect")
    green, in_row, in_column, across = F.conv2d(padded, kernels).split(1, dim=1)
    is_red, is_green, is_blue = bayer(raw)
    red_row = (torch.arange(raw.shape[2], device=raw.device) % 2 == 0).float()[:, None]
    beside_red, beside_blue = is_green * red_row, is_green * (1 - red_row)
    red = raw * is_red + in_row * beside_red + in_column * beside_blue + across * is_blue
    blue = raw * is_blue + in_row * beside_blue + in_column * beside_red + across * is_red
    return torch.cat([red, raw * is_green + green * (1 - is_green), blue], dim=1)
