"""The convolutional parts that several kinds of model share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

LEAK = 0.1


class ResBlock(nn.Module):
    """x + conv(leaky relu(conv(x))): no normalisation, without which image restoration works better (Lim et al. 2017).

    The last layer starts at zero, so that a deep stack starts as the identity and takes a high learning rate
    (Zhang, Dauphin & Ma 2019).
    The ReLU leaks: without biases and normalisation, whole layers of plain ones die at that rate.
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

    Level k works at 1/2^k of the input's size with `widths[k]` channels; there are `blocks` residual blocks per level
    on the way down, on the way up, and at the bottom, or there one for each of `dilations`, if given, which lets every
    place see far (Yu & Koltun 2016). Height and width must be multiples of `stride`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: Sequence[int],
        blocks: int,
        bias: bool = True,
        dilations: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        *levels, bottom = widths
        self.head = nn.Conv2d(inputs, widths[0], 3, padding=1, bias=bias)
        self.down = nn.ModuleList(_stack(width, blocks, bias) for width in levels)
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, 2, bias=bias) for a, b in pairwise(widths))
        self.bottom = nn.Sequential(*(ResBlock(bottom, bias, dilation) for dilation in dilations or blocks * (1,)))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2, bias=bias) for a, b in pairwise(widths))
        self.up = nn.ModuleList(_stack(width, blocks, bias) for width in levels)
        self.tail = nn.Conv2d(widths[0], outputs, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, inputs, height, width) to (batch, outputs, height, width)."""
        x = self.head(x)
        skips = []
        for stack, shrink in zip(self.down, self.shrink, strict=True):
            x = stack(x)
            skips.append(x)
            x = shrink(x)
        x = self.bottom(x)
        for stack, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            x = stack(grow(x).add_(skips.pop()))
        return self.tail(x)


def _stack(width: int, blocks: int, bias: bool) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(width, bias) for _ in range(blocks)))
