"""Calibration: from statistics of a picture to a score, and from a score to a valid p-value.

A calibration consists of the components of held-out good pictures, which the model was never trained on. P-values are
split-conformal (Vovk, Gammerman & Shafer 2005; Bates et al. 2023): for a new good picture, drawn like those, p ≤ alpha
has a probability of at most alpha, whatever the score is and however bad the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import numpy as np

from vaetool.errors import UsageError
from vaetool.scoring.statistics import LIKELIER, TYPICAL, TYPICAL_IF_SMALL

IMAGES_PER_STATISTIC = 10
"""Number of images per statistic that `typical` combines: five statistics for fifty images."""

FITTING = 3
"""One in this many images serves to fit `typical`; p-values are based on the others."""

ALPHA = 0.05
"""Default level."""

MIN_FOR_DRIFT = 20
LOW_MEDIAN = 0.2
"""Lower bound of a plausible median p-value: twenty good pictures fall below it in one of four hundred batches."""

MIN_SPREAD = 1e-6
"""Minimum spread of a statistic, relative to its size: a constant one would otherwise make anything an outlier."""


@dataclass(frozen=True)
class Calibration:
    """The components of good pictures.

    names: of the components. components: (images, components), of pictures that were neither trained on nor used to
    choose weights, in an order that carries no information. Slow ones that were not computed for an image are NaN.
    """

    names: tuple[str, ...]
    components: np.ndarray

    def table(self, components: Mapping[str, np.ndarray]) -> np.ndarray:
        """Arrange components by name, (pictures,) each, as columns in the order of `names`; missing ones are NaN."""
        missing = np.full(len(next(iter(components.values()))), np.nan)
        return np.stack([components.get(name, missing) for name in self.names], axis=1)

    def columns(self, names: Iterable[str]) -> np.ndarray:
        """Return the components of these names, (images, names)."""
        return self.components[:, [self.names.index(name) for name in names]]

    def extended(self, name: str, values: np.ndarray) -> Calibration:
        """Return the calibration with a component, (images,), added or replaced."""
        others = [each for each in self.names if each != name]
        return Calibration((*others, name), np.column_stack([self.columns(others), values]))

    def scores(self, components: np.ndarray, by: str) -> np.ndarray:
        """Score pictures from their components, (pictures, components): (pictures,), higher for the more unusual.

        by: "typical", or the name of a component.
        """
        if by == "typical":
            return self._typical.scores(components)
        values = components[:, self.names.index(by)].astype(np.float64)
        return -values if by in LIKELIER else values

    def p_values(self, scores: np.ndarray, by: str) -> np.ndarray:
        """Return the p-values of scores, (pictures,): the share of good pictures at least as unusual, in (0, 1].

        (1 + #{held-out scores ≥ score}) / (n + 1), for scores by the same method.
        """
        held_out = self.held_out_scores(by)
        as_unusual = len(held_out) - np.searchsorted(held_out, scores, side="left")
        return (1 + as_unusual) / (len(held_out) + 1)

    def threshold(self, alpha: float, by: str) -> float:
        """Return the score above which p-values are alpha or less."""
        allowed = rank(alpha, self.count(by))
        return float(self.held_out_scores(by)[-allowed]) if allowed else math.inf

    def held_out_scores(self, by: str) -> np.ndarray:
        """Return the scores that p-values are based on, sorted; for `typical`, those of images it was not fitted to."""
        if by not in self._held_out_scores:
            components = self.components[~self._fitting] if by == "typical" else self.components
            scores = self.scores(components, by)
            self._held_out_scores[by] = np.sort(scores[~np.isnan(scores)])
        return self._held_out_scores[by]

    def count(self, by: str) -> int:
        """Return the number of images that a method's p-values are based on: the smallest is 1 / (count + 1)."""
        return len(self.held_out_scores(by))

    def words(self, by: str) -> str:
        """Describe how many good pictures a method is calibrated with, and their purpose."""
        known, count = int((~np.isnan(self.columns([by if by in self.names else self.names[0]]))).sum()), self.count(by)
        if known == count:
            return f"{count} good pictures"
        return f"{known} good pictures ({known - count} to weigh the parts of a score, {count} for p-values)"

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
    """Distance of a picture's statistics from those of typical ones: the sum of several kinds of evidence.

    Two-sided statistics, which can be too small or too large, are mapped by their quantiles to normal variables, and
    these to one Mahalanobis distance, with the covariance of Ledoit & Wolf (2004). This distance, and every one-sided
    statistic, which can only be too large, is mapped by its own quantiles to a p-value: the score is Σ −log p (Fisher
    1932, section 21.1). One-sided statistics would be drowned out in a common distance, in which their small values
    would count as unusual as well.
    """

    def __init__(self, components: np.ndarray, two_tailed: list[int], one_tailed: list[int]) -> None:
        from sklearn.covariance import LedoitWolf

        self.two_tailed, self.one_tailed = two_tailed, one_tailed
        self.maps = {column: _NormalMap(components[:, column]) for column in two_tailed + one_tailed}
        self.covariance = LedoitWolf(assume_centered=True).fit(self._normal(components))
        self.distance_map = _NormalMap(self._distances(components))

    def scores(self, components: np.ndarray) -> np.ndarray:
        """Score pictures from their components: (pictures, components) → (pictures,), in nats."""
        from scipy.stats import norm

        evidence = [self.distance_map(self._distances(components))]
        evidence += [self.maps[column](components[:, column]) for column in self.one_tailed]
        return -norm.logsf(evidence).sum(axis=0)

    def _normal(self, components: np.ndarray) -> np.ndarray:
        return np.stack([self.maps[column](components[:, column]) for column in self.two_tailed], axis=1)

    def _distances(self, components: np.ndarray) -> np.ndarray:
        return np.sqrt(self.covariance.mahalanobis(self._normal(components)))


class _NormalMap:
    """A map from numbers to normal variables by the quantiles of a sample, linear beyond its extremes.

    Each line continues from an extreme with the slope from the median to there, so that values farther out are always
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


class Calibrated(Protocol):
    """The part of a `vaetool.scoring.scorer.Scorer` that is needed here."""

    kind: ClassVar[str]
    methods: tuple[str, ...]
    default_method: str

    @property
    def calibration(self) -> Calibration | None:
        """Scores of good pictures, and how they were measured."""


def calibration_of(model: Calibrated, by: str | None) -> tuple[str, Calibration]:
    """Return a model's method, its own choice if `by` is None, and its calibration.

    Raises UsageError if it has no such method, or is not calibrated for it.
    """
    chosen = model.default_method if by is None else by
    if chosen not in model.methods:
        raise UsageError(f"no method {chosen!r} for this {model.kind}; there are: {', '.join(model.methods)}")
    calibration = model.calibration
    needed = TYPICAL if chosen == "typical" else (chosen,)
    if calibration is None or not set(needed) <= set(calibration.names):
        raise UsageError(
            f"this {model.kind} model was not calibrated: the good pictures that it was trained with were too few, or "
            "look too much alike; train it with more"
        )
    return chosen, calibration


def usual_alpha(n: int) -> float:
    """Return the default level for p-values from n images: .05, or the smallest that they resolve."""
    return max(ALPHA, 1 / (n + 1))


def check_alpha(alpha: float, n: int) -> None:
    """Raise UsageError if alpha is not between 0 and 1, or cannot be resolved by n images."""
    if not 0 < alpha < 1:
        raise UsageError(f"alpha is a probability between 0 and 1, not {alpha:g}")
    if rank(alpha, n) == 0:
        raise UsageError(
            f"alpha {alpha:g} is too small: p-values come from {n} good images here, and the smallest one possible is "
            f"1/{n + 1} = {1 / (n + 1):.2g}. Take a larger alpha, or more good images, so that "
            f"p-values come from {math.ceil(1 / alpha) - 1} or more"
        )


def rank(alpha: float, n: int) -> int:
    """Count the p-values 1/(n + 1) ... 1 that are at most alpha; 1: an outlier is less usual than all n images."""
    return int(np.count_nonzero(np.arange(1, n + 2) / (n + 1) <= alpha))


def false_alarm_rate(alpha: float, n: int) -> float:
    """Return the share of good pictures that p ≤ alpha calls outliers, on average over calibrations with n images."""
    return rank(alpha, n) / (n + 1)


def false_alarm_bound(alpha: float, n: int) -> float:
    """Return the largest share of good pictures that p ≤ alpha calls outliers in 95 % of calibrations with n images.

    Over calibrations the share follows Beta(k, n + 1 − k), k = ⌊alpha (n + 1)⌋ (Vovk 2012, proposition 2a).
    """
    from scipy.stats import beta

    allowed = rank(alpha, n)
    return float(beta.ppf(0.95, allowed, n + 1 - allowed)) if allowed else 0.0


def benjamini_hochberg(p: np.ndarray, fdr: float) -> np.ndarray:
    """Return a mask of outliers, (pictures,) bool, of which on average at most a share `fdr` are good after all.

    Benjamini & Hochberg 1995; valid for conformal p-values (Bates et al. 2023, theorem 2).
    Raises UsageError.
    """
    if not 0 < fdr < 1:
        raise UsageError(f"the false discovery rate is a share between 0 and 1, not {fdr:g}")
    from scipy.stats import false_discovery_control  # half a second to import, spent only where it is needed

    p = np.asarray(p, np.float64)
    return false_discovery_control(p) <= fdr if len(p) else np.zeros(0, bool)


class Level:
    """The level up to which p-values make outliers: alpha, or what a false discovery rate of the batch allows."""

    def __init__(self, alpha: float | None, fdr: float | None, count: int) -> None:
        """Raise UsageError for a level that p-values from `count` pictures cannot resolve."""
        self.fdr = fdr
        chosen = alpha if fdr is None else fdr
        self.alpha = usual_alpha(count) if chosen is None else chosen
        check_alpha(self.alpha, count)

    def threshold(self, p_values: np.ndarray) -> float:
        """Return the largest p-value that makes an outlier; -1 if none does."""
        if self.fdr is None:
            return self.alpha
        return float(p_values[benjamini_hochberg(p_values, self.fdr)].max(initial=-1.0))

    def words(self, calibration: Calibration, by: str) -> str:
        """Describe what the level promises with a calibration."""
        if self.fdr is not None:
            promise = (
                f"false discovery rate {self.fdr:g}: of 100 pictures reported as outliers, {100 * self.fdr:.3g} or "
                "fewer are good ones, on average over batches"
            )
        else:
            count = calibration.count(by)
            mean, bound = false_alarm_rate(self.alpha, count), false_alarm_bound(self.alpha, count)
            promise = (
                f"alpha {self.alpha:g}: of 100 good pictures, about {100 * mean:.2g} are called outliers, and no more "
                f"than {100 * bound:.2g}, with a confidence of 95 %"
            )
        return f"{promise}; calibrated with {calibration.words(by)}"


def drift(p: np.ndarray) -> str | None:
    """Return a warning if so many pictures of a batch look unusual that good pictures may have changed, else None."""
    if len(p) < MIN_FOR_DRIFT or np.median(p) >= LOW_MEDIAN:
        return None
    return (
        f"the median p-value of these {len(p)} pictures is {np.median(p):.2g}, where .5 is usual: unless most of them "
        "are outliers, good pictures have changed since the calibration: p-values are unreliable, and "
        "more of the good ones may be called outliers than alpha promises"
    )
