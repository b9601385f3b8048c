"""Energies, which measure how unusual places of pictures are, and the components of scores derived from them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.scoring.whole import WHOLE

SHARES = {"small": 0.01, "medium": 0.1, "large": 1.0}
"""Components: the mean of this share of the energies, the largest ones. `all` is the sum of their logarithms."""

PARTS = {**dict.fromkeys(SHARES, 1.0), WHOLE: 0.0}
"""All components, and the weight of the logarithm of each in `all`."""

LEARNT = "learnt"
"""Name of the component that sums the others' logarithms, with weights learnt from bad pictures."""


class Energy(NamedTuple):
    """Energies of the places of pictures, (images, rows, columns), and of whole pictures, (images,)."""

    score: Tensor
    heat: Tensor
    """Energies at more places, for heatmaps."""

    whole: Tensor


def components(energy: Energy) -> dict[str, Tensor]:
    """Return the components of pictures, (images,) each."""
    ordered = energy.score.flatten(1).sort(dim=1, descending=True).values
    counts = {name: max(1, round(share * ordered.shape[1])) for name, share in SHARES.items()}
    means = {name: ordered[:, :count].mean(dim=1) for name, count in counts.items()}
    return {"all": torch.stack(list(means.values())).log().sum(dim=0), **means, WHOLE: energy.whole}


def resized(maps: Tensor, side: int) -> Tensor:
    """Interpolate maps, (images, rows, columns), to `side` rows and columns."""
    return F.interpolate(maps[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]
