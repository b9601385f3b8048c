"""Convolutional parts that several kinds of model share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.1


class ResBlock(nn.Module):
    """x + conv(leaky relu(conv(x))), without normalisation, which harms image restoration (Lim et al. 2017).

    The last layer starts at zero, so that a deep stack starts as the identity and takes a high learning rate
    (Zhang, Dauphin & Ma 2019).
    The ReLU is leaky: without biases and normalisation, whole layers of plain ones die at that rate.
    """

    def __init__(self, width: int, bias: bool = True, dilation: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=bias)
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=bias)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)
        for layer in (self.first, self.second):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, channels, height, width) to the same shape."""
        return self.second(F.leaky_relu_(self.first(x), LEAK)).add_(x)  # in place: memory is what a CPU waits for


class UNet(nn.Module):
    """A U-Net of residual blocks with additive skips (Ronneberger et al. 2015, as in Zhang et al. 2021).

    Level k works at 1/2^k of the input's size with `widths[k]` channels and `blocks`, or `blocks[k]`, residual blocks
    on the way down, on the way up, and at the bottom. If `dilations` are given, there is one block at the bottom for
    each, which lets every place see far (Yu & Koltun 2016). Height and width must be multiples of `stride`. While
    `fast` is set, all levels but the first compute in bfloat16.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: Sequence[int],
        blocks: int | Sequence[int],
        bias: bool = True,
        dilations: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        self.fast = False
        *levels, bottom = widths
        *depths, bottom_depth = len(widths) * (blocks,) if isinstance(blocks, int) else blocks
        self.head = nn.Conv2d(inputs, widths[0], 3, padding=1, bias=bias)
        self.down = nn.ModuleList(_stack(*level, bias) for level in zip(levels, depths, strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, 2, bias=bias) for a, b in pairwise(widths))
        dilations = dilations or bottom_depth * (1,)
        self.bottom = nn.Sequential(*(ResBlock(bottom, bias, dilation) for dilation in dilations))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2, bias=bias) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_stack(*level, bias) for level in zip(levels, depths, strict=True))
        self.tail = nn.Conv2d(widths[0], outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height, width)."""
        return self.tail(self._from_level(0, self.head(x)))

    def _from_level(self, level: int, x: Tensor) -> Tensor:
        """Apply a level, and all below it."""
        if level == len(self.down):
            return self.bottom(x)
        x = self.down[level](x)
        with torch.autocast(x.device.type, torch.bfloat16) if self.fast and level == 0 else nullcontext():
            below = self._from_level(level + 1, self.shrink[level](x))
        return self.up[level](self.grow[level](below.to(x.dtype)).add_(x))


def _stack(width: int, blocks: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(width, bias) for _ in range(blocks)))
