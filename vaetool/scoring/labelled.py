"""A score learnt from a few pictures known to be bad: the weight of each component.

The score is a logistic regression on the logarithms of the components, shrunk towards the default weights, which apply
without bad pictures: the fewer there are, the closer it stays to these.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

PRIOR = 2.0
"""Weight, in pictures, of the prior for the default weights."""

UNSHRUNK = 100.0
"""Scale of the default weighted sum, so large that the prior hardly shrinks it."""

FOLDS = 10

FEWEST = 8
"""Minimum number of bad pictures for learning weights."""

CLEARLY = 1.0
"""Standard errors of the difference in AUROC (DeLong et al. 1988) by which learnt weights must be better."""


class Weighing(NamedTuple):
    """A weighted sum of components, (pictures, components), of mean 0 and variance 1 for good pictures."""

    weights: np.ndarray  # (components,)
    offset: float

    def __call__(self, components: np.ndarray) -> np.ndarray:
        """Return the sums, (pictures,)."""
        return components @ self.weights + self.offset


class Learnt(NamedTuple):
    """Learnt weights, and the scores of the pictures they were learnt from, each by weights learnt without it."""

    weighing: Weighing
    good: np.ndarray
    bad: np.ndarray
    is_plain: bool = False  # the default weights were kept

    def words(self, names: Iterable[str]) -> str:
        """Describe the learnt weights in words; names: of the components."""
        count = len(self.bad)
        if self.is_plain:
            why = f"{FEWEST} are needed" if count < FEWEST else "no others are clearly better"
            return f"nothing learnt from {count} bad pictures, all weights stay as they are: {why}"
        shares = self.weighing.weights / np.abs(self.weighing.weights).sum()
        parts = ", ".join(f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True))
        return f"learnt from {count} bad pictures: weights {parts}"


def learn(good: np.ndarray, bad: np.ndarray, usual: Sequence[float]) -> Learnt:
    """Learn the weights of the components that tell bad pictures from good ones.

    good, bad: logarithms of the components, (pictures, components). usual: the default weights, which are kept unless
    others are clearly better on pictures they were not learnt from.
    """
    weights = np.array(usual, np.float64)
    otherwise = _standardised(weights, good)
    plain = Learnt(otherwise, otherwise(good), otherwise(bad), is_plain=True)
    if len(bad) < FEWEST:
        return plain
    learnt = Learnt(_regression(good, bad, weights), *_scores_left_out(good, bad, weights))
    better = _places(learnt) - _places(plain)
    return learnt if better.mean() > CLEARLY * better.std(ddof=1) / len(bad) ** 0.5 else plain


def _places(learnt: Learnt) -> np.ndarray:
    """Return, for each bad picture, the share of good ones with lower scores: the mean is the AUROC."""
    ordered = np.sort(learnt.good)
    return np.searchsorted(ordered, learnt.bad) / len(ordered)


def _scores_left_out(good: np.ndarray, bad: np.ndarray, usual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of good and of bad pictures, each by weights learnt from the other folds."""
    folds = min(FOLDS, len(bad))
    scores = np.empty(len(good)), np.empty(len(bad))
    for fold in range(folds):
        here = [np.arange(len(part)) % folds == fold for part in (good, bad)]
        weighing = _regression(good[~here[0]], bad[~here[1]], usual)
        for part, chosen, result in zip((good, bad), here, scores, strict=True):
            result[chosen] = weighing(part[chosen])
    return scores


def _regression(good: np.ndarray, bad: np.ndarray, usual: np.ndarray) -> Weighing:
    """Return the weights of a logistic regression in which all good pictures together count as much as all bad ones."""
    from sklearn.linear_model import LogisticRegression

    values = np.concatenate([good, bad]) - good.mean(axis=0)
    is_bad = np.arange(len(values)) >= len(good)
    spread = np.maximum(good.std(axis=0), 1e-6)
    common = values @ usual[:, None]
    scale = UNSHRUNK / max(common[~is_bad].std(), 1e-6)
    shares = usual / usual.sum()
    deviations = values / spread - np.where(usual, (values / spread) @ shares[:, None], 0)
    fitted = LogisticRegression(C=1 / PRIOR, max_iter=1000)
    fitted.fit(
        np.hstack([common * scale, deviations]), is_bad, sample_weight=np.where(is_bad, 1.0, len(bad) / len(good))
    )
    of_common, of_deviations = fitted.coef_[0, 0], fitted.coef_[0, 1:]
    of_deviations = of_deviations - shares * of_deviations[usual != 0].sum()
    return _standardised(of_common * scale * usual + of_deviations / spread, good)


def _standardised(weights: np.ndarray, good: np.ndarray) -> Weighing:
    sums = good @ weights
    spread = max(float(sums.std()), 1e-9)
    return Weighing(weights / spread, -float(sums.mean()) / spread)
