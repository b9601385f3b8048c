"""Densities that new codes are drawn from: N(0, I), and a mixture of Gaussians fitted to a model's codes.

The decoder has been trained on the codes of real pictures. Where those do not fill N(0, I), which they never quite do,
a density fitted to them gives samples that look more like pictures (Ghosh et al. 2020, section 3).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

COMPONENTS = (1, 2, 4, 8, 16, 32)
MAX_CODES = 10_000
"""Codes that a density is fitted to, at most, which takes seconds."""

MAX_FACTORS = 2**19
"""Entries of all covariances together: two megabytes of a model file at most, unless one component needs more."""

CODES_PER_NUMBER = 4
"""Codes that a component needs for each dimension of the code: fewer say little about correlations."""

MIN_SPREAD = 1e-3
"""Smallest spread of a unit, relative to the usual one: a constant unit would otherwise have an infinite density."""

RIDGE = 1e-4
"""Added to the variances of standardised codes."""

ROUNDS, TOLERANCE = 30, 0.01
"""Of expectation-maximisation: iterations at most, and the gain, in nats per code, below which it stops."""


@dataclass(frozen=True)
class Normal:
    """N(0, I) over codes with `latent` dimensions."""

    latent: int

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Return the log-density of codes, (codes, latent): (codes,), in nats."""
        return -0.5 * (np.square(z, dtype=np.float64).sum(axis=1) + self.latent * math.log(2 * math.pi))

    def sample(self, n: int, temperature: float, generator: np.random.Generator) -> np.ndarray:
        """Draw `n` codes, (n, latent) float32; temperature: the factor on the standard deviation."""
        return (temperature * generator.standard_normal((n, self.latent))).astype(np.float32)


@dataclass(frozen=True)
class Mixture:
    """A mixture of Gaussians, Σ weights N(means, factors · factorsᵀ).

    weights: (components,). means: (components, latent). factors: (components, latent, latent), lower triangular.
    scores: (2,), the mean log-density of held-out codes, in nats per code, under N(0, I) and under the mixture.
    """

    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    scores: np.ndarray

    @property
    def is_better(self) -> bool:
        """Whether held-out codes are likelier under the mixture than under N(0, I)."""
        return bool(self.scores[1] > self.scores[0])

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """Return the log-density of codes, (codes, latent): (codes,), in nats."""
        weights = self.weights.astype(np.float64)
        standard = Normal(self.means.shape[1])
        parts = []
        for weight, mean, factor in zip(weights / weights.sum(), self.means, self.factors, strict=True):
            noise = np.linalg.solve(factor.astype(np.float64), (z - mean).T).T
            parts.append(np.log(weight) + standard.log_density(noise) - np.log(np.diagonal(factor)).sum())
        return np.logaddexp.reduce(parts, axis=0)

    def sample(self, n: int, temperature: float, generator: np.random.Generator) -> np.ndarray:
        """Draw `n` codes, (n, latent) float32; temperature: the factor on deviations from a component's mean."""
        ends = np.cumsum(self.weights, dtype=np.float64)
        chosen = np.searchsorted(ends, ends[-1] * generator.random(n), side="right").clip(0, len(ends) - 1)
        noise = temperature * generator.standard_normal((n, self.means.shape[1]))
        codes = np.empty(noise.shape, np.float32)
        for component in np.unique(chosen):
            mine = chosen == component
            codes[mine] = self.means[component] + noise[mine] @ self.factors[component].T
        return codes


def fit_mixture(codes: np.ndarray, held_out_codes: np.ndarray, seed: int) -> Mixture:
    """Fit the mixture of 1 to 32 Gaussians with the lowest BIC (Schwarz 1978) to codes, (codes, latent).

    Covariances are full where there are enough codes for that, else diagonal. held_out_codes: other codes, for the
    scores. At least one of each is needed; the same seed gives the same mixture.
    """
    codes = codes[:MAX_CODES].astype(np.float64)
    centre, spread = codes.mean(axis=0), codes.std(axis=0)
    usual = math.sqrt(np.square(spread).mean()) or 1.0
    spread = spread.clip(MIN_SPREAD * usual)
    weights, means, factors = _lowest_bic((codes - centre) / spread, seed)
    fitted = Mixture(weights, centre + spread * means, spread[:, None] * factors, np.zeros(2))
    densities = (Normal(codes.shape[1]), fitted)
    scores = np.array([density.log_density(held_out_codes).mean() for density in densities])
    return Mixture(fitted.weights, fitted.means, fitted.factors, scores)


def _lowest_bic(codes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights, means and factors of the best mixture for standardised codes."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    count, latent = codes.shape
    full = count >= CODES_PER_NUMBER * latent
    most = min(
        count // (CODES_PER_NUMBER * (latent if full else 1)), MAX_FACTORS // latent**2, len(np.unique(codes, axis=0))
    )
    if count == 1:
        codes = codes.repeat(2, axis=0)  # scikit-learn asks for at least two
    settings = {"covariance_type": "full" if full else "diag", "reg_covar": RIDGE, "tol": TOLERANCE, "max_iter": ROUNDS}
    mixtures = [
        GaussianMixture(components, random_state=seed, **settings)
        for components in COMPONENTS
        if components <= max(1, most)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly the best is good enough
        best = min((mixture.fit(codes) for mixture in mixtures), key=lambda mixture: mixture.bic(codes))
    if full:
        return best.weights_, best.means_, np.linalg.cholesky(best.covariances_)
    return best.weights_, best.means_, np.sqrt(best.covariances_)[:, :, None] * np.eye(latent)
