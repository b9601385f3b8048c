"""The report of a batch as one page: worst first, with pictures, and the terms of each score and their meaning.

The page is self-contained: it includes style, script, plots and pictures, and its policy forbids network access.
"""

from __future__ import annotations

import base64
import heapq
import io
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image, ImageOps

from vaetool.errors import one_line
from vaetool.images.picture import as_pillow, rescale
from vaetool.scoring.calibration import Calibration
from vaetool.scoring.curves import draw_curves, draw_histogram
from vaetool.scoring.evaluation import Evaluation

MAX_ROWS = 10_000
"""Maximum number of images that a page lists: those with the highest scores. Its figures cover all images."""

THUMBNAIL = 128
"""Longest side of thumbnails in pixels; pictures are never enlarged."""

LOSSLESS = 64
"""Size, in pixels, up to which pictures are shown losslessly."""


@dataclass(frozen=True)
class ReportRow:
    """One image on the page. label: whether it is an outlier, if that is known. thumbnail, heat: WebP files."""

    path: str
    score: float
    p_value: float
    components: Mapping[str, float]
    label: bool | None = None
    thumbnail: bytes = b""
    heat: bytes = b""


class Page:
    """Collector of the images of a batch, of which it keeps those to list, and writer of the page."""

    def __init__(self) -> None:
        self.count = 0
        self._worst: list[tuple[float, int, ReportRow]] = []  # a heap: the least unusual of those kept comes first

    def add(self, entry: ReportRow) -> None:
        """Add the next image of the batch."""
        self.count += 1
        item = (entry.score, -self.count, entry)
        if len(self._worst) < MAX_ROWS:
            heapq.heappush(self._worst, item)
        else:
            heapq.heappushpop(self._worst, item)

    def write(
        self,
        title: str,
        facts: Iterable[str],
        *,
        calibration: Calibration,
        by: str,
        threshold: float,
        scores: np.ndarray,
        p_values: np.ndarray,
        labels: np.ndarray,
        evaluation: Evaluation | None = None,
    ) -> bytes:
        """Write the page and return it as UTF-8.

        facts: sentences under the title. by: the method of the scores. threshold: the largest p-value of an outlier,
        below 0 if there is none. scores, p_values, labels: of all images, (images,) each; a label is 1 for an outlier,
        0 for a normal image, -1 if unknown. evaluation: of the images with known labels.
        """
        entries = [entry for *_, entry in sorted(self._worst, key=lambda item: item[:2], reverse=True)]
        held_out = calibration.held_out_scores(by)
        histogram = draw_histogram(held_out, scores, p_values <= threshold, format="svg")
        plots = [_Plot("Scores", _words(held_out, scores), _base64(histogram))]
        if evaluation is not None:
            known = labels >= 0
            curves = draw_curves(scores[known], labels[known] == 1, evaluation, format="svg")
            words = "ROC and precision-recall curves"
            plots.append(_Plot("Evaluation", words, _base64(curves), evaluation.words()))
        if self.count > len(entries):
            facts = [*facts, f"Only the {len(entries)} with the highest scores are listed; the figures cover all."]
        page = resources.files("vaetool.scoring").joinpath("report.html").read_text(encoding="utf-8")
        template = Environment(autoescape=True, undefined=StrictUndefined).from_string(page)
        return template.render(
            title=one_line(title),
            facts=[one_line(fact) for fact in facts],
            plots=plots,
            data=_data(entries, calibration, threshold),
        ).encode("utf-8", "replace")


def thumbnail(pixels: np.ndarray, *, square: bool) -> bytes:
    """Encode pixels, (height, width, 1 or 3) of any type, as a small WebP; square: only the middle square.

    It is shrunk to 128 pixels on its longer side; pictures of at most 64 are kept as they are.
    """
    image = as_pillow(rescale(pixels, np.uint8))
    if square:
        side = min(THUMBNAIL, *image.size)
        image = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    lossless = max(image.size) <= LOSSLESS
    image.save(file := io.BytesIO(), "WEBP", lossless=lossless, quality=0 if lossless else 75, method=1)
    return file.getvalue()


def _data(entries: list[ReportRow], calibration: Calibration, threshold: float) -> str:
    """Return the data for the page's script, as JSON that cannot close its own element."""
    names = [name for name in calibration.names if any(name in entry.components for entry in entries)]
    columns = {name: calibration.components[:, calibration.names.index(name)] for name in names}
    known = {name: np.sort(column[~np.isnan(column)]) for name, column in columns.items()}

    def rank(name: str, value: float) -> float | None:
        """Return the share of calibration images in which a component is smaller."""
        if math.isnan(value) or not len(known[name]):
            return None
        return round(float(known[name].searchsorted(value) / len(known[name])), 4)

    def row(entry: ReportRow) -> list[Any]:
        terms = [entry.components.get(name, math.nan) for name in names]
        ranks = [rank(name, value) for name, value in zip(names, terms, strict=True)]
        pictures = [_base64(data) or None for data in (entry.thumbnail, entry.heat)]
        outlier = bool(entry.p_value <= threshold)
        numbers = [_finite(number) for number in (entry.score, entry.p_value)]
        return [entry.path, *numbers, outlier, entry.label, [_finite(term) for term in terms], ranks, *pictures]

    values = {
        "terms": names,
        "labelled": any(entry.label is not None for entry in entries),
        "rows": [row(entry) for entry in entries],
    }
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _finite(number: float) -> float | None:
    return float(f"{number:.6g}") if math.isfinite(number) else None


class _Plot(NamedTuple):
    heading: str
    words: str  # for those who cannot see it
    svg: str  # in base64
    figures: Mapping[str, str] = MappingProxyType({})


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _words(held_out: np.ndarray, scores: np.ndarray) -> str:
    """Describe a histogram for those who cannot see it."""

    def span(values: np.ndarray) -> str:
        if not len(values):
            return "none"
        low, middle, high = (f"{value:.4g}" for value in np.quantile(values, [0.05, 0.5, 0.95]))
        return f"median {middle}, nine in ten from {low} to {high}"

    return f"Histogram of scores. Calibration images: {span(held_out)}. These images: {span(scores)}."
