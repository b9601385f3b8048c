"""Evaluation of how well scores tell outliers from normal images, given labels.

All figures are scikit-learn's; outliers are the positive class, and a higher score means more of an outlier.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vaetool.errors import UsageError

RESAMPLES = 1000
COVERAGE = 0.95
MAX_FPR = 0.3
"""False-positive rate up to which per-region overlap is averaged (Bergmann et al. 2020)."""


@dataclass(frozen=True)
class Confusion:
    """Counts of normal images and outliers by verdict."""

    found: int
    missed: int
    false_alarms: int
    passed: int

    @property
    def precision(self) -> float:
        """Share of outliers among the images called outliers; 0 if there are none."""
        return self.found / max(1, self.found + self.false_alarms)

    @property
    def recall(self) -> float:
        """Share of outliers that were found."""
        return self.found / max(1, self.found + self.missed)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.found / max(1, 2 * self.found + self.missed + self.false_alarms)

    @property
    def false_alarm_rate(self) -> float:
        """Share of normal images that were called outliers."""
        return self.false_alarms / max(1, self.false_alarms + self.passed)

    def facts(self) -> dict[str, Any]:
        """Return counts and rates by name."""
        rates = ("precision", "recall", "f1", "false_alarm_rate")
        return {**vars(self), **{name: getattr(self, name) for name in rates}}

    def words(self) -> str:
        """Describe all counts in words."""
        return (
            f"F1 {self.f1:.4f}: {self.found} outliers found, {self.missed} missed; {self.false_alarms} false alarms, "
            f"{self.passed} normal images passed"
        )


@dataclass(frozen=True)
class Evaluation:
    """Figures of merit of a set of scores; `roc_auc_interval` is a 95 % interval of the area."""

    normal: int
    outliers: int
    roc_auc: float
    roc_auc_interval: tuple[float, float]
    average_precision: float
    fpr_at_95_tpr: float
    best_threshold: float
    at_best_f1: Confusion
    at_verdict: Confusion
    pixel_auroc: float | None = None
    per_region_overlap: float | None = None

    def facts(self) -> dict[str, Any]:
        """Return the figures as plain values for JSON, without unmeasured ones."""
        values = {key: value.facts() if isinstance(value, Confusion) else value for key, value in vars(self).items()}
        return {key: value for key, value in values.items() if value is not None}

    def words(self) -> dict[str, str]:
        """Return all figures in words, by the name to show."""
        low, high = self.roc_auc_interval
        words = {
            "images": f"{self.normal} normal, {self.outliers} outliers",
            "ROC AUC": f"{self.roc_auc:.4f} (95 % interval {low:.4f} to {high:.4f})",
            "average precision": f"{self.average_precision:.4f}",
            "FPR at 95 % TPR": f"{self.fpr_at_95_tpr:.4f}",
            f"best F1, from score {self.best_threshold:.4g} on": self.at_best_f1.words(),
            "verdicts as given": self.at_verdict.words(),
        }
        if self.pixel_auroc is not None:
            words["pixel AUROC"] = f"{self.pixel_auroc:.4f}"
        if self.per_region_overlap is not None:
            words["per-region overlap"] = f"{self.per_region_overlap:.4f}"
        return words


def evaluate(
    scores: np.ndarray, labels: np.ndarray, verdicts: np.ndarray, pixels: PixelTally | None = None
) -> Evaluation:
    """Return the figures of merit of scores, (images,), for images that are outliers where `labels` is true.

    verdicts: mask of images called outliers, at any level. pixels: those of the images with masks.
    Raises UsageError unless there are images of both kinds.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    labels, verdicts = np.asarray(labels, bool), np.asarray(verdicts, bool)
    if labels.all() or not labels.any():
        kinds = "outliers" if labels.any() else "normal images"
        raise UsageError(f"an evaluation needs normal images and outliers; there are {len(labels)} {kinds} alone")
    threshold = best_f1_threshold(scores, labels)
    return Evaluation(
        normal=int((~labels).sum()),
        outliers=int(labels.sum()),
        roc_auc=float(roc_auc_score(labels, scores)),
        roc_auc_interval=roc_auc_interval(scores, labels),
        average_precision=float(average_precision_score(labels, scores)),
        fpr_at_95_tpr=fpr_at_tpr(scores, labels, 0.95),
        best_threshold=threshold,
        at_best_f1=confusion(scores >= threshold, labels),
        at_verdict=confusion(verdicts, labels),
        pixel_auroc=pixels.auroc() if pixels else None,
        per_region_overlap=pixels.per_region_overlap() if pixels else None,
    )


