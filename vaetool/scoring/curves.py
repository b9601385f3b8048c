"""Plots of scores: ROC and precision-recall curves, and a comparison with the scores of calibration images."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from vaetool.images.plotting import empty_figure
from vaetool.scoring.evaluation import Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 60
NORMAL, OUTLIER, CALIBRATION = "C0", "C3", "grey"


def draw_curves(scores: np.ndarray, labels: np.ndarray, evaluation: Evaluation, *, format: str = "png") -> bytes:  # noqa: A002
    """Draw ROC and precision-recall curves side by side, as PNG or SVG; evaluation: of the same scores."""
    figure = empty_figure(9, 4.4)
    left, right = figure.subplots(1, 2)
    _roc(left, scores, labels, evaluation)
    _precision_recall(right, scores, labels, evaluation)
    return _encode(figure, format)


def draw_histogram(
    calibration: np.ndarray,
    scores: np.ndarray,
    outliers: np.ndarray,
    *,
    format: str = "png",  # noqa: A002
) -> bytes:
    """Draw a histogram of scores, with those of images called outliers apart, and of calibration scores; PNG or SVG.

    calibration: (calibration images,); scores, outliers: (images,). Bars are shares of images, not counts, since the
    numbers of images and of calibration images have nothing to do with each other.
    """
    figure = empty_figure(9, 3)
    axes = figure.subplots()
    edges = _edges(calibration, scores)
    parts = [scores[~outliers], scores[outliers]]
    weights = [np.full(len(part), 1 / max(1, len(scores))) for part in parts]
    clipped = [part.clip(edges[0], edges[-1]) for part in parts]
    names = ["normal", "outlier"]
    axes.hist(clipped, edges.tolist(), weights=weights, stacked=True, color=[NORMAL, OUTLIER], label=names)
    shares = np.histogram(calibration.clip(edges[0], edges[-1]), edges)[0] / len(calibration)
    axes.stairs(shares, edges, color=CALIBRATION, linewidth=1.5, label="calibration images")
    axes.set_xlabel("score (the outermost bars include all beyond them)")
    axes.set_ylabel("share of images")
    axes.legend(frameon=False, loc="upper right")  # where there is most room takes seconds to find
    return _encode(figure, format)


def _edges(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return bin edges over all scores, at a scale that a few extreme ones do not affect."""
    low, high = float(calibration.min()), float(calibration.max())
    span = (high - low) or 1.0
    if len(scores):
        low = max(min(low, float(scores.min())), low - span)
        high = min(max(high, float(np.quantile(scores, 0.95))), high + 4 * span)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _roc(axes: Axes, scores: np.ndarray, labels: np.ndarray, evaluation: Evaluation) -> None:
    from sklearn.metrics import roc_curve

    false, true, _ = roc_curve(labels, scores)
    low, high = evaluation.roc_auc_interval
    axes.plot([0, 1], [0, 1], color=CALIBRATION, linewidth=0.8, linestyle=":")
    axes.plot(false, true, color=NORMAL)
    _point(axes, evaluation.at_verdict.false_alarm_rate, evaluation.at_verdict.recall)
    axes.set_title(f"ROC: area {evaluation.roc_auc:.4f} ({low:.4f} to {high:.4f})", fontsize=10)
    axes.set_xlabel("normal images called outliers")
    axes.set_ylabel("outliers found")
    _square(axes)


def _precision_recall(axes: Axes, scores: np.ndarray, labels: np.ndarray, evaluation: Evaluation) -> None:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(labels, scores)
    axes.axhline(labels.mean(), color=CALIBRATION, linewidth=0.8, linestyle=":")
    axes.step(recall, precision, where="post", color=NORMAL)
    _point(axes, evaluation.at_verdict.recall, evaluation.at_verdict.precision)
    axes.set_title(f"Precision and recall: average precision {evaluation.average_precision:.4f}", fontsize=10)
    axes.set_xlabel("outliers found")
    axes.set_ylabel("outliers among those called outliers")
    _square(axes)


def _point(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], "o", color=OUTLIER, markersize=6, clip_on=False, label="the verdicts given")
    axes.legend(frameon=False, loc="lower right", fontsize=8)


def _square(axes: Axes) -> None:
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.01)
    axes.set_aspect("equal")


def _encode(figure: Figure, format_name: str) -> bytes:
    from matplotlib import rc_context

    # The same scores give the same bytes: no date, and no random names inside an SVG.
    dateless = {"Date": None} if format_name == "svg" else None
    with rc_context({"svg.hashsalt": "vaetool"}):
        figure.savefig(buffer := io.BytesIO(), format=format_name, metadata=dateless)
    return buffer.getvalue()
