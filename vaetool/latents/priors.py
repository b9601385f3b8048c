"""Densities that new codes are drawn from: N(0, I), and a mixture of Gaussians fitted to a model's codes.

The decoder has been trained on the codes of real pictures. Where those do not fill N(0, I), which they never quite do,
a density fitted to them yields samples that look more like pictures (Ghosh et al. 2020, section 3). Its number of
Gaussians is chosen on held-out codes: the BIC chose so few that digits fell between classes.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np

COMPONENTS = (1, 2, 4, 8, 16, 32, 64)
MAX_CODES = 60_000
"""Maximum number of codes for a fit, which takes half a minute if they are 32 numbers long."""

LEFT_OUT = 10
"""One in this many codes is held out of fits to choose the mixture."""

MAX_FACTORS = 2**19
"""Maximum number of entries of all covariances: two megabytes of a model file, unless one component needs more."""

CODES_PER_NUMBER = 4
"""Codes needed per component and dimension of the code: fewer say little about correlations."""

MIN_SPREAD = 1e-3
"""Minimum spread of a unit, relative to the usual one: a constant unit would otherwise have an infinite density."""

RIDGE = 1e-4
"""Term added to the variances of standardised codes."""

TOGETHER = 1000
"""Number of codes whose density is computed at once."""

ROUNDS, TOLERANCE = 10, 0.01
"""Maximum number of EM iterations, and the gain per code, in nats, below which EM stops."""


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
        return np.concatenate([self._log_density(part) for part in np.array_split(z, -(-len(z) // TOGETHER) or 1)])

    def _log_density(self, z: np.ndarray) -> np.ndarray:
        weights, factors = self.weights.astype(np.float64), self.factors.astype(np.float64)
        noise = np.linalg.solve(factors, (z - self.means[:, None]).swapaxes(1, 2))  # (components, latent, codes)
        volumes = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        standard = -0.5 * (np.square(noise).sum(axis=1) + noise.shape[1] * math.log(2 * math.pi))
        return np.logaddexp.reduce(standard + (np.log(weights / weights.sum()) - volumes)[:, None], axis=0)

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
    """Fit a mixture of 1 to 64 Gaussians to codes, (codes, latent): the smallest one about as good as the best.

    It is the first whose mean log-density of codes left out of the fit is at most one standard error below the highest
    (Breiman et al. 1984, section 3.4.3). Covariances are full if there are enough codes, else diagonal.
    held_out_codes: other codes, for the scores. At least one of each is needed; the same seed gives the same mixture.
    """
    codes = codes[:MAX_CODES].astype(np.float64)
    centre, spread = codes.mean(axis=0), codes.std(axis=0)
    usual = math.sqrt(np.square(spread).mean()) or 1.0
    spread = spread.clip(MIN_SPREAD * usual)
    weights, means, factors = _best_mixture(((codes - centre) / spread).astype(np.float32), seed)
    fitted = Mixture(weights, centre + spread * means, spread[:, None] * factors, np.zeros(2))
    densities = (Normal(codes.shape[1]), fitted)
    scores = np.array([density.log_density(held_out_codes).mean() for density in densities])
    return Mixture(fitted.weights, fitted.means, fitted.factors, scores)


def _best_mixture(codes: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weights, means and factors of the mixture chosen for standardised codes."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    left_out = np.arange(len(codes)) % LEFT_OUT == LEFT_OUT - 1
    codes, others = codes[~left_out], codes[left_out]
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
        if components == 1 or (components <= most and len(others))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # nearly the best is good enough
        for mixture in mixtures:
            mixture.fit(codes)
    best = mixtures[0]
    if len(mixtures) > 1:
        densities = np.stack([mixture.score_samples(others) for mixture in mixtures])
        short = densities[densities.mean(axis=1).argmax()] - densities
        enough = short.mean(axis=1) <= short.std(axis=1) / math.sqrt(len(others))
        best = mixtures[int(enough.argmax())]
    if full:
        return best.weights_, best.means_, np.linalg.cholesky(best.covariances_.astype(np.float64))
    return best.weights_, best.means_, np.sqrt(best.covariances_)[:, :, None] * np.eye(latent)
