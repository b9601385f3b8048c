"""Linear VAEs of features, one for each place of a picture, fitted in closed form.

A linear VAE with as many units as there are features is a Gaussian, and at the optimum its ELBO is the log-density
(Lucas et al. 2019, Dai et al. 2018). Here the Gaussian of a place is conditional on a code of the whole picture, which
captures what all places have in common: the light, the position of the part, the look of the material.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

NOISE = 0.005
"""Variance added in every direction, relative to the features' own, since less cannot be measured."""

PRIOR_IMAGES = 20
"""Weight, in pictures, of the mean covariance of all places in that of each place."""

RIDGE = 3.0
"""Weight, in pictures, of the prior that features do not depend on the code."""

IMAGES_PER_UNIT = 4
MIN_IMAGES_FOR_CODE = 150
MAX_UNITS = 112
"""Limits of the number of units of a picture's code, one for every four pictures; with few it is useless."""

FINE_UNITS = 32
"""Maximum number of units of the code that the numerous fine features depend on, to keep a model's file small."""


class Code(NamedTuple):
    """Map from features of whole pictures, (images, features), to codes: whitened PCA."""

    mean: Tensor  # (features,)
    directions: Tensor  # (features, units)

    def __call__(self, features: Tensor) -> Tensor:
        """Return the codes of pictures, (images, units), of unit variance on the pictures of the fit."""
        return (features - self.mean) @ self.directions


class Places(NamedTuple):
    """The Gaussian of each place: N(mean + slope · code, covariance)."""

    mean: Tensor  # (places, features)
    slope: Tensor  # (units, places, features)
    whitening: Tensor
    """The inverse of the covariance's Cholesky factor, (places, features, features); places is 1 if all share one."""

    def energy(self, features: Tensor, code: Tensor) -> Tensor:
        """Return minus twice the log-density, up to a constant, per feature: (images, places), about 1 for good ones.

        features: (images, places, features); code: (images, units).
        """
        rest = features.transpose(0, 1) - self.mean[:, None]
        if len(self.slope):
            rest = rest - code @ self.slope.transpose(0, 1)
        return (rest @ self.whitening.mT).square().mean(dim=2).T


def units(images: int) -> int:
    """Return the number of units of a code that so many good pictures can determine."""
    return min(images // IMAGES_PER_UNIT, MAX_UNITS) if images >= MIN_IMAGES_FOR_CODE else 0


def units_at(scale: int, units: int) -> int:
    """Return the number of units of the code that the features of a scale depend on; 0 is the finest scale."""
    return units if scale else min(units, FINE_UNITS)


def fit_code(features: Tensor, count: int) -> Code:
    """Fit a code with `count` units to features of whole pictures, (images, features)."""
    mean = features.mean(dim=0)
    if not count:
        return Code(mean, torch.zeros(len(mean), 0))
    scale = features.std(dim=0).clamp_min(1e-6)
    _, strengths, directions = torch.linalg.svd((features - mean) / scale, full_matrices=False)
    spread = strengths[:count].clamp_min(1e-6) / len(features) ** 0.5
    return Code(mean, directions[:count].T / scale[:, None] / spread)


def fit_places(features: Tensor, code: Tensor, pictures: int, alike: bool = False) -> Places:
    """Fit the Gaussians to good pictures.

    features: (images, places, features); code: (images, units). pictures: number of different pictures, not counting
    mirror images. alike: whether all places share one covariance. Each has its own mean in any case, since the edge of
    a picture always shows.
    """
    rest = features.transpose(0, 1).contiguous()
    mean = rest.mean(dim=1)
    rest -= mean[:, None]
    slope = torch.zeros(code.shape[1], *mean.shape)
    if code.shape[1]:
        evidence = code.T @ code + RIDGE * torch.eye(code.shape[1])
        together = (code.T @ rest).transpose(0, 1)
        slope = torch.linalg.solve(evidence, together.flatten(1)).view_as(slope)
        rest -= code @ slope.transpose(0, 1)
    covariance = (rest.mT @ rest).double() / max(1, rest.shape[1] - 1)
    pooled = covariance.mean(dim=0, keepdim=True)
    covariance = pooled if alike else torch.lerp(covariance, pooled, PRIOR_IMAGES / (PRIOR_IMAGES + pictures))
    return Places(mean, slope, _whitening(covariance))


def _whitening(covariance: Tensor) -> Tensor:
    """Return the inverse Cholesky factors of covariances, (count, features, features)."""
    identity = torch.eye(covariance.shape[1], dtype=torch.float64)
    # numpy's, since torch's batched factorisation has failed on hundreds of these matrices with some builds of MKL
    factor = torch.from_numpy(np.linalg.cholesky((covariance + NOISE * identity).numpy()))
    return torch.linalg.solve_triangular(factor, identity.expand_as(factor), upper=False).float()


def share_of_place(features: Tensor) -> float:
    """Return the share of the variance of features, (images, places, features), that is due to the place, in 0..1.

    It is the variance between the means of places, minus that expected of as many random samples (Hays 1963, omega
    squared), averaged over the features.
    """
    images = features.shape[0]
    if images < 2:
        return 1.0
    within = features.var(dim=0).mean(dim=0)
    between = features.mean(dim=0).var(dim=0) - within / images
    return float((between / (between + within).clamp_min(1e-9)).clamp(0, 1).mean())


def packed(matrices: Tensor) -> Tensor:
    """Return the lower triangles of matrices, (count, size, size), row by row: (count, size · (size + 1) / 2)."""
    rows, columns = torch.tril_indices(*matrices.shape[1:], device=matrices.device)
    return matrices[:, rows, columns]


def unpacked(triangles: Tensor, size: int) -> Tensor:
    """Return the matrices, zero above the diagonal, from the triangles of `packed`: (count, size, size)."""
    rows, columns = torch.tril_indices(size, size, device=triangles.device)
    matrices = torch.zeros(len(triangles), size, size, device=triangles.device)
    matrices[:, rows, columns] = triangles
    return matrices
