"""Scoring a batch for `vaetool score`: scores in the order of the files, then a conclusion from all of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vaetool.cli.engine_options import Engine
from vaetool.cli.engines import spread
from vaetool.cli.options import BatchOptions
from vaetool.cli.pairing import Pairing
from vaetool.cli.verdicts import DEFAULT_ORDER, Order, Tally, Verdicts, tell_evaluation
from vaetool.errors import FileError
from vaetool.files.batch import Read, ends_a_run, read_all
from vaetool.files.console import Report
from vaetool.files.mask_folder import MaskFolder
from vaetool.files.planning import OnExisting
from vaetool.files.remote import Place
from vaetool.files.writing import write_atomically
from vaetool.images.conversion import from_unit, shrunk, to_unit
from vaetool.nn.base import Framing
from vaetool.scoring import heatmaps
from vaetool.scoring.calibration import Level, calibration_of, drift
from vaetool.scoring.curves import draw_curves
from vaetool.scoring.detection import Score, score
from vaetool.scoring.doubts import doubts, fitted_to, too_few_for
from vaetool.scoring.evaluation import Evaluation, PixelTally, evaluate
from vaetool.scoring.labels import Labels, mask_for
from vaetool.scoring.report import Page, ReportRow, thumbnail
from vaetool.scoring.scorer import Scorer

if TYPE_CHECKING:
    from vaetool.files.inputs import Source
    from vaetool.files.planning import Job
    from vaetool.images import Picture
    from vaetool.images.sources import Contents

BATCH_WITH_MAPS = 4
"""Number of pictures scored together where maps are wanted: they stay in memory until their maps are there."""

BATCH = 16
"""Number of pictures scored together: no line of output waits for more."""

OUTLIERS_FOUND = 3


@dataclass
class ScoredFile:
    """A file, what is kept of its picture for the page, and its score, which is None if it failed or is skipped."""

    file: Read[Picture]
    label: bool | None = None
    thumbnail: bytes = b""
    heat: bytes = b""
    score: Score | None = None
    is_good: bool = False  # one of those that the model was fitted to
    picture: Picture | None = None  # as long as it is needed


class Look:
    """Options for processing a picture besides scoring it.

    good: the pictures that the model was fitted to, which are counted. masks: compared with maps. heatmaps: write
    them to the outputs of the jobs, as numbers if `raw`. page: keep what the page shows.
    """

    def __init__(
        self,
        model: Scorer,
        known: Labels | None,
        *,
        good: Contents | None,
        masks: MaskFolder | None,
        heatmaps: bool,
        raw: bool,
        page: bool,
    ) -> None:
        self.model, self.known, self.good, self.masks = model, known, good, masks
        self.heatmaps, self.raw, self.page = heatmaps, raw, page
        self.has_maps = model.has_maps and (heatmaps or masks is not None or page)
        self.pixels = PixelTally()
        self.outliers_without_mask = 0

    @property
    def batch(self) -> int:
        """The number of pictures scored together."""
        return BATCH_WITH_MAPS if self.has_maps else BATCH

    def before(self, scored: ScoredFile, picture: Picture) -> None:
        """Extract what is needed of a picture before it is scored."""
        scored.label = self.known.of(scored.file.job.source) if self.known else None
        scored.is_good = self.good is not None and picture.origin is not None and picture.origin in self.good
        if self.page:
            is_cut = self.model.framing is Framing.MIDDLE_SQUARE and not self.model.has_modalities
            scored.thumbnail = thumbnail(picture.visible_pixels(), square=is_cut)
        if self.has_maps and (self.heatmaps or self.page):
            scored.picture = picture

    def after(self, scored: ScoredFile, heat: np.ndarray) -> None:
        """Use the map of a scored picture; a failure, with its mask for instance, is an error of its file."""
        job, picture, scored.picture = scored.file.job, scored.picture, None
        if self.masks is not None:
            self._compare(heat, job.source, scored.label)
        if picture is not None and self.heatmaps and isinstance(job.output, Place):
            write_atomically(job.output, self._heatmap(picture, heat), replace=job.on_existing is OnExisting.REPLACE)
        if picture is not None and self.page:
            seen = self._as_seen(picture)
            scored.heat = thumbnail(heatmaps.overlay(seen, heatmaps.resized(heat, *seen.shape[:2])), square=False)

    def _as_seen(self, picture: Picture) -> np.ndarray:
        """Return a picture as small as the model sees it, in its own shape."""
        if self.model.framing is Framing.SQUEEZED:
            return shrunk(picture.visible_pixels(), self.model.config.size, self.model.config.channels)
        return from_unit(self.model.prepare(picture).permute(1, 2, 0).numpy(), np.dtype(np.uint8))

    def _heatmap(self, picture: Picture, heat: np.ndarray) -> bytes:
        pixels = from_unit(to_unit(picture.visible_pixels()), np.dtype(np.uint8))
        if self.raw:
            return heatmaps.raw_png(heatmaps.resized(heat, *pixels.shape[:2]))
        return heatmaps.overlay_png(pixels, heat)

    def _compare(self, heat: np.ndarray, source: object, label: bool | None) -> None:
        assert self.masks is not None
        if label is False:  # a mask of that name, if there is one, is of an outlier
            self.pixels.add(heat, np.zeros(heat.shape, bool))
            return
        path = self.masks.of(source)
        if path is None:
            self.outliers_without_mask += label is True
            return
        mask = mask_for(self.model, path)
        if mask.shape != heat.shape:
            raise FileError(f"its mask {path} has a different shape")
        self.pixels.add(heat, mask)


def score_files(
    model: Scorer, files: Iterator[Read[Picture]], look: Look, *, by: str, alpha: float
) -> Iterator[ScoredFile]:
    """Score files and yield all in order; few are in memory at a time, and only as the model prepares them."""
    for first in files:
        waiting: deque[ScoredFile] = deque()
        chunk = chain([first], islice(files, look.batch - 1))
        for result in score(model, _pictures(chunk, look, waiting), by=by, alpha=alpha, maps=look.has_maps):
            while _has_no_score(waiting[0]):
                yield waiting.popleft()
            scored = waiting.popleft()
            with scored.file.attempt():
                if result.heat is not None:
                    look.after(scored, result.heat)
                scored.score = replace(result, heat=None)
            yield scored
        yield from waiting


def _pictures(files: Iterable[Read[Picture]], look: Look, waiting: deque[ScoredFile]) -> Iterator[Picture]:
    """Yield the readable pictures; append all files to `waiting`."""
    for file in files:
        scored, picture, file.value = ScoredFile(file), file.value, None
        waiting.append(scored)
        if picture is None:
            continue
        with file.attempt():
            look.before(scored, picture)
        if file.error is None:
            yield picture


def _has_no_score(scored: ScoredFile) -> bool:
    return scored.file.error is not None or scored.file.job.skip


class Session:
    """One run of the command.

    Raises UsageError for a method that the model lacks, and a level (alpha, or a false discovery rate) that its
    calibration cannot resolve.
    """

    def __init__(
        self,
        run: BatchOptions,
        model: Scorer,
        by: str | None,
        alpha: float | None,
        fdr: float | None,
        order: Order = DEFAULT_ORDER,
        copies: Mapping[Source, Place] | None = None,
    ) -> None:
        self.run, self.model, self.order, self.copies = run, model, order, copies or {}
        self.by, self.calibration = calibration_of(model, by)
        self.level = Level(alpha, fdr, self.calibration.count(self.by))
        self.promise = self.level.words(self.calibration, self.by)
        self.doubts = doubts(model, self.calibration, self.by, self.level)
        self.report = Report(run.console)
        self.tally = Tally()
        self.heatmaps_written = self.good = 0
        self.page = Page()

    def work(self, jobs: Iterable[Job], look: Look, pairs: Pairing | None = None) -> Verdicts:
        """Score the pictures of all jobs, or their pairs, and report verdicts, keeping no picture in memory."""
        console = self.run.console
        console.say(self.promise)
        for doubt in self.doubts:
            console.warn(doubt)
        at_once = self.level.fdr is None and not self.order.sorted
        verdicts = Verdicts(
            self.report,
            at_once=at_once,
            lines=look.known is None,
            order=self.order,
            copies=self.copies,
            replace=self.run.force,
        )
        with self.report.over(0 if console.is_read_on_terminal else None):
            for scored in self._scored(jobs, look, pairs):
                self._take(scored, verdicts, listed=look.page)
                if ends_a_run(scored.file):
                    break
            verdicts.tell_waiting(self.level.threshold(self.tally.arrays()[1]))
        return verdicts

    def _scored(self, jobs: Iterable[Job], look: Look, pairs: Pairing | None) -> Iterator[ScoredFile]:
        """Yield the files of all jobs with their scores, from this process or the workers of a cluster."""
        model, by, alpha = self.model, self.by, self.level.alpha

        def work(run: BatchOptions, jobs: Iterable[Job]) -> Iterator[ScoredFile]:
            read: Callable[[Path | bytes], Any] = run.read_picture if pairs is None else pairs.read
            files = read_all(jobs, read, threads=run.threads)
            return score_files(model, files, look, by=by, alpha=alpha)

        if self.run.engine is Engine.LOCAL:
            return work(self.run, jobs)

        def start(run: BatchOptions) -> Callable[[Sequence[Job]], list[ScoredFile]]:
            model.to(run.device)
            return lambda jobs: list(work(run, jobs))

        return spread(self.run, jobs, start, lambda job, error: ScoredFile(Read(job, error=error)), at_once=look.batch)

    def _take(self, scored: ScoredFile, verdicts: Verdicts, *, listed: bool) -> None:
        job, result = scored.file.job, scored.score
        if scored.file.error is not None:
            self.report.failed(job.source, scored.file.error)
        elif result is None:
            self.report.skipped(job.source, job.output)
        else:
            self.tally.add(result.score, result.p_value, scored.label)
            self.heatmaps_written += job.output is not None
            self.good += scored.is_good
            verdicts.take(scored.file, result, scored.label)
            if listed:
                pictures = (scored.thumbnail, scored.heat)
                self.page.add(
                    ReportRow(str(job.source), result.score, result.p_value, result.components, scored.label, *pictures)
                )

    def conclude(self, verdicts: Verdicts, look: Look, page: Path | None, roc: Path | None, title: str) -> None:
        """Report the conclusions from all scores: an evaluation where labels are known, a page, a plot, a warning."""
        console, (scores, p_values, labels) = self.run.console, self.tally.arrays()
        if not len(scores):
            if not self.report.exit_code:
                console.say("no files: nothing to do")
            return
        evaluation = self._evaluation(scores, p_values, labels, look) if look.known else None
        found = f"outliers: {verdicts.outliers} of {len(scores)} pictures"
        told = (
            drift(p_values[labels != 1]),
            fitted_to(self.good, len(scores)),
            too_few_for(self.level, p_values, self.calibration.count(self.by)),
        )
        warnings = [*filter(None, told)]
        console.say(found)
        for warning in warnings:
            console.warn(warning)
        known = labels >= 0
        if evaluation is not None:
            tell_evaluation(console, evaluation)
            if roc is not None:
                write_atomically(
                    roc,
                    draw_curves(scores[known], labels[known] == 1, evaluation, format=roc.suffix[1:]),
                    replace=self.run.force,
                )
                console.say(f"wrote {roc}")
        if page is not None:
            facts = [f"{words}." for words in (f"By {self.by}; {self.promise}", *self.doubts, found, *warnings)]
            content = self.page.write(
                title,
                facts,
                calibration=self.calibration,
                by=self.by,
                threshold=self.level.threshold(p_values),
                scores=scores,
                p_values=p_values,
                labels=labels,
                evaluation=evaluation,
            )
            write_atomically(page, content, replace=self.run.force)
            console.say(f"wrote {page}")

    def exit_code(self, verdicts: Verdicts, *, fail_on_outlier: bool) -> int:
        """Return 1 if a file failed, 3 if there are outliers and `fail_on_outlier` is set, else 0; say if both hold."""
        if fail_on_outlier and verdicts.outliers:
            self.report.code_when_done = OUTLIERS_FOUND
            if failed := self.report.failed_count:
                code = f"exit code {self.report.exit_code}, not {OUTLIERS_FOUND}"
                self.run.console.error(f"{code}: {failed} failed; outliers among the others: {verdicts.outliers}")
        return self.report.exit_code

    def _evaluation(self, scores: np.ndarray, p_values: np.ndarray, labels: np.ndarray, look: Look) -> Evaluation:
        known = labels >= 0
        left_out = {"have no label": int((~known).sum()), "outliers have no mask": look.outliers_without_mask}
        for words, count in left_out.items():
            if count:
                self.run.console.warn(f"{count} {words}, and are left out of the evaluation")
        verdicts = p_values[known] <= self.level.threshold(p_values)
        return evaluate(scores[known], labels[known] == 1, verdicts, look.pixels if look.masks else None)
