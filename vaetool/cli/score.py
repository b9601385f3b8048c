"""`vaetool score`: how unusual pictures are, and which of them are outliers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaetool.cli.groups import between, with_options
from vaetool.cli.options import Inputs, RunOptions
from vaetool.errors import UsageError

if TYPE_CHECKING:
    from vaetool.scoring.labels import Labels

VERDICTS, RESULTS, EVALUATION = "Verdicts", "More results", "Evaluation"

Model = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|PATH",
        help="A model trained on good pictures (features, defect or vae): a name from `vaetool models`, or a file.",
        show_default=False,
    ),
]
Good = Annotated[
    str | None,
    typer.Option(
        "--good",
        metavar="FOLDER|ZIP",
        help="Instead of a model: good pictures, to which one of features is fitted, and kept until they change.",
        show_default=False,
    ),
]
Bad = Annotated[
    str | None,
    typer.Option(
        "--bad",
        metavar="FOLDER|ZIP",
        help="Pictures known to be bad, eight or more: the parts of a score by features are weighed so that they stand "
        "out.",
        show_default=False,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="MODEL",
        help="Also write the model that was fitted to --good, with what was learnt from --bad.",
        show_default=False,
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="METHOD",
        help="How to score: for features all, small, medium, large or whole (the picture as a whole, for outliers "
        "among photographs); for defect small, medium or large; for a vae typical, elbo, recon, kl, iwae, complexity "
        "or regret (slow).",
        show_default="the model's default",
        rich_help_panel=VERDICTS,
    ),
]
Alpha = Annotated[
    float | None,
    typer.Option(
        "--alpha",
        metavar="A",
        parser=between(0, 1),
        help="The largest p-value of an outlier: the share of good pictures that may be called outliers.",
        show_default="0.05",
        rich_help_panel=VERDICTS,
    ),
]
FDR = Annotated[
    float | None,
    typer.Option(
        "--fdr",
        metavar="Q",
        parser=between(0, 1),
        help="Judge by all p-values of the batch instead (Benjamini-Hochberg): the share of reported outliers that may "
        "be good. Nothing is printed before the last score is known.",
        show_default=False,
        rich_help_panel=VERDICTS,
    ),
]
FailOnOutlier = Annotated[
    bool, typer.Option("--fail-on-outlier", help="Exit code 3 if there is an outlier.", rich_help_panel=VERDICTS)
]
Heatmap = Annotated[
    Path | None,
    typer.Option(
        "--heatmap",
        metavar="FOLDER",
        help="By features or defect: write pictures with unusual places coloured, on a fixed scale (yellow: p = .1, "
        "red: p = .0001).",
        show_default=False,
        rich_help_panel=RESULTS,
    ),
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        help="Write heatmaps as numbers: 16-bit greyscale, 0 to 65535 for -log10 p from 0 to 4.",
        rich_help_panel=RESULTS,
    ),
]
ReportFile = Annotated[
    Path | None,
    typer.Option(
        "--report",
        metavar="FILE.html",
        help="Write one page that needs no network: all pictures, worst first, with the terms of their scores.",
        show_default=False,
        rich_help_panel=RESULTS,
    ),
]
Normal = Annotated[
    list[str] | None,
    typer.Option(
        "--normal",
        metavar="FOLDER",
        help="Pictures known to be normal.",
        rich_help_panel=EVALUATION,
        show_default=False,
    ),
]
Outlier = Annotated[
    list[str] | None,
    typer.Option(
        "--outlier",
        metavar="FOLDER",
        help="Pictures known to be outliers: with --normal, how well scores tell them apart.",
        rich_help_panel=EVALUATION,
        show_default=False,
    ),
]
LabelsFile = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        metavar="FILE.csv",
        help="The same from a table: columns path (relative to its folder) and label (0 or normal, 1 or outlier).",
        rich_help_panel=EVALUATION,
        show_default=False,
    ),
]
MasksFolder = Annotated[
    Path | None,
    typer.Option(
        "--masks",
        metavar="FOLDER",
        help="Masks, white where defects are, with the names of the outliers: how well defects are located.",
        rich_help_panel=EVALUATION,
        show_default=False,
    ),
]
ROC = Annotated[
    Path | None,
    typer.Option(
        "--roc",
        metavar="FILE.png|.svg",
        help="A plot of the ROC and precision-recall curves.",
        rich_help_panel=EVALUATION,
        show_default=False,
    ),
]


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
    normal: Normal = None,
    outlier: Outlier = None,
    labels: LabelsFile = None,
    masks: MasksFolder = None,
    roc: ROC = None,
    *,
    run: RunOptions,
) -> int:
    """Find the outliers among pictures.

    vaetool score new/ --good good/                                   score, p-value, verdict, file
    vaetool score new/ --good good/ --heatmap maps                    and where they are unusual
    vaetool score new/ --good good/ --bad bad/ --save part.safetensors    once some defects are known
    vaetool score -m part.safetensors new/ --fail-on-outlier --quiet   in a script: exit code 3
    vaetool score -m part.safetensors new/ --report report.html       a page to look at, worst first
    vaetool score -m part.safetensors --normal good/ --outlier bad/   how good the scores are

    Made for pipes: find parts/ -name '*.png' -print0 | vaetool score -m part.safetensors --files-from - -0 --json |
    jq -r 'select(.outlier).path'. `vaetool train features good/ -o part.safetensors` makes the model that --good makes.
    """
    if (model is None) == (good is None):
        raise UsageError("what is good? Name a folder of good pictures with --good, or a model trained on them with -m")
    if save is not None and good is None and bad is None:
        raise UsageError("--save writes the model that is fitted to --good or learns from --bad: give one of them")
    if alpha is not None and fdr is not None:
        raise UsageError("--alpha and --fdr exclude each other")
    if raw and heatmap is None:
        raise UsageError("--raw describes the results of --heatmap: give both")
    results = {
        "--report": (report, (".html", ".htm")),
        "--roc": (roc, (".png", ".svg")),
        "--save": (save, (".safetensors",)),
    }
    _check_files(results, force=run.force)
    known, inputs = _known(inputs, normal or [], outlier or [], labels, run)
    if known is None and (masks or roc):
        raise UsageError("--masks and --roc need to know the outliers: give --normal and --outlier, or --labels")
    if heatmap is None:
        jobs = run.stream(inputs)
    else:
        jobs = iter(run.jobs(inputs, os.path.join(heatmap, ""), extension=".png"))  # noqa: PTH118 - ends like a folder

    from vaetool import load
    from vaetool.cli.scoring import Level, Look, Session
    from vaetool.files.mask_folder import MaskFolder
    from vaetool.scoring.detection import learn
    from vaetool.store import weights
    from vaetool.store.kinds import kinds_with_scores

    title = f"Scores by {Path(model or good or '').name}"
    if good is not None:
        model = str(_fitted(good, run))
    scorer = load(str(model), kind=kinds_with_scores(), device=run.device)
    if bad is not None:
        run.console.say(learn(scorer, bad, run.console.warn))
    if save is not None:
        weights.save(save, scorer, weights.read_header(weights.find(str(model))).training)
    if (heatmap or masks) and not hasattr(scorer, "maps"):
        raise UsageError(f"this {scorer.kind} scores whole pictures: --heatmap and --masks need features or defect")
    session = Session(run, scorer, by, Level(alpha, fdr))
    places = MaskFolder(masks) if masks else None
    look = Look(scorer, known, masks=places, heatmaps=heatmap is not None, raw=raw, page=report is not None)
    verdicts = session.work(jobs, look)
    session.conclude(verdicts, look, report, roc, title=title)
    return session.exit_code(verdicts, fail_on_outlier=fail_on_outlier)


def _fitted(good: str, run: RunOptions) -> Path:
    """Return the file of the model of features that is fitted to good pictures."""
    from vaetool.training.cache import fitted

    return fitted("features", good, device=run.device, say=run.console.say)


def _known(
    inputs: list[str] | None, normal: list[str], outlier: list[str], table: Path | None, run: RunOptions
) -> tuple[Labels | None, list[str] | None]:
    """Return what is known of pictures, if anything is, and which pictures there are."""
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


def _check_files(wanted: dict[str, tuple[Path | None, tuple[str, ...]]], *, force: bool) -> None:
    """Raise UsageError for results, by option, that have the wrong suffix or exist already."""
    from vaetool.files.outputs import refuse_existing
    from vaetool.files.writing import is_special

    for option, (path, suffixes) in wanted.items():
        if path is None or is_special(path):
            continue
        if path.suffix.lower() not in suffixes:
            raise UsageError(f"{option}: {path}: the name must end in {suffixes[0]}")
        if not force:
            refuse_existing([path])
