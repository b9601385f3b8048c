"""The adversary of a decoder: a network that judges patches of pictures, and the losses of both sides.

The minimax objective in its non-saturating form (Goodfellow et al. 2014), and the R1 penalty, which makes the game
converge (Mescheder, Geiger & Nowozin 2018).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (32, 64, 128)
LEAK = 0.2


class PatchDiscriminator(nn.Module):
    """Discriminator between real and fake patches of 38 x 38 pixels, 8 pixels apart (as in Isola et al. 2017).

    It has no normalisation: a penalty on the gradient of one picture makes no sense if that depends on the others.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in pairwise((channels, *WIDTHS)):
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(LEAK)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(WIDTHS[-1], 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return log-odds of "real", (batch, 1, height/8, width/8), for (batch, channels, height, width) in 0..1."""
        return self.layers(2 * x - 1)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return −log D(real) − log(1 − D(fake)) in nats, from log-odds of any shape: what a discriminator minimises."""
    return F.softplus(-real.float()).mean() + F.softplus(fake.float()).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return −log D(fake) in nats, from log-odds of any shape: what the decoder minimises.

    It does not saturate: the surer the discriminator is, the larger its gradient (Goodfellow et al. 2014, section 3).
    """
    return F.softplus(-fake.float()).mean()


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Return ½ ‖∇x D(x)‖² at real pictures, the mean over them (Mescheder, Geiger & Nowozin 2018, equation 9).

    D is the sum of the log-odds of all patches, and the penalty is per patch, so that it is comparable between sizes.
    """
    real = real.detach().requires_grad_()
    logits = discriminator(real)
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return 0.5 * gradient.float().square().sum() / logits.numel()
