"""Fidelity of sets of new pictures: the Fréchet distance to real ones, precision and recall.

All are measured on features of pictures, (pictures, features), from a fixed network that knows neither the pictures nor
the model. Precision measures whether samples look real, recall whether they cover everything real: a blurred model has
a low precision, a collapsed one a low recall.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vaetool.nn.backbone import STRIDE, trained_backbone

BLOCKS = (4, 10)
"""Blocks of the backbone whose features, averaged over the picture, are used: textures, and parts of things."""

NEIGHBOURS = 3
"""Number of the neighbour whose distance bounds a point's neighbourhood (Kynkäänniemi et al. 2019, section 3.1)."""

BATCH = 64


@torch.no_grad()
def features(pictures: Tensor) -> np.ndarray:
    """Return features of pictures, (batch, channels, size, size) in 0..1: (batch, 152) float64."""
    network = trained_backbone(BLOCKS, pictures.device)
    side = -(-pictures.shape[-1] // STRIDE) * STRIDE
    found = []
    for part in pictures.split(BATCH):
        large = F.interpolate(part, size=(side, side), mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
        found.append(torch.cat([each.mean(dim=(2, 3)) for each in network(large)], dim=1))
    return torch.cat(found).cpu().double().numpy()


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Return the squared Fréchet distance of two Gaussians with the moments of samples, (samples, features) each.

    |mean_a − mean_b|² + tr(A + B − 2 (√A B √A)^½), for covariances A and B (Dowson & Landau 1982). √A B √A is
    symmetric, so eigenvalues give the trace of its root, and nothing can become complex; those that rounding made
    negative count as zero.

    >>> rows = np.random.default_rng(0).normal(size=(500, 3))
    >>> round(frechet_distance(rows, rows + [3, 0, 4]), 6)
    25.0
    """
    (mean_a, cov_a), (mean_b, cov_b) = (_moments(samples) for samples in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    overlap = np.sqrt(np.linalg.eigvalsh(root @ cov_b @ root).clip(0)).sum()
    distance = np.square(mean_a - mean_b).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * overlap
    return max(0.0, float(distance))


def _moments(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    samples = np.asarray(samples, np.float64)
    spare = min(1, len(samples) - 1)  # a single one has no covariance
    return samples.mean(axis=0), np.atleast_2d(np.cov(samples.T, ddof=spare))


def precision_and_recall(real: np.ndarray, samples: np.ndarray) -> tuple[float, float]:
    """Return the share of samples among the real ones, and of real ones among the samples; rows of features.

    A point is among others if its distance to one of them is at most that of that one's `NEIGHBOURS`-th neighbour
    (Kynkäänniemi et al. 2019, equations 1 and 2). Both need more rows than that.

    >>> line = np.arange(10.0)[:, None]
    >>> precision_and_recall(line, line[:5])
    (1.0, 0.8)
    """
    real_rows, sample_rows = (torch.from_numpy(np.asarray(rows, np.float64)) for rows in (real, samples))
    return _share_among(sample_rows, real_rows), _share_among(real_rows, sample_rows)


def _share_among(points: Tensor, others: Tensor) -> float:
    """Return the share of points that are among the others."""
    reach = torch.cat([torch.cdist(part, others).kthvalue(NEIGHBOURS + 1).values for part in others.split(1000)])
    found = [(torch.cdist(part, others) <= reach).any(dim=1) for part in points.split(1000)]
    return torch.cat(found).double().mean().item()


def spread_ratio(real: np.ndarray, samples: np.ndarray) -> float:
    """Return the spread of samples as a multiple of that of real ones; rows of features.

    >>> rows = np.random.default_rng(0).normal(size=(50, 3))
    >>> round(spread_ratio(rows, 5 + rows / 2), 6)
    0.5
    """
    real_variance, variance = (rows.var(axis=0).sum() for rows in (real, samples))
    return float(np.sqrt(variance / max(real_variance, np.finfo(float).tiny)))
