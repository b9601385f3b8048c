"""`vaetool score`: how unusual pictures are, and which of them are outliers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from vaetool.cli.engine_options import Engine
from vaetool.cli.groups import with_options
from vaetool.cli.options import BatchOptions, Inputs
from vaetool.cli.pairing import Pairing
from vaetool.cli.plans import model_files
from vaetool.cli.score_options import (
    FDR,
    ROC,
    Alpha,
    Bad,
    By,
    CopyOutliers,
    FailOnOutlier,
    Good,
    Header,
    Heatmap,
    LabelsFile,
    MasksFolder,
    Model,
    Normal,
    Outlier,
    Raw,
    ReportFile,
    Save,
    Sort,
    Top,
)
from vaetool.errors import UsageError, WrongKindError
from vaetool.store.headers import SUFFIX
from vaetool.store.kinds import kinds_with_modalities, kinds_with_scores

if TYPE_CHECKING:
    from vaetool.files.inputs import Source
    from vaetool.files.planning import Job
    from vaetool.files.remote import Place
    from vaetool.scoring.labels import Labels
    from vaetool.scoring.scorer import Scorer


@with_options
def score(
    inputs: Inputs = None,
    model: Model = None,
    good: Good = None,
    bad: Bad = None,
    save: Save = None,
    by: By = None,
    alpha: Alpha = None,
    fdr: FDR = None,
    fail_on_outlier: FailOnOutlier = False,
    heatmap: Heatmap = None,
    raw: Raw = False,
    report: ReportFile = None,
    copy_outliers: CopyOutliers = None,
    header: Header = False,
    sort: Sort = False,
    top: Top = None,
    normal: Normal = None,
    outlier: Outlier = None,
    labels: LabelsFile = None,
    masks: MasksFolder = None,
    roc: ROC = None,
    *,
    run: BatchOptions,
) -> int:
    """Find the outliers among pictures.

    vaetool score new/ --good good/                                   score, p-value, verdict, file
    vaetool score new/ --good good/ --heatmap maps                    and where they are unusual
    vaetool score new/ --good good/ --bad bad/ --save part.safetensors    once some defects are known
    vaetool score -m part.safetensors new/ --fail-on-outlier --quiet   in a script: 0 only if there is none
    vaetool score -m part.safetensors new/ --report report.html       a page to look at, worst first
    vaetool score -m part.safetensors --normal good/ --outlier bad/   how good the scores are
    vaetool score -m pair.safetensors photos/ masks/ --sort            pairs that do not belong together
    vaetool score -m labelled.safetensors photos/ --labels labels.csv  labels that do not fit

    Made for pipes: find parts/ -name '*.png' -print0 | vaetool score -m part.safetensors --files-from - -0 --json |
    jq -r 'select(.outlier).path'. `vaetool train features good/ -o part.safetensors` makes a model like that of --good.
    A model of `vaetool train mmvae` scores pairs: pictures of two folders, matched by name, or pictures and labels,
    from --labels or the names of the folders that pictures lie in.
    """
    _check_options(
        run,
        model=model,
        good=good,
        bad=bad,
        save=save,
        alpha=alpha,
        fdr=fdr,
        heatmap=heatmap,
        copy_outliers=copy_outliers,
        raw=raw,
        header=header,
        masks=masks,
    )
    _check_results(report, roc, save, force=run.force)
    pairs = None
    if model is not None and _kind(model) in kinds_with_modalities():
        if run.engine is not Engine.LOCAL:
            raise UsageError("pairs are scored in one process: leave out --engine")
        pairs = Pairing.of(model, inputs, labels, run, unusable=(*(normal or ()), *(outlier or ())))
        inputs, labels = pairs.inputs, None
    known, inputs = _known(inputs, normal or [], outlier or [], labels, run)
    if known is None and (masks or roc):
        raise UsageError("--masks and --roc need to know the outliers: give --normal and --outlier, or --labels")
    if known is not None and not run.json and (sort or top is not None or header):
        raise UsageError("an evaluation prints figures, no line for each picture: --json has both, in any order")
    results = [path for path in (report, roc, save) if path is not None]
    read = Read(model, good, bad, labels, masks, run.files_from)
    jobs, copies = _plan(inputs, results, read, heatmap, copy_outliers, run)

    from vaetool.cli.scoring import Look, Session
    from vaetool.cli.verdicts import Order
    from vaetool.files.mask_folder import MaskFolder
    from vaetool.images.sources import Contents

    title = f"Scores by {Path(model or good or '').name}"
    scorer = _scorer(model if good is None else str(_fitted(good, run)), bad, save, run)
    if (heatmap or masks) and not scorer.has_maps:
        raise UsageError(f"this {scorer.kind} scores whole pictures: --heatmap and --masks need features or defect")
    order = Order(sorted=sort or top is not None, top=top, header=header)
    session = Session(run, scorer, by, alpha, fdr, order, copies)
    places, fitted_to = MaskFolder(masks) if masks else None, Contents(good) if good else None
    wanted = {"heatmaps": heatmap is not None, "raw": raw, "page": report is not None}
    look = Look(scorer, known, good=fitted_to, masks=places, **wanted)
    verdicts = session.work(jobs, look, pairs)
    session.conclude(verdicts, look, report, roc, title=title)
    if session.heatmaps_written:
        run.console.say(f"wrote {session.heatmaps_written} heatmaps to {heatmap}")
    if verdicts.copied:
        run.console.say(f"wrote {verdicts.copied} copies of outliers to {copy_outliers}")
    return session.exit_code(verdicts, fail_on_outlier=fail_on_outlier)


def _check_options(
    run: BatchOptions,
    *,
    model: str | None,
    good: str | None,
    bad: str | None,
    save: Path | None,
    alpha: float | None,
    fdr: float | None,
    heatmap: str | None,
    copy_outliers: str | None,
    raw: bool,
    header: bool,
    masks: Path | None,
) -> None:
    """Raise UsageError for options that need or exclude each other."""
    checks = (
        (
            model is None and good is None,
            "what is good? Name a folder of good pictures with --good, or a model trained on them with -m",
        ),
        (
            model is not None and good is not None,
            "--good and -m exclude each other",
        ),
        (
            save is not None and good is None and bad is None,
            "--save writes the model that is fitted to --good or learns from --bad: give one of them",
        ),
        (alpha is not None and fdr is not None, "--alpha and --fdr exclude each other"),
        (raw and heatmap is None, "--raw describes the results of --heatmap: give both"),
        (
            run.skip_existing and heatmap is None and copy_outliers is None,
            "--skip-existing describes the results of --heatmap and --copy-outliers: give one of them",
        ),
        (run.json and header, "--header and --json exclude each other: JSON has names anyway"),
        (
            masks is not None and run.engine is not Engine.LOCAL,
            "--masks compares all maps in one process: leave out --engine",
        ),
    )
    for is_wrong, message in checks:
        if is_wrong:
            raise UsageError(message)


def _check_results(report: Path | None, roc: Path | None, save: Path | None, *, force: bool) -> None:
    """Raise UsageError for results of a wrong suffix or that exist, FileError if one cannot be written."""
    from vaetool.files.outputs import check_results
    from vaetool.files.writing import is_special

    wanted = (("--report", report, (".html", ".htm")), ("--roc", roc, (".png", ".svg")), ("--save", save, (SUFFIX,)))
    for option, path, suffixes in wanted:
        if path is None or is_special(path):
            continue
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{option}: {path}: the name must end in {suffixes[0]}")
        check_results([path], force=force)


def _kind(model: str) -> str:
    """Return the kind of a model. Raises WrongKindError if it has no scores."""
    from vaetool.store.catalogue import find
    from vaetool.store.headers import read_header, with_article

    kind = read_header(find(model)).kind
    if kind not in kinds_with_scores() + kinds_with_modalities():
        raise WrongKindError(
            f"{model}: {with_article(kind)} gives no scores: name a model of features, a defect, vae or mmvae, "
            "or a folder of good pictures with --good"
        )
    return kind


def _plan(
    inputs: list[str] | None,
    results: list[Path],
    read: Read,
    heatmap: str | None,
    copy_outliers: str | None,
    run: BatchOptions,
) -> tuple[Iterator[Job], dict[Source, Place]]:
    """Return the pictures as jobs, with the paths of heatmaps if wanted, and the paths that outliers are copied to.

    Pictures are yielded as they are found, unless all must be known to keep a result from replacing one.
    """
    from vaetool.files.outputs import check_folder, refuse_inputs
    from vaetool.files.planning import Naming, plan_copies

    if heatmap is None and copy_outliers is None and not any(map(os.path.lexists, results)):
        return run.stream(inputs), {}
    if heatmap is not None:
        check_folder(heatmap, "heatmaps")
        naming = Naming(extension=".png")
        place = os.path.join(heatmap, "")  # noqa: PTH118 - ends like a folder
        jobs = run.jobs(inputs, place, naming=naming, also_read=read.files(), leave_out=copy_outliers)
    else:
        jobs = run.jobs_without_results(inputs, leave_out=copy_outliers)
    sources = [job.source for job in jobs]
    refuse_inputs(results, chain(sources, read.files()))
    copies: dict[Source, Place] = {}
    if copy_outliers is not None:
        check_folder(copy_outliers, "copies of outliers")
        copies = plan_copies(
            jobs, copy_outliers, force=run.force, skip_existing=run.skip_existing, also_read=read.files()
        )
    return iter(jobs), copies


@dataclass(frozen=True)
class Read:
    """The files read besides the pictures, which results must not replace."""

    model: str | None
    good: str | None
    bad: str | None
    labels: Path | None
    masks: Path | None
    files_from: str | None

    def files(self) -> Iterator[object]:
        """Yield the files."""
        from vaetool.images.sources import files_in

        yield from model_files(self.model)
        yield from (self.labels, self.files_from and Path(self.files_from))
        yield from files_in(str(place) for place in (self.good, self.bad, self.masks) if place is not None)


def _fitted(good: str, run: BatchOptions) -> Path:
    """Fit a model of features to good pictures and return its file."""
    from vaetool.training.cache import fitted

    return fitted("features", good, device=run.device, say=run.console.say)


def _scorer(model: str | None, bad: str | None, save: Path | None, run: BatchOptions) -> Scorer:
    """Load a model, let it learn from pictures known to be bad, and save it if asked to."""
    from vaetool import load
    from vaetool.scoring.detection import learn
    from vaetool.store import weights

    device = run.device if run.engine is Engine.LOCAL else "cpu"  # from there it goes to the workers
    scorer = load(str(model), kind=kinds_with_scores() + kinds_with_modalities(), device=device)
    if bad is not None:
        run.console.say(learn(scorer, bad, run.console.warn))
    if save is not None:
        weights.save(save, scorer, weights.read_header(weights.find(str(model))).training)
    return scorer


def _known(
    inputs: list[str] | None, normal: list[str], outlier: list[str], table: Path | None, run: BatchOptions
) -> tuple[Labels | None, list[str] | None]:
    """Return the known labels of pictures, if any, and the inputs."""
    if normal or outlier:
        if inputs or run.files_from is not None or table is not None:
            raise UsageError("--normal and --outlier name all the pictures: give no other inputs, and no --labels")
        if not (normal and outlier):
            raise UsageError("--normal and --outlier need each other")

        from vaetool.scoring.labels import labels_of_folders

        return labels_of_folders(normal, outlier, recursive=run.recursive), [*normal, *outlier]
    if table is None:
        return None, inputs

    from vaetool.scoring.labels import read_labels

    known = read_labels(table)
    named = inputs or run.files_from is not None
    return known, inputs if named else [str(path) for path in known.paths]
