"""The networks of one modality of a multimodal VAE: from its data to a posterior, and from a code to its data.

In a batch, a modality is planes of pixels, (batch, planes, size, size) in 0..1: those of a picture, or one in which
every pixel is the number of a label, in 255ths. A code has the same units at each of its places: a grid of
places · places, each for its part of a picture, or a single one for all of it. Its numbers are in the order of units,
rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.latents.likelihoods import LIKELIHOODS
from vaetool.latents.trunk import Decoder, Encoder, PlacesDecoder, PlacesEncoder, TrunkConfig

MAX_LABELS = 256
LABEL_WIDTH = 128
"""Width of the hidden layer between a code and the log-odds of labels."""


class Modality(nn.Module):
    """A modality, see the module's docstring. planes: in a batch. private: its own numbers of a code. dims: values."""

    planes: int
    private: int
    dims: int

    def encode(self, x: Tensor) -> Tensor:
        """Return means and log-variances of shared and private units, (batch, 2 · numbers)."""
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """Return the input of `log_likelihood` and `planes_of`, given shared and private units, (batch, numbers)."""
        raise NotImplementedError

    def log_likelihood(self, output: Tensor, x: Tensor, *, seen: bool) -> Tensor:
        """Return log p(x given the code), (batch,), in nats; seen: private units come from x, else they are 0."""
        raise NotImplementedError

    def planes_of(self, output: Tensor) -> Tensor:
        """Return the mean of x, (batch, planes, size, size) in 0..1."""
        raise NotImplementedError


class Pictures(Modality):
    """Pictures: the trunk of a VAE.

    Private units describe what no other modality tells about a picture; where they are unknown, they are 0, and the
    picture has another likelihood, with a larger variance.
    """

    def __init__(self, config: TrunkConfig, private: int, likelihood: str, places: int) -> None:
        super().__init__()
        self.planes, self.private = config.channels, private * places**2
        self.dims = config.channels * config.size**2
        self.seen, self.unseen = LIKELIHOODS[likelihood](), LIKELIHOODS[likelihood]()
        outputs = config.channels * self.seen.outputs_per_channel
        self.encoder: nn.Module
        self.decoder: nn.Module
        if places == 1:
            self.encoder, self.decoder = Encoder(config, 2 * config.latent), Decoder(config, outputs)
        else:
            self.encoder = PlacesEncoder(config, 2 * config.latent, places)
            self.decoder = PlacesDecoder(config, outputs, places)

    def encode(self, x: Tensor) -> Tensor:
        """Encode pictures; see `Modality.encode`."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """Decode codes; see `Modality.decode`."""
        return self.decoder(z)

    def log_likelihood(self, output: Tensor, x: Tensor, *, seen: bool) -> Tensor:
        """Return the log-likelihood of pictures; see `Modality.log_likelihood`."""
        return (self.seen if seen else self.unseen)(output, x)

    def planes_of(self, output: Tensor) -> Tensor:
        """Return mean pictures; see `Modality.planes_of`."""
        return self.seen.picture(output)


class Labels(Modality):
    """Labels: a table of posteriors, the same at all places, and a small network with a categorical likelihood."""

    planes, private, dims = 1, 0, 1

    def __init__(self, labels: int, shared: int, size: int, places: int) -> None:
        super().__init__()
        self.size, self.places = size, places
        self.encoder = nn.Embedding(labels, 2 * shared)
        self.decoder = nn.Sequential(nn.Linear(shared, LABEL_WIDTH), nn.SiLU(), nn.Linear(LABEL_WIDTH, labels))
        nn.init.normal_(self.encoder.weight, std=0.1)

    def encode(self, x: Tensor) -> Tensor:
        """Look labels up; see `Modality.encode`."""
        units = self.encoder(numbers(x).clamp_max(self.encoder.num_embeddings - 1))
        return units.repeat_interleave(self.places**2, dim=1)

    def decode(self, z: Tensor) -> Tensor:
        """Return the log-odds of labels, (batch, labels), by the mean of all places; see `Modality.decode`."""
        return self.decoder(z.unflatten(1, (-1, self.places**2)).mean(dim=2))

    def log_likelihood(self, output: Tensor, x: Tensor, *, seen: bool) -> Tensor:
        """Return the log-probability of labels; see `Modality.log_likelihood`."""
        return -F.cross_entropy(output.float(), numbers(x), reduction="none")

    def planes_of(self, output: Tensor) -> Tensor:
        """Return the likeliest labels; see `Modality.planes_of`."""
        return output.argmax(dim=1).div(MAX_LABELS - 1)[:, None, None, None].expand(-1, 1, self.size, self.size)


def numbers(x: Tensor) -> Tensor:
    """Return the label numbers, (batch,), in planes, (batch, 1, size, size)."""
    return x[:, 0, 0, 0].mul(MAX_LABELS - 1).round().long()


def plane_of_label(number: int, size: int) -> np.ndarray:
    """Return the plane of a label, (size, size, 1) uint8."""
    return np.full((size, size, 1), number, np.uint8)


def product_of_experts(means: Tensor, log_vars: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log-variance, (batch, units) each, of the product of N(0, I) and the experts' densities.

    means, log_vars: (experts, batch, units). seen: (batch, experts) bool, the experts that count (Wu & Goodman 2018,
    section 2.2).
    """
    precisions = (-log_vars).exp() * seen.T[:, :, None]
    precision = 1 + precisions.sum(dim=0)
    return (precisions * means).sum(dim=0) / precision, -precision.log()


def dependence(shared: Tensor, private: Sequence[Tensor]) -> Tensor:
    """Return half the sum of the squared covariances, over a batch, of shared with private units: a scalar.

    For weakly correlated normal units of variance 1, it is their mutual information in nats, −½ log(1 − r²) for each
    pair. Shared units get no gradient, so that private ones give way. shared, private: means of posteriors,
    (batch, numbers) each.
    """
    centred = [(each - each.mean(dim=0)) / len(shared) ** 0.5 for each in (shared.detach(), *private)]
    # ‖ZᵀW‖² = Σ (ZZᵀ) ∘ (WWᵀ): a batch is shorter than a code of many places.
    products = [each @ each.T for each in centred]
    return 0.5 * torch.stack([(products[0] * each).sum() for each in products[1:]]).sum()
