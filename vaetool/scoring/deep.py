"""Deep features of the places of pictures, from a network trained on a million photographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.nn.backbone import trained_backbone
from vaetool.nn.base import ImageStore
from vaetool.nn.filters import local_mean

BLOCKS, WIDTHS, SCALES = (4, 10, 14), (40, 112, 192), (8, 16, 32)
"""Blocks of the backbone that provide features, the number of features of each, and the pixels between places."""

POOLED = 3
"""Side, in places, of the squares over which features are averaged, since parts never lie in exactly the same place."""

GLANCE = 2
"""Rows and columns of a picture at a glance, to which the coarsest features are averaged."""

GLANCE_WIDTH = WIDTHS[-1] * GLANCE**2

BATCH = 16

MAX_IMAGES = 2000
"""Maximum number of pictures whose features are kept."""


class DeepFeatures(NamedTuple):
    """Features of pictures: at each scale (images, places, features), and at a glance (images, `GLANCE_WIDTH`)."""

    scales: tuple[Tensor, ...]
    glance: Tensor

    def part(self, chosen: Tensor | slice) -> DeepFeatures:
        """Return the features of some of the pictures."""
        return DeepFeatures(tuple(scale[chosen] for scale in self.scales), self.glance[chosen])

    def to(self, device: torch.device) -> DeepFeatures:
        """Return them on a device."""
        return DeepFeatures(tuple(scale.to(device) for scale in self.scales), self.glance.to(device))


@torch.inference_mode()
def extract(x: Tensor) -> DeepFeatures:
    """Return the features of pictures, (batch, 3, height, width) in 0..1, sides multiples of 32."""
    return features_of(trained_backbone(BLOCKS, x.device)(x))


def features_of(outputs: Sequence[Tensor]) -> DeepFeatures:
    """Return the features from the outputs of the backbone's `BLOCKS`."""
    glance = F.adaptive_avg_pool2d(outputs[-1], GLANCE).flatten(1)
    scales = (local_mean(output, POOLED).permute(0, 2, 3, 1).flatten(1, 2) for output in outputs)
    return DeepFeatures(tuple(scales), glance)


def extract_all(
    images: ImageStore, size: int, change: Callable[[Tensor], Tensor] = lambda x: x, limit: int | None = None
) -> DeepFeatures:
    """Return the features of changed images, on the CPU; limit: number of images, at most `MAX_IMAGES`."""
    limit = min(MAX_IMAGES, len(images), *([] if limit is None else [limit]))
    parts: list[DeepFeatures] = []
    for x in images.batches(size, BATCH):
        parts.append(extract(change(x[: limit - len(parts) * BATCH])).to(torch.device("cpu")))
        if len(parts) * BATCH >= limit:
            break
    return together(*parts)


def together(*parts: DeepFeatures) -> DeepFeatures:
    """Join the features of several groups of pictures."""
    scales = zip(*(part.scales for part in parts), strict=True)
    return DeepFeatures(tuple(torch.cat(scale) for scale in scales), torch.cat([part.glance for part in parts]))
