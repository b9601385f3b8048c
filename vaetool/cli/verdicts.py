"""What `vaetool score` prints: a line for each picture as soon as its verdict is known, and figures of the batch."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vaetool.cli.facts import Lines
from vaetool.files.console import Console, Report

if TYPE_CHECKING:
    import numpy as np

    from vaetool.files.planning import Job
    from vaetool.scoring.detection import Score
    from vaetool.scoring.evaluation import Evaluation

OUTLIER, NORMAL = "outlier", "normal"
UNKNOWN = -1


class Tally:
    """All scores, p-values and labels of a batch: seventeen bytes for each picture."""

    def __init__(self) -> None:
        self._scores, self._p_values, self._labels = array("d"), array("d"), array("b")

    def add(self, score: float, p_value: float, label: bool | None) -> None:
        """Add the score, p-value and label of the next picture."""
        self._scores.append(score)
        self._p_values.append(p_value)
        self._labels.append(UNKNOWN if label is None else label)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores, p-values, and labels (1: outlier, 0: normal, -1: not known), (pictures,) each.

        A score that is no number counts as the most unusual.
        """
        import numpy as np

        largest = float(np.finfo(np.float32).max)
        scores = np.nan_to_num(np.array(self._scores), nan=largest, posinf=largest, neginf=-largest)
        return scores, np.array(self._p_values), np.array(self._labels)


@dataclass(frozen=True)
class Waiting:
    """A score whose verdict is not known yet."""

    job: Job
    score: Score
    label: bool | None
    warnings: tuple[str, ...]


class Verdicts:
    """Reporter of verdicts.

    at_once: the verdict of a score is final, and reported as it comes; if not, `settle` reports all, by the p-value up
    to which they are outliers. lines: whether pictures get lines of their own where there is no --json.
    """

    def __init__(self, report: Report, *, at_once: bool, lines: bool) -> None:
        self.report = report
        self.at_once = at_once
        self.lines = lines
        self.outliers = 0
        self._lines = Lines(report.console, {"score": ">11", "p-value": ">9", "verdict": "<7", "file": ""})
        self._waiting: list[Waiting] = []

    def take(self, job: Job, score: Score, label: bool | None, warnings: tuple[str, ...]) -> None:
        """Take the next score, and report its verdict if that is final."""
        self._waiting.append(Waiting(job, score, label, warnings))
        if self.at_once:
            self._tell(self._waiting.pop(), score.outlier)

    def settle(self, threshold: float) -> None:
        """Report the verdicts that waited for the last score."""
        for waiting in self._waiting:
            self._tell(waiting, waiting.score.p_value <= threshold)
        self._waiting = []

    def _tell(self, what: Waiting, outlier: bool) -> None:
        self.outliers += outlier
        score, console = what.score, self.report.console
        facts: dict[str, Any] = {"score": score.score, "p_value": score.p_value, "outlier": outlier, "by": score.by}
        if what.label is not None:
            facts["label"] = _word(what.label)
        if console.json:
            facts["components"] = score.components
        elif self.lines:
            cells = (f"{score.score:.5g}", f"{score.p_value:.4g}", _word(outlier), str(what.job.source))
            self._lines.add(*cells, style="red" if outlier else None)
        self.report.done(what.job.source, what.job.output, facts, warnings=what.warnings)


def tell_evaluation(console: Console, evaluation: Evaluation) -> None:
    """Print the figures on stdout: lines of names and values, a table on a terminal, or one more object with --json."""
    if console.json:
        console.record({"evaluation": evaluation.facts()})
        return
    figures = evaluation.words()
    width = max(map(len, figures)) + 2
    for name, value in figures.items():
        console.data(f"{name:<{width}}{value}" if console.is_read_on_terminal else f"{name}\t{value}")


def _word(outlier: bool) -> str:
    return OUTLIER if outlier else NORMAL
