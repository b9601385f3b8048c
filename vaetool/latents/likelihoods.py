"""Likelihoods and divergences of variational autoencoders. All are sums, in nats; none is a mean over pixels.

A decoder outputs `outputs_per_channel` numbers for every pixel and channel, which a likelihood interprets.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.nn.sections import NotNegativeFloat, Section, Share

LEVELS = 256
"""Number of values of a pixel."""

MIN_VARIANCE = (0.5 / (LEVELS - 1)) ** 2
"""Minimum variance of the Gaussian, without which the density of 8-bit pictures could grow without bound."""


@dataclass(frozen=True)
class ELBOObjective(Section, name="objective"):
    """Weight of the KL of the ELBO in training."""

    beta: NotNegativeFloat = 1.0  # weight of the KL (Higgins et al. 2017); 1 is the ELBO
    warmup: Share = 0.0  # share of the run over which that weight rises from zero (Sønderby et al. 2016)

    def kl_weight(self, fraction: float) -> float:
        """Return the weight of the KL at a fraction of the run."""
        return self.beta * (min(1.0, fraction / self.warmup) if self.warmup else 1.0)


class Likelihood(nn.Module):
    """p(x given z) of pictures (batch, channels, height, width) in 0..1, from a decoder's output."""

    outputs_per_channel: ClassVar[int] = 1
    is_density: ClassVar[bool] = False
    """Whether probabilities are per unit of brightness rather than per level of it."""

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the log-likelihood per image, (batch,), in nats.

        output: (batch, outputs_per_channel · channels, height, width).
        """
        raise NotImplementedError

    def picture(self, output: Tensor) -> Tensor:
        """Return the mean of x, in 0..1."""
        raise NotImplementedError


class Bernoulli(Likelihood):
    """The likelihood of pixels that are on or off; for grey values, their cross-entropy."""

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the log-likelihood; see `Likelihood`. output: log-odds."""
        return -F.binary_cross_entropy_with_logits(output, x, reduction="none").sum(dim=(1, 2, 3))

    def picture(self, output: Tensor) -> Tensor:
        """Return the probability of "on"."""
        return output.sigmoid()


class Gaussian(Likelihood):
    """N(mean, sigma²) with the likeliest sigma for all pixels, so that no reconstruction weight has to be chosen.

    In training sigma² is the mean squared error of the batch, in closed form (Rybkin, Daniilidis & Levine 2021,
    section 3.2); afterwards it is a running mean of that.
    """

    is_density = True
    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("variance", torch.full((1,), 0.1))

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the log-likelihood; see `Likelihood`. output: means."""
        squared = (output - x).square()
        variance = self.variance
        if self.training:
            variance = squared.mean().clamp_min(MIN_VARIANCE)
            self.variance.lerp_(variance.detach()[None].to(self.variance.dtype), 0.02)
        return -0.5 * (squared / variance + (2 * math.pi * variance).log()).sum(dim=(1, 2, 3))

    def picture(self, output: Tensor) -> Tensor:
        """Return the mean, clipped."""
        return output.clamp(0, 1)


class Logistic(Likelihood):
    """A logistic density, integrated over each of the 256 levels (Salimans et al. 2017, section 2.1, one component).

    It yields probabilities of levels, so that nats convert to actual bits for the picture. Each pixel has its own
    scale.
    """

    outputs_per_channel = 2

    def forward(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the log-likelihood; see `Likelihood`. output: means, then log scales, both in units of the range."""
        mean, log_scale = output.float().chunk(2, dim=1)
        log_scale = log_scale.clamp_min(-7.0)
        half = 0.5 / (LEVELS - 1)
        inverse = (-log_scale).exp()
        above, below = (x - mean + half) * inverse, (x - mean - half) * inverse
        # log(σ(above) − σ(below)) without cancellation: σ(a) − σ(b) = σ(a) σ(−b) (1 − e^(b − a)).
        inside = F.logsigmoid(above) + F.logsigmoid(-below) + torch.log(-torch.expm1(-2 * half * inverse))
        level = torch.where(x < half, F.logsigmoid(above), torch.where(x > 1 - half, F.logsigmoid(-below), inside))
        return level.sum(dim=(1, 2, 3))

    def picture(self, output: Tensor) -> Tensor:
        """Return the mean, clipped."""
        return output.chunk(2, dim=1)[0].clamp(0, 1)


LIKELIHOODS: dict[str, type[Likelihood]] = {"bernoulli": Bernoulli, "gaussian": Gaussian, "logistic": Logistic}


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """Return KL(N(mean, sigma²) to N(0, 1)) of every unit, in nats: ½ (mean² + sigma² − 1 − log sigma²).

    mean, log_var: (batch, latent). Returns (batch, latent). Kingma & Welling 2014, appendix B.
    """
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


def log_normal(z: Tensor, mean: Tensor | float = 0.0, log_var: Tensor | float = 0.0) -> Tensor:
    """Return the log-density log N(z; mean, sigma²), summed over the last dimension, in nats."""
    log_var = torch.as_tensor(log_var, dtype=z.dtype, device=z.device)
    return -0.5 * ((z - mean).square() / log_var.exp() + log_var + math.log(2 * math.pi)).sum(dim=-1)


def bits_per_dim(log_likelihood: Tensor, dims: int, is_density: bool) -> Tensor:
    """Convert nats per picture to bits per pixel and channel; a density over 0..1 is counted at 256 levels."""
    nats = -log_likelihood / dims + (math.log(LEVELS) if is_density else 0.0)
    return nats / math.log(2)
