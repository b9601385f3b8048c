"""The output of `vaetool score`: a line for each picture as soon as its verdict is known, and figures of the batch."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vaetool.cli.facts import Lines
from vaetool.errors import FileError
from vaetool.files.console import Console, Report
from vaetool.files.remote import location
from vaetool.files.writing import write_atomically

if TYPE_CHECKING:
    import numpy as np

    from vaetool.files.batch import Read
    from vaetool.files.inputs import Source
    from vaetool.files.remote import Place
    from vaetool.scoring.detection import Score
    from vaetool.scoring.evaluation import Evaluation

OUTLIER, NORMAL = "outlier", "normal"
UNKNOWN = -1


class Tally:
    """All scores, p-values and labels of a batch, in seventeen bytes per picture."""

    def __init__(self) -> None:
        self._scores, self._p_values, self._labels = array("d"), array("d"), array("b")

    def add(self, score: float, p_value: float, label: bool | None) -> None:
        """Add the score, p-value and label of the next picture."""
        self._scores.append(score)
        self._p_values.append(p_value)
        self._labels.append(UNKNOWN if label is None else label)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return scores, p-values, and labels (1: outlier, 0: normal, -1: not known), (pictures,) each.

        A score that is not a number counts as the most unusual.
        """
        import numpy as np

        largest = float(np.finfo(np.float32).max)
        scores = np.nan_to_num(np.array(self._scores), nan=largest, posinf=largest, neginf=-largest)
        return scores, np.array(self._p_values), np.array(self._labels)


@dataclass(frozen=True)
class Order:
    """Order and selection of the printed lines.

    sorted: most unusual first, when all scores are known. top: at most this many of these. header: print a line of
    column names first.
    """

    sorted: bool = False
    top: int | None = None
    header: bool = False


DEFAULT_ORDER = Order()


@dataclass(frozen=True)
class Waiting:
    """A score whose verdict is not known yet."""

    file: Read[Any]
    score: Score
    label: bool | None


class Verdicts:
    """Reporter of verdicts.

    at_once: each verdict is final and reported at once; otherwise `tell_waiting` reports all of them, given the p-value
    up to which pictures are outliers. lines: whether pictures get lines of their own without --json. copies: paths that
    the files of outliers are copied to, replacing what is there if `replace`.
    """

    def __init__(
        self,
        report: Report,
        *,
        at_once: bool,
        lines: bool,
        order: Order = DEFAULT_ORDER,
        copies: Mapping[Source, Place] | None = None,
        replace: bool = False,
    ) -> None:
        self.report = report
        self.at_once = at_once
        self.lines = lines
        self.order = order
        self.copies = copies or {}
        self.replace = replace
        self.outliers = self.copied = 0
        columns = {"score": ">11", "p-value": ">9", "verdict": "<7", "file": ""}
        self._lines = Lines(report.console, columns, header=order.header and lines)
        self._waiting: list[Waiting] = []

    def take(self, file: Read[Any], score: Score, label: bool | None) -> None:
        """Take the next score, and report its verdict if that is final."""
        self._waiting.append(Waiting(file, score, label))
        if self.at_once:
            self._tell(self._waiting.pop(), score.outlier)

    def tell_waiting(self, threshold: float) -> None:
        """Report the verdicts that waited for the last score."""
        if self.order.sorted:
            self._waiting.sort(key=lambda waiting: (waiting.score.p_value, -waiting.score.score))
        for number, waiting in enumerate(self._waiting):
            listed = self.order.top is None or number < self.order.top
            self._tell(waiting, waiting.score.p_value <= threshold, listed=listed)
        self._waiting = []

    def _tell(self, what: Waiting, outlier: bool, *, listed: bool = True) -> None:
        self.outliers += outlier
        job = what.file.job
        target = self.copies.get(job.source) if outlier else None
        if target is not None and not self._copy(job.source, target):
            return
        if not listed:
            self.report.counted()
            return
        score, console = what.score, self.report.console
        facts: dict[str, Any] = {"score": score.score, "p_value": score.p_value, "outlier": outlier, "by": score.by}
        if what.label is not None:
            facts["label"] = _word(what.label)
        if target is not None:
            facts["copy"] = str(target)
        if console.json:
            facts |= {"components": score.components, "in_bytes": what.file.in_bytes}
        elif self.lines:
            cells = (f"{score.score:.5g}", f"{score.p_value:.4g}", _word(outlier), str(job.source))
            self._lines.add(*cells, style="red" if outlier else None)
        self.report.done(job.source, job.output, facts, warnings=what.file.warnings)

    def _copy(self, source: Source, target: Place) -> bool:
        """Copy the file of an outlier; if that fails, report it as failed."""
        try:
            write_atomically(target, location(str(source)).read_bytes(), replace=self.replace)
        except (OSError, FileError) as error:
            self.report.failed(source, error)
            return False
        self.copied += 1
        return True


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
