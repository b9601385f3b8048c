"""Pictures saved as JPEG files and read again."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

QUALITIES = (30, 98)
SUBSAMPLED = 0.6  # share of the files with half as many colours each way (4:2:0)
SHIFTED = 0.4  # share of the pictures that were cut afterwards, so that the blocks do not begin at the corner
BLOCK = 16


def save(pictures: list[Tensor], generator: torch.Generator, share: float) -> list[Tensor]:
    """Return pictures as they come back from JPEG files, if they are among the `share` that is saved so.

    pictures: batches (batch, channels, height, width) in 0..1 that belong together: the n-th of each is saved alike.
    """
    count, device = len(pictures[0]), pictures[0].device
    chosen, subsampled, shifted, quality, down, right = torch.rand(
        (6, count), generator=generator, device=device
    ).tolist()
    low, high = QUALITIES
    results = [batch.clone() for batch in pictures]
    for number in range(count):
        if chosen[number] >= share:
            continue
        corner = (int(BLOCK * down[number]), int(BLOCK * right[number])) if shifted[number] < SHIFTED else (0, 0)
        settings = round(low + (high - low) * quality[number]), subsampled[number] < SUBSAMPLED, corner
        for result in results:
            result[number] = saved(result[number], *settings)
    return results


def saved(picture: Tensor, quality: int, subsampled: bool, corner: tuple[int, int] = (0, 0)) -> Tensor:
    """Return one picture, (1 or 3, height, width) in 0..1, as it comes back from a JPEG file.

    corner: rows and columns that the saved picture had above and left of this one, mirrored.
    """
    top, left = corner
    levels = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy()
    levels = np.pad(levels, ((top, 0), (left, 0), (0, 0)), mode="symmetric")
    file = io.BytesIO()
    image = Image.fromarray(levels[:, :, 0] if levels.shape[2] == 1 else levels)
    image.save(file, "JPEG", quality=quality, subsampling=2 if subsampled else 0)
    decoded = np.asarray(Image.open(file))[top:, left:].reshape(picture.permute(1, 2, 0).shape)
    return torch.tensor(decoded, device=picture.device).permute(2, 0, 1) / 255
