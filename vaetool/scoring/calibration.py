"""From statistics of a picture to a score, and from a score to a p-value that keeps its promise.

What is known of good pictures are the components of held-out ones, which the model was never trained on. A p-value is
split-conformal (Vovk, Gammerman & Shafer 2005; Bates et al. 2023): if a new picture is a good one, drawn like those,
then p ≤ alpha has a probability of at most alpha, whatever the score is and however bad the model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vaetool.errors import UsageError
from vaetool.scoring.statistics import LIKELIER, TYPICAL, TYPICAL_IF_SMALL

IMAGES_PER_STATISTIC = 10
"""`typical` puts together one statistic for so many images: five at fifty."""

FITTING = 3
"""One in so many images is what `typical` is fitted on; by the others, p-values are found."""

MIN_FOR_DRIFT = 20
LOW_MEDIAN = 0.2
"""The median p-value of twenty good pictures is lower than that once in four hundred batches."""

MIN_SPREAD = 1e-6
"""Of a statistic, in parts of its size: one that never changed would otherwise make anything an outlier."""


@dataclass(frozen=True)
class Calibration:
    """What is known of good pictures.

    names: of the components. components: (images, components), of pictures that were neither trained on nor used to
    choose weights, in an order that says nothing. What was not computed of an image, since it takes long, is NaN.
    """

    names: tuple[str, ...]
    components: np.ndarray

    def table(self, components: Mapping[str, np.ndarray]) -> np.ndarray:
        """Components by name, (pictures,) each, as columns in the order of `names`; NaN where there is none."""
        missing = np.full(len(next(iter(components.values()))), np.nan)
        return np.stack([components.get(name, missing) for name in self.names], axis=1)

    def scores(self, components: np.ndarray, by: str) -> np.ndarray:
        """Scores of pictures by their components, (pictures, components): (pictures,), higher for the more unusual.

        by: "typical", or the name of a component.
        """
        if by == "typical":
            return self._typical.scores(components)
        values = components[:, self.names.index(by)].astype(np.float64)
        return -values if by in LIKELIER else values

    def p_values(self, scores: np.ndarray, by: str) -> np.ndarray:
        """Of scores by the same method, (pictures,): the share of good pictures that are as unusual, in (0, 1].

        (1 + #{held-out scores ≥ score}) / (n + 1).
        """
        held_out = self.held_out_scores(by)
        as_unusual = len(held_out) - np.searchsorted(held_out, scores, side="left")
        return (1 + as_unusual) / (len(held_out) + 1)

    def threshold(self, alpha: float, by: str) -> float:
        """The score above which p-values are alpha or less."""
        allowed = _allowed(alpha, self.count(by))
        return float(self.held_out_scores(by)[-allowed]) if allowed else math.inf

    def held_out_scores(self, by: str) -> np.ndarray:
        """The scores that p-values are found by, sorted: those of `typical` are from images it was not fitted on."""
        if by not in self._held_out_scores:
            components = self.components[~self._fitting] if by == "typical" else self.components
            scores = self.scores(components, by)
            self._held_out_scores[by] = np.sort(scores[~np.isnan(scores)])
        return self._held_out_scores[by]

    def count(self, by: str) -> int:
        """How many images p-values by a method are found by: the smallest is 1 / (count + 1)."""
        return len(self.held_out_scores(by))

    @cached_property
    def _held_out_scores(self) -> dict[str, np.ndarray]:
        return {}

    @property
    def _fitting(self) -> np.ndarray:
        return np.arange(len(self.components)) % FITTING == 0

    @cached_property
    def _typical(self) -> _Typical:
        most = max(2, len(self.components) // IMAGES_PER_STATISTIC)
        chosen = [name for name in (*TYPICAL_IF_SMALL, *TYPICAL) if name in self.names][:most]
        columns = [[self.names.index(name) for name in chosen if name in kind] for kind in (TYPICAL, TYPICAL_IF_SMALL)]
        return _Typical(self.components[self._fitting], *columns)


class _Typical:
    """How far the statistics of a picture are from those of typical ones: evidence of some kinds, summed.

    Statistics that can be too small as well as too large go through their quantiles to normal numbers, and these to one
    Mahalanobis distance, with the covariance of Ledoit & Wolf (2004). This distance, and every statistic that can only
    be too large, goes through its own quantiles to a p-value: the score is Σ −log p (Fisher 1932, section 21.1). In one
    distance with the others, what is only ever too large would drown: small values would count as unusual as well.
    """

    def __init__(self, components: np.ndarray, two_tailed: list[int], one_tailed: list[int]) -> None:
        from sklearn.covariance import LedoitWolf

        self.two_tailed, self.one_tailed = two_tailed, one_tailed
        self.maps = {column: _NormalMap(components[:, column]) for column in two_tailed + one_tailed}
        self.covariance = LedoitWolf(assume_centered=True).fit(self._normal(components))
        self.distance_map = _NormalMap(self._distances(components))

    def scores(self, components: np.ndarray) -> np.ndarray:
        """(pictures, components) → (pictures,), in nats."""
        from scipy.stats import norm

        evidence = [self.distance_map(self._distances(components))]
        evidence += [self.maps[column](components[:, column]) for column in self.one_tailed]
        return -norm.logsf(evidence).sum(axis=0)

    def _normal(self, components: np.ndarray) -> np.ndarray:
        return np.stack([self.maps[column](components[:, column]) for column in self.two_tailed], axis=1)

    def _distances(self, components: np.ndarray) -> np.ndarray:
        return np.sqrt(self.covariance.mahalanobis(self._normal(components)))


class _NormalMap:
    """A number to a normal one by the quantiles of a sample; beyond its extremes on straight lines.

    Each line goes on from an extreme as steeply as from the median to there, so that what is farther out is always
    more unusual.
    """

    def __init__(self, sample: np.ndarray) -> None:
        from scipy.stats import norm

        self.values, counts = np.unique(sample, return_counts=True)
        self.normal = norm.ppf((counts.cumsum() - (counts - 1) / 2) / (len(sample) + 1))
        middle, narrowest = np.median(sample), MIN_SPREAD * max(1e-6, np.abs(sample).max())
        self.spread_below = max(middle - self.values[0], narrowest) / max(-self.normal[0], 1)
        self.spread_above = max(self.values[-1] - middle, narrowest) / max(self.normal[-1], 1)

    def __call__(self, numbers: np.ndarray) -> np.ndarray:
        below = (self.values[0] - numbers).clip(0) / self.spread_below
        above = (numbers - self.values[-1]).clip(0) / self.spread_above
        return np.interp(numbers, self.values, self.normal) + above - below


def calibration_of(model: Any, by: str | None) -> tuple[str, Calibration]:
    """The method that a model is to use, its own choice if that is None, and what it knows of good pictures.

    Raises UsageError if it has no such method, or knows nothing of them.
    """
    chosen = model.default_method if by is None else by
    if chosen not in model.methods:
        raise UsageError(f"no method {chosen!r} for this {model.kind}; there are: {', '.join(model.methods)}")
    calibration = model.calibration
    needed = TYPICAL if chosen == "typical" else (chosen,)
    if calibration is None or not set(needed) <= set(calibration.names):
        raise UsageError(
            f"this {model.kind} was not calibrated with good pictures, which is done when its training ends: "
            "train it again, or use vaetool.scoring.detection.calibrate"
        )
    return chosen, calibration


def check_alpha(alpha: float, n: int) -> None:
    """Refuse a level that n images cannot resolve.

    Raises UsageError.
    """
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is a probability between 0 and 1, not {alpha:g}")
    if _allowed(alpha, n) == 0:
        raise UsageError(
            f"alpha {alpha:g} cannot be kept: p-values are found by {n} good images here, and the smallest one that "
            f"they can give is 1/{n + 1} = {1 / (n + 1):.2g}. Take a larger alpha, or calibrate with more images: "
            f"{math.ceil(1 / alpha) - 1} are needed"
        )


def _allowed(alpha: float, n: int) -> int:
    """How many of the p-values 1/(n + 1) ... 1 are at most alpha."""
    return int(np.count_nonzero(np.arange(1, n + 2) / (n + 1) <= alpha))


def false_alarm_rate(alpha: float, n: int) -> float:
    """The share of good pictures that p ≤ alpha calls outliers, on average over calibrations by n images."""
    return _allowed(alpha, n) / (n + 1)


def false_alarm_bound(alpha: float, n: int) -> float:
    """The share of good pictures that p ≤ alpha calls outliers, at most, in 95 % of all calibrations by n images.

    Over calibrations the share has the law Beta(k, n + 1 − k), k = ⌊alpha (n + 1)⌋ (Vovk 2012, proposition 2a).
    """
    from scipy.stats import beta

    allowed = _allowed(alpha, n)
    return float(beta.ppf(0.95, allowed, n + 1 - allowed)) if allowed else 0.0


def benjamini_hochberg(p: np.ndarray, fdr: float) -> np.ndarray:
    """Return which pictures are outliers, (pictures,) bool, if `fdr` of those on average may be good ones after all.

    Benjamini & Hochberg 1995; it holds for conformal p-values (Bates et al. 2023, theorem 2).
    Raises UsageError.
    """
    if not 0 < fdr < 1:
        raise UsageError(f"the false discovery rate is a share between 0 and 1, not {fdr:g}")
    from scipy.stats import false_discovery_control  # half a second, for those alone who need it

    p = np.asarray(p, np.float64)
    return false_discovery_control(p) <= fdr if len(p) else np.zeros(0, bool)


def drift(p: np.ndarray) -> str | None:
    """A warning, if so many pictures of a batch look unusual that the good ones may not be what they were."""
    if len(p) < MIN_FOR_DRIFT or np.median(p) >= LOW_MEDIAN:
        return None
    return (
        f"the median p-value of these {len(p)} pictures is {np.median(p):.2g}, and .5 is usual: unless most of them "
        "are outliers, good pictures have changed since the calibration, and p-values mean less than they say"
    )
