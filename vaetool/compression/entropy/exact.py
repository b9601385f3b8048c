"""Arithmetic with the same result on every machine, in any order: whole numbers inside floating point.

A sum of products is exact, whatever the order and the number of threads, while it stays below 2^53 in float64. So a
layer has two forms. A `FixedConv` computes with real numbers in float32, for training. The `WholeConv` made from it
computes with whole multiples of 2^-12 in float64, by matrix products alone (no Winograd, no FFT), and rounds back to
such multiples by a power of two. The two forms of a network differ by rounding only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.errors import WeightsError

BITS = 12
UNIT = 2**BITS
"""Scale of whole numbers: activations and weights are multiples of 1 / UNIT, sums of its square."""

LIMIT = 128.0
"""Clamp of activations, ±LIMIT, by which the largest possible sum of a layer is known when it is loaded."""

LEAK = 0.125  # a power of two: exact

EXACT_BELOW = 2.0**53


def to_units(x: Tensor) -> Tensor:
    """Return real numbers as whole numbers of units, in float64."""
    return torch.round(x.double() * UNIT)


class FixedConv(nn.Conv2d):
    """A convolution with stride 1, then a leaky unit if `leaky`, then a clamp to ±LIMIT; in real numbers, for training.

    The size of its kernel is 1 or 3; the border is padded with zeros.
    """

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, size: int = 1, leaky: bool = True) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        self.leaky = leaky

    def forward(self, x: Tensor) -> Tensor:
        """Convolve x: (batch, inputs, height, width) → (batch, outputs, height, width)."""
        x = super().forward(x)
        return (F.leaky_relu(x, LEAK) if self.leaky else x).clamp(-LIMIT, LIMIT)


class WholeConv:
    """A `FixedConv`, or some of its inputs and outputs, in whole units."""

    def __init__(self, taps: Tensor, bias: Tensor, leaky: bool) -> None:
        """Keep taps, (size, size, outputs, inputs), and bias, (outputs, 1): float64 multiples of 1 / UNIT, see `of`."""
        self.taps, self.bias, self.leaky = taps, bias, leaky

    @classmethod
    def of(cls, layer: FixedConv, name: str, device: torch.device | str = "cpu") -> WholeConv:
        """Convert a layer. Raises WeightsError, with its name, if its largest possible sum would be inexact.

        Sums of products of units are in squares of units: that is divided out here, once, by a power of two.
        """
        weight = to_units(layer.weight.detach().to(device))
        bias = torch.round(layer.bias.detach().to(device).double() * UNIT**2)
        largest = weight.abs().sum(dim=(1, 2, 3)) * (LIMIT * UNIT) + bias.abs()
        if not bool((largest < EXACT_BELOW).all()):
            raise WeightsError(f"{name}: its weights are too large for exact sums")
        return cls(weight.permute(2, 3, 0, 1).contiguous() / UNIT, bias[:, None] / UNIT, layer.leaky)

    def part(self, outputs: slice, inputs: Tensor) -> WholeConv:
        """Return the layer that computes some of the outputs when all inputs but these are zero."""
        return WholeConv(self.taps[:, :, outputs, inputs], self.bias[outputs], self.leaky)

    def __call__(self, x: Tensor) -> Tensor:
        """Convolve x: (inputs, height, width) → (outputs, height, width), both in whole units.

        The rows of the padded x lie one after the other, so each tap multiplies all of them, shifted.
        """
        size, (height, width) = len(self.taps), x.shape[1:]
        rows = F.pad(x, [size // 2] * 4) if size > 1 else x
        row = rows.shape[2]
        sums = self.bias.repeat(1, height * row)  # some sums span the ends of rows: dropped at the end
        inside = sums[:, : height * row - size + 1]
        for start, tap in zip(_starts(size, row), self.taps.flatten(0, 1), strict=True):
            inside.addmm_(tap, rows.flatten(1)[:, start : start + inside.shape[1]])
        if self.leaky:
            F.leaky_relu_(sums, LEAK)
        whole = sums.add_(0.5).floor_().clamp_(-LIMIT * UNIT, LIMIT * UNIT)
        return whole.view(len(whole), height, row)[:, :, :width]


def _starts(size: int, row: int) -> list[int]:
    return [down * row + right for down in range(size) for right in range(size)]
