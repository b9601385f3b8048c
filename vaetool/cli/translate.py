"""`vaetool translate`: pictures from one modality to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli import completion
from vaetool.cli.engine_options import Engine
from vaetool.cli.engines import process
from vaetool.cli.facts import Lines
from vaetool.cli.groups import with_options
from vaetool.cli.options import Format, Inputs, Output, Quality, RunOptions, Seed, Suffix
from vaetool.cli.plans import check_format, naming_of
from vaetool.errors import UsageError
from vaetool.files.console import Report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vaetool.files.batch import Steps
    from vaetool.files.planning import Job
    from vaetool.images import Picture
    from vaetool.latents.mmvae import MMVAE

Model = Annotated[
    str | None,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|PATH",
        autocompletion=completion.models,
        help="A multimodal VAE: a file written by `vaetool train mmvae`.",
        show_default=False,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="MODALITY",
        help="Modality to make: the name of a folder that the model was trained on, or label.",
        show_default="the only other one",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="MODALITY",
        help="Modality of the pictures.",
        show_default="the only other one",
    ),
]
Uncertainty = Annotated[
    bool,
    typer.Option(
        "--uncertainty",
        help="Write the uncertainty of each place instead: black where all samples agree, white where they differ by "
        "half of the range.",
    ),
]


@with_options
def translate(
    inputs: Inputs = None,
    output: Output = None,
    model: Model = None,
    to: To = None,
    source: From = None,
    uncertainty: Uncertainty = False,
    format: Format = None,  # noqa: A002 - as on the command line
    suffix: Suffix = None,
    quality: Quality = None,
    seed: Seed = 0,
    *,
    run: RunOptions,
) -> int:
    """Translate pictures: a photo to its mask, one view to another, a picture to its label.

    vaetool translate a.png -m pair.safetensors --to masks            writes a.masks.png
    vaetool translate photos/ -m pair.safetensors --to masks -o new/
    vaetool translate a.png -m pair.safetensors --to masks --uncertainty -o unsure.png
    vaetool translate photos/ -m labelled.safetensors --to label      prints label, probability, file

    The model is trained on such pairs: vaetool train mmvae photos/ masks/ -o pair.safetensors. It sees the middle
    square of a picture, and results have the model's size. They are means of the possible pictures; their mean
    uncertainty, in 8-bit levels, is in --json.
    """
    if model is None:
        raise UsageError("which model? Name a file written by `vaetool train mmvae` with -m")

    from vaetool import load
    from vaetool.images import Picture
    from vaetool.images.conversion import from_unit
    from vaetool.latents.translate import direction, translate_picture
    from vaetool.store.kinds import kinds_with_modalities

    device = run.device if run.engine is Engine.LOCAL else "cpu"  # from there it goes to the workers
    translator: MMVAE = load(model, kind=kinds_with_modalities(), device=device)
    end = direction(translator, to, source)[1]
    if translator.doubt is not None:
        run.console.warn(translator.doubt)
    if not translator.config.planes[end]:
        if output is not None or uncertainty:
            raise UsageError("labels are printed: leave out -o and --uncertainty")
        if run.engine is not Engine.LOCAL:
            raise UsageError("labels are found in one process: leave out --engine")
        return _labels(run.jobs_without_results(inputs), translator, source, seed, run)
    name = "uncertainty" if uncertainty else translator.config.modalities[end]
    jobs = run.jobs(inputs, output, naming=naming_of(f".{name}", suffix, format or "png"), model=model)
    check_format(jobs, format)

    def work(picture: Picture) -> tuple[Picture, dict[str, Any]]:
        found = translate_picture(translator, picture, to=to, source=source, seed=seed)
        assert found.pixels is not None
        assert found.spread is not None
        pixels = from_unit(2 * found.spread[:, :, None], found.pixels.dtype) if uncertainty else found.pixels
        return Picture(pixels), found.facts()

    def begin(run: RunOptions) -> Steps[Picture, Picture]:
        from vaetool.files.batch import Steps
        from vaetool.store.weights import resolve_device

        translator.to(resolve_device(run.device))
        return Steps(run.read_picture, work, run.write_picture(quality, format))

    return process(run, jobs, begin)


def _labels(jobs: Sequence[Job], translator: MMVAE, source: str | None, seed: int, run: RunOptions) -> int:
    """Print the labels of pictures as they are found."""
    from vaetool.files.batch import read_all
    from vaetool.latents.translate import translate_picture

    report = Report(run.console, resumable=False)
    lines = Lines(run.console, {"label": "<12", "probability": ">11", "file": ""})
    with report.over(0 if run.console.is_read_on_terminal else len(jobs)):
        for file in read_all(jobs, run.read_picture, threads=run.threads):
            facts: dict[str, Any] = {}
            with file.attempt():
                if file.value is not None:
                    found = translate_picture(translator, file.value, source=source, to="label", seed=seed)
                    facts = {**found.facts(), "probabilities": found.probabilities}
            if file.error is not None:
                report.failed(file.job.source, file.error)
                continue
            if not run.json:
                lines.add(str(facts["label"]), f"{facts['probability']:.4f}", str(file.job.source))
            report.done(file.job.source, None, facts, warnings=file.warnings)
    return report.exit_code