def roc_auc_interval(
    scores: np.ndarray, labels: np.ndarray, *, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float]:
    """Return a 95 % percentile interval of the area under the ROC curve, by a bootstrap within each of the two kinds.

    scores, labels: (images,). The area is the probability that an outlier scores higher than a normal image, ties
    counting half (Mann and Whitney 1947). That needs only counts of each value, so a resample costs no sorting.
    """
    values, places = np.unique(scores, return_inverse=True)
    generator = np.random.default_rng(seed)

    def resample(of: np.ndarray) -> np.ndarray:
        return np.bincount(of[generator.integers(len(of), size=len(of))], minlength=len(values))

    bad, good = places[labels], places[~labels]
    areas = np.empty(resamples)
    for number in range(resamples):
        normal = resample(good)
        areas[number] = resample(bad) @ (normal.cumsum() - normal / 2) / (len(bad) * len(good))
    low, high = np.quantile(areas, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return float(low), float(high)


def fpr_at_tpr(scores: np.ndarray, labels: np.ndarray, tpr: float) -> float:
    """Return the share of normal images above the highest threshold that finds at least a share `tpr` of outliers."""
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(labels, scores, drop_intermediate=False)
    return float(false[np.argmax(true >= tpr)])


def best_f1_threshold(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the score at and above which to call images outliers for the highest F1."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, thresholds = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[np.argmax(f1[:-1])])


def confusion(verdicts: np.ndarray, labels: np.ndarray) -> Confusion:
    """Count images by verdict and label, (images,) each."""
    from sklearn.metrics import confusion_matrix

    ((passed, false_alarms), (missed, found)) = confusion_matrix(labels, verdicts, labels=[False, True]).tolist()
    return Confusion(found, missed, false_alarms, passed)


class PixelTally:
    """Counts of pixels by map value, inside and outside of defects, so that maps and masks need not be kept.

    Values are rounded to half precision, of which there are 65,536: three digits, over their whole range.
    """

    def __init__(self) -> None:
        self.images = 0
        self.regions = 0
        self._normal = np.zeros(BINS)
        self._defect = np.zeros(BINS)
        self._shares = np.zeros(BINS)  # of regions: each weighs the same, however large it is

    def add(self, values: np.ndarray, mask: np.ndarray) -> None:
        """Add an image: its map, (height, width), and the mask of its defects, of the same shape."""
        from scipy.ndimage import label

        levels = _levels(values)
        self.images += 1
        self._normal += np.bincount(levels[~mask], minlength=BINS)
        self._defect += np.bincount(levels[mask], minlength=BINS)
        regions, count = label(mask, structure=np.ones((3, 3)))  # connected at corners, too
        self.regions += count
        sizes = np.bincount(regions.ravel(), minlength=count + 1)
        self._shares += np.bincount(levels[mask], weights=1 / sizes[regions[mask]], minlength=BINS)

    def auroc(self) -> float | None:
        """Return the area under the ROC curve of pixels; None unless there are some in defects and some outside."""
        from sklearn.metrics import roc_auc_score

        if not self._is_comparable:
            return None
        weights = np.concatenate([self._normal, self._defect])
        return float(roc_auc_score(*_TWICE, sample_weight=weights))

    def per_region_overlap(self) -> float | None:
        """Return the mean share of a defect region above the threshold, averaged over thresholds; None as for `auroc`.

        This is the area under the curve of the share, (0..1), against the false-positive rate of pixels up to
        `MAX_FPR`, divided by that (Bergmann et al. 2020). Regions are connected components.
        """
        from sklearn.metrics import auc, roc_curve

        if not self._is_comparable:
            return None
        weights = np.concatenate([self._normal, self._shares])
        false, overlap, _ = roc_curve(*_TWICE, sample_weight=weights, drop_intermediate=False)
        below = false < MAX_FPR
        x = np.append(false[below], MAX_FPR)
        y = np.append(overlap[below], np.interp(MAX_FPR, false, overlap))
        return float(auc(x, y) / MAX_FPR)

    @property
    def _is_comparable(self) -> bool:
        return bool(self._normal.any() and self._defect.any())


BINS = 1 << 16
_TWICE = (np.repeat([0, 1], BINS), np.tile(np.arange(BINS), 2))
"""Labels and scores of a table of counts: every level once outside defects and once inside."""


def _levels(values: np.ndarray) -> np.ndarray:
    """Map values to integers, 0 to 65,535, in the same order: the bits of half precision, flipped if negative."""
    largest = np.finfo(np.float16).max
    bits = np.clip(values, -largest, largest).astype(np.float16).view(np.uint16).astype(np.int64)
    return np.where(bits < BINS // 2, bits + BINS // 2, BINS - 1 - bits)
