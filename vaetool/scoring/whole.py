"""A score of whole pictures: one Gaussian of their coarsest features, regardless of position.

It finds outliers among photographs, in which nothing has a fixed place. A mixture of up to eight Gaussians was not
better.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vaetool.scoring.deep import GLANCE

WHOLE = "whole"
"""Name of the component."""


class Whole(NamedTuple):
    """The Gaussian of pictures' mean features."""

    mean: Tensor  # (features,)
    whitening: Tensor
    """The inverse of the covariance's Cholesky factor, (features, features)."""

    def energy(self, glance: Tensor) -> Tensor:
        """Return the squared Mahalanobis distance of pictures at a glance, per feature: (images,), about 1 if good."""
        return ((mean_features(glance) - self.mean) @ self.whitening.T).square().mean(dim=1)


def mean_features(glance: Tensor) -> Tensor:
    """Return the features of pictures at a glance, averaged over places: (images, features)."""
    return glance.unflatten(1, (-1, GLANCE**2)).mean(dim=2)


def fit_whole(glance: Tensor) -> Whole:
    """Fit the Gaussian to good pictures at a glance, with the covariance of Ledoit & Wolf (2004)."""
    from sklearn.covariance import LedoitWolf

    features = mean_features(glance)
    mean, spread = features.mean(dim=0), features.std(dim=0, correction=0).clamp_min(1e-6)
    covariance = LedoitWolf(assume_centered=True).fit(((features - mean) / spread).double().numpy()).covariance_
    # A single picture has no spread: all directions are then alike.
    factor = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(covariance)))
    return Whole(mean, torch.from_numpy(np.linalg.inv(factor)).float() / spread)
