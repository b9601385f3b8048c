"""The options of `vaetool score`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vaetool.cli import completion
from vaetool.cli.groups import between

VERDICTS, RESULTS, EVALUATION = "Verdicts", "More results", "Evaluation"

Model = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|PATH",
        autocompletion=completion.models,
        help="A model trained on good pictures (features, defect or vae) or on pairs (mmvae): a name from "
        "`vaetool models`, or a file.",
        show_default=False,
    ),
]
Good = Annotated[
    str | None,
    typer.Option(
        "--good",
        metavar="FOLDER|ZIP",
        help="Instead of a model: good pictures, to which a model of features is fitted, which is kept until they "
        "change.",
        show_default=False,
    ),
]
Bad = Annotated[
    str | None,
    typer.Option(
        "--bad",
        metavar="FOLDER|ZIP",
        help="Pictures known to be bad, eight or more: the parts of a score by features are weighted so that these "
        "stand out.",
        show_default=False,
    ),
]
Save = Annotated[
    Path | None,
    typer.Option(
        "--save",
        metavar="MODEL",
        help="Also write the model fitted to --good, with the weights learnt from --bad.",
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
        show_default="0.05, or the smallest that so few good pictures allow",
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
    bool,
    typer.Option(
        "--fail-on-outlier",
        help="Exit code 3 if there is an outlier, but 1 if a file failed, with or without outliers: only 0 means "
        "that there is none.",
        rich_help_panel=VERDICTS,
    ),
]
Heatmap = Annotated[
    str | None,
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
CopyOutliers = Annotated[
    str | None,
    typer.Option(
        "--copy-outliers",
        metavar="FOLDER",
        help="Copy the files of outliers to this folder.",
        show_default=False,
        rich_help_panel=RESULTS,
    ),
]
Header = Annotated[
    bool,
    typer.Option("--header", help="Print a line of column names first, also in a pipe.", rich_help_panel=RESULTS),
]
Sort = Annotated[
    bool,
    typer.Option(
        "--sort",
        help="Most unusual first. Nothing is printed before the last score is known.",
        rich_help_panel=RESULTS,
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        "--top",
        metavar="N",
        parser=between(1, 10**9, int),
        help="Print only the N most unusual, sorted.",
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
        help="The same from a table: columns path (relative to its folder) and label (0 or normal, 1 or outlier). For "
        "an mmvae, the labels that are scored, in the same columns; a path may also be relative to a folder of inputs.",
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
