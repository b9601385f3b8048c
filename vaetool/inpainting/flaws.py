"""A finder of flaws in scans: a picture in, masks of scratches, dust and dates out.

A small U-shaped network at half resolution, trained on flaws that are drawn over clean photographs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from vaetool.images.conversion import network_input
from vaetool.images.tiling import tiles
from vaetool.inpainting.drawn_flaws import FLAWS, draw_flaws
from vaetool.inpainting.holes import dilate_hole
from vaetool.nn.base import Batch, Losses, Model, register
from vaetool.nn.blocks import UNet
from vaetool.nn.sections import Positive, Section, Some
from vaetool.progress import tracked

TILE, HALO = 768, 64

SURE = {"scratches": 0.8, "dust": 0.9, "date": 0.98}
LIKELY = 0.3
"""Probability down to which a flaw extends from a place where the network is sure (hysteresis, Canny 1986)."""

LEAST = {"scratches": 24, "dust": 1, "date": 30}
"""Minimum length of a flaw in pixels, along the diagonal of its box; a date counts with all of its digits."""

APART = 12  # pixels between the digits of a date, at most
SOFT = 1  # pixels added around flaws, for soft edges

TOUCHING = np.ones((3, 3), bool)  # also at their corners


@dataclass(frozen=True)
class FlawsConfig(Section, name="model"):
    """The architecture of a finder."""

    channels: Literal[3] = 3
    widths: Some[Positive] = (12, 16, 24)  # per level; each halves the resolution
    blocks: Positive = 1  # residual blocks per level, each way
    dilations: Some[Positive] = (1, 2)  # of the blocks at the bottom


@register("flaws")
class Flaws(Model):
    """The finder. See the module's docstring."""

    Config = FlawsConfig
    metric = "overlap"
    defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "training": {"batch": 12, "crops": (128, 192, 256), "lr": 3e-3, "weight_decay": 0.01}
    }
    config: FlawsConfig

    def __init__(self, config: FlawsConfig) -> None:
        super().__init__(config)
        self.unet = UNet(12, 4 * len(FLAWS), config.widths, config.blocks, dilations=config.dilations)

    @property
    def stride(self) -> int:
        """The number that heights and widths must be multiples of."""
        return 2 * self.unet.stride

    def find(self, pictures: Tensor) -> Tensor:
        """Return the logits of each of `FLAWS` at each pixel, (batch, len(FLAWS), height, width).

        pictures: (batch, 3, height, width) in 0..1, sizes multiples of `stride`.
        """
        return F.pixel_shuffle(self.unet(F.pixel_unshuffle(pictures - 0.5, 2)), 2)

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Any) -> Batch:
        """Return pictures with drawn flaws, and masks of these."""
        flawed, where = draw_flaws(generator, clean)
        return {"clean": clean, "flawed": flawed, "where": where}

    def loss(self, batch: Batch, objective: Any = None, fraction: float = 1.0) -> Losses:
        """Return the cross entropy, and 1 - the overlap (Milletari et al. 2016, V-Net) of each kind."""
        logits, where = self.find(batch["flawed"]), batch["where"]
        entropy = F.binary_cross_entropy_with_logits(logits, where)
        missed = 1 - _overlap(logits.sigmoid(), where).mean()
        return {"loss": 10 * entropy + missed, "entropy": entropy, "missed": missed}

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the overlap of found with drawn flaws, 0..1."""
        found = (self.find(batch["flawed"]) > 0).float()
        return {"overlap": _overlap(found, batch["where"]).mean().item()}

    def example(self, batch: Batch) -> list[Tensor]:
        """Return the pictures with flaws, and the flaws found, each kind in red, green or blue."""
        return [batch["flawed"], self.find(batch["flawed"]).sigmoid(), batch["where"]]

    @torch.inference_mode()
    def probabilities(self, pixels: np.ndarray) -> np.ndarray:
        """Return the probability of each of `FLAWS` at each pixel, (height, width, len(FLAWS)) float32 in 0..1.

        pixels: (height, width, channels) of any type.
        """
        height, width = pixels.shape[:2]
        probabilities = np.empty((height, width, len(FLAWS)), np.float32)
        for tile in tracked(tiles(height, width, TILE, HALO, self.stride), "looking for flaws"):
            x = network_input(pixels[tile.window()], self.config.channels, self.stride, self.device)
            probabilities[tile.kept()] = self.find(x).sigmoid()[0].permute(1, 2, 0)[tile.middle()].cpu().numpy()
        return probabilities

    def mark(self, pixels: np.ndarray, flaws: Sequence[str] = FLAWS) -> np.ndarray:
        """Return a mask of a picture's flaws of some kinds, (height, width) bool. pixels: as for `probabilities`."""
        probabilities = self.probabilities(pixels)
        return np.logical_or.reduce([sure_flaws(probabilities[:, :, FLAWS.index(flaw)], flaw) for flaw in flaws])


def sure_flaws(probabilities: np.ndarray, flaw: str) -> np.ndarray:
    """Return a mask of one kind of flaw, (height, width) bool, from its probabilities, same shape, in 0..1.

    Each part is likely throughout, certain somewhere, and as long as such a flaw has to be.
    """
    likely, reach = probabilities > LIKELY, APART // 2 if flaw == "date" else 0
    labels, count = ndimage.label(dilate_hole(likely, reach), TOUCHING)
    sure = np.bincount(labels[probabilities > SURE[flaw]], minlength=count + 1) > 0
    for number, box in enumerate(ndimage.find_objects(labels * likely), 1):
        sure[number] &= math.hypot(*(part.stop - part.start for part in box)) >= LEAST[flaw]
    return dilate_hole(likely & sure[labels], SOFT)


def _overlap(found: Tensor, where: Tensor) -> Tensor:
    """Return the Dice coefficient of each kind over a batch."""
    both, all_ = (found * where).sum(dim=(0, 2, 3)), (found + where).sum(dim=(0, 2, 3))
    return (2 * both + 1) / (all_ + 1)
