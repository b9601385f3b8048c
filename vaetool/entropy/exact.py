"""Arithmetic that gives the same result on every machine, in any order: whole numbers inside floating point.

A sum of products is exact, whatever the order and the number of threads, while it stays below 2^53 in float64. So a
layer here has two faces with one set of weights. Fed float32 it computes with real numbers, for training. Fed float64
it computes with whole numbers of units of 2^-12, by matrix products alone (no Winograd, no FFT), and rounds back to
such units by a power of two. A network of these layers differs between its faces by the rounding only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.errors import WeightsError

BITS = 12
UNIT = 2**BITS
"""Whole numbers stand for multiples of 1 / UNIT, in activations and weights alike; sums are in units of its square."""

LIMIT = 128.0
"""Activations are clamped to ±LIMIT, so that the largest possible sum of a layer is known when it is loaded."""

LEAK = 0.125  # a power of two: exact

EXACT_BELOW = 2.0**53


def to_units(x: Tensor) -> Tensor:
    """Real numbers as whole numbers of units, in float64."""
    return torch.round(x.double() * UNIT)


def requantised(x: Tensor, bits: int) -> Tensor:
    """Divided by 2^bits and rounded, half up, to whole numbers."""
    return torch.floor(x * 2.0**-bits + 0.5)


class FixedConv(nn.Conv2d):
    """A convolution with stride 1, then a leaky unit if `leaky`, then a clamp to ±LIMIT. See the module's docstring.

    The size of its kernel is 1 or 3; the border is padded with zeros.
    """

    bias: Tensor

    def __init__(self, inputs: int, outputs: int, size: int = 1, leaky: bool = True) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        self.leaky = leaky

    def forward(self, x: Tensor) -> Tensor:
        """(batch, inputs, height, width) → (batch, outputs, height, width), real or, in float64, in whole units."""
        if x.dtype == torch.float64:
            return self._in_units(x)
        x = super().forward(x)
        return (F.leaky_relu(x, LEAK) if self.leaky else x).clamp(-LIMIT, LIMIT)

    def _in_units(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        weight, bias = self.integers()
        columns = (
            x.flatten(2)
            if self.kernel_size == (1, 1)
            else F.unfold(x, self.kernel_size, padding=self.kernel_size[0] // 2)
        )
        x = torch.matmul(weight, columns) + bias[:, None]
        if self.leaky:
            x = torch.where(x < 0, x * LEAK, x)
        x = requantised(x, BITS).clamp(-LIMIT * UNIT, LIMIT * UNIT)
        return x.reshape(batch, -1, height, width)

    def integers(self) -> tuple[Tensor, Tensor]:
        """The weights as a matrix (outputs, inputs · size · size) in units, and the biases in units of their square."""
        return to_units(self.weight).flatten(1), torch.round(self.bias.double() * UNIT**2)

    def check_bounds(self, name: str) -> None:
        """Raises WeightsError if the sum of the largest possible terms is not exact in float64."""
        weight, bias = self.integers()
        largest = weight.abs().sum(dim=1) * (LIMIT * UNIT) + bias.abs()
        if not bool((largest < EXACT_BELOW).all()):
            raise WeightsError(f"{name}: its weights are too large for exact sums")
