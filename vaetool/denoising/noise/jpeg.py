"""Pictures saved as JPEG files and read again."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vaetool.images.picture import as_pillow

QUALITIES = (30, 98)
LOW_QUALITIES = (8, 59)
KEPT_FROM = 60  # quality from which JPEG's traces count as part of a picture; below, they are to be removed as noise is
NOISY = 2 / 255  # sigma from which a picture has noise, and JPEG's traces are to go with it at any quality
SUBSAMPLED = 0.6  # share of the files with half the resolution of colours each way (4:2:0)
SHIFTED = 0.4  # share of the pictures that were cropped afterwards, so that the blocks do not begin at the corner
BLOCK = 16


def save(
    clean: Tensor, noisy: Tensor, generator: torch.Generator, share: float, qualities: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Save a `share` of the pictures as JPEG files and read them again; return all pictures.

    clean, noisy: (batch, channels, height, width) in 0..1; the n-th of both is saved alike, except that the clean one
    stays as it is at a quality below `KEPT_FROM`, or where the other is `NOISY`.
    """
    count, device = len(clean), clean.device
    chosen, subsampled, shifted, quality, down, right = torch.rand(
        (6, count), generator=generator, device=device
    ).tolist()
    low, high = qualities
    is_noisy = ((noisy - clean).square().mean(dim=(1, 2, 3)).sqrt() > NOISY).tolist()
    clean, noisy = clean.clone(), noisy.clone()
    for number in range(count):
        if chosen[number] >= share:
            continue
        corner = (int(BLOCK * down[number]), int(BLOCK * right[number])) if shifted[number] < SHIFTED else (0, 0)
        settings = round(low + (high - low) * quality[number]), subsampled[number] < SUBSAMPLED, corner
        noisy[number] = saved(noisy[number], *settings)
        if settings[0] >= KEPT_FROM and not is_noisy[number]:
            clean[number] = saved(clean[number], *settings)
    return clean, noisy


def saved(picture: Tensor, quality: int, subsampled: bool, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """Return one picture, (1 or 3, height, width) in 0..1, as it comes back from a JPEG file.

    corner: rows and columns that the saved picture had above and left of this one, mirrored.
    """
    top, left = corner
    levels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    levels = np.pad(levels, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
    file = io.BytesIO()
    as_pillow(levels).save(file, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    decoded = np.asarray(Image.open(file))[top:, left:].reshape(picture.permute(1, 2, 0).shape)
    return torch.tensor(decoded, device=picture.device).permute(2, 0, 1) / 255
