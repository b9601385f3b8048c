"""`vaetool compare`: how close pictures are to their references."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaetool.cli.decompress import CodecName
from vaetool.cli.facts import Lines
from vaetool.cli.groups import between, with_options
from vaetool.cli.options import FileOptions
from vaetool.cli.plans import model_files, name_unread
from vaetool.errors import FileError, ImageError, UsageError
from vaetool.files.console import Console, Report

if TYPE_CHECKING:
    from vaetool.compression.codec import Codec
    from vaetool.files.inputs import Source
    from vaetool.files.pairs import Pairs
    from vaetool.files.planning import Job

COLUMNS = {
    "PSNR, dB": ">9",
    "SSIM": ">7",
    "MS-SSIM": ">7",
    "max diff": ">8",
    "bytes": ">9",
    "bpp": ">7",
    "file": "",
}
MEANS = ("psnr", "ssim", "ms_ssim", "max_difference", "in_bytes", "bpp")
LEFT_OUT = {
    "psnr": ("PSNR", "the others do not differ"),
    "ssim": ("SSIM", "the others are too small"),
    "ms_ssim": ("MS-SSIM", "the others are too small"),
}
"""Name of each mean, and the reason why pairs are left out of it."""

SUFFIX = ".png"
FORMATS = {SUFFIX: "PNG", ".tif": "TIFF", ".tiff": "TIFF"}
"""Formats of difference pictures, by suffix."""

Image = Annotated[
    str,
    typer.Argument(metavar="A", help="The result: an image or .vae file, a folder of them, or - for standard input."),
]
Reference = Annotated[
    str, typer.Argument(metavar="B", help="The reference: what A should look like; a folder if A is one.")
]
Difference = Annotated[
    str | None,
    typer.Option(
        "--difference",
        metavar="FILE.png|FILE.tif|FOLDER",
        help="Also write A minus B as a picture: mid-grey where they are equal, brighter where A is brighter. Stacks "
        "need a TIFF file; in a folder, TIFF files have those.",
        show_default=False,
    ),
]
Gain = Annotated[
    float,
    typer.Option(
        "--gain",
        metavar="0.5..65535",
        parser=between(0.5, 65535),
        help="Factor on differences in that picture: with 8, differences of 16 or more levels of 255 are white or "
        "black.",
    ),
]


@with_options
def compare(
    image: Image,
    reference: Reference,
    model: CodecName = None,
    difference: Difference = None,
    gain: Gain = 8.0,
    *,
    run: FileOptions,
) -> int:
    """Measure how close pictures are to their references.

    vaetool compare photo.vae photo.png                       a result and the original
    vaetool compare clean.png sharp.png --difference d.png    and where they differ
    vaetool compare decoded/ originals/ -r                    by name, with the means

    A line for each pair: PSNR in dB, SSIM, MS-SSIM (— if a side has less than 176 pixels), the largest difference in a
    channel (of 255, or of 65535 with 16 bits), bytes and bits per pixel of A, and its name. A is the result, B the
    reference. 8 bits are scaled up to 16 if the other picture has those, and grey is compared with colour as RGB.
    Only pixels visible in both pictures count. Figures of TIFF stacks cover all pages; animations are refused. Floating
    point is compared in its own units, PSNR and SSIM relative to the range that B uses (`peak` in --json); with
    integers, as 0..1.
    """
    from vaetool.compression.decode import PICTURES
    from vaetool.files.batch import read_all
    from vaetool.files.pairs import pair
    from vaetool.files.planning import folders_of

    pairs = pair(image, reference, PICTURES, recursive=run.recursive, leave_out=folders_of(difference))
    name_unread(pairs.inputs.unread, run.console)
    jobs = _plan(pairs, difference, model, force=run.force)
    codec = None
    if model is not None:
        from vaetool import load

        codec = load(model, kind="codec", device=run.device)
    report, lines, rows = Report(run.console, resumable=False), Lines(run.console, COLUMNS), []
    with report.over(0 if run.console.is_read_on_terminal else len(jobs) + len(pairs.alone)):
        for file in read_all(jobs, _work(jobs, pairs.partners, codec, gain, run), threads=run.threads):
            source = file.job.source
            if file.value is None:
                assert file.error is not None
                report.failed(source, file.error)
                continue
            rows.append(file.value.facts)
            if not run.json:
                lines.add(*_cells(file.value.facts, str(source)))
            facts = {"reference": str(pairs.partners[source]), **file.value.facts}
            report.done(source, file.job.output, facts, warnings=file.warnings)
        for entry in pairs.alone:
            report.failed(entry.source, FileError(entry.problem))
        if pairs.inputs.many and rows:
            _tell_means(rows, run.console, lines)
    return report.exit_code


@dataclass(frozen=True)
class Compared:
    """The facts measured for a file, and the warnings and notes about it and its reference."""

    facts: dict[str, Any]
    warnings: tuple[str, ...]


def _plan(pairs: Pairs, difference: str | None, model: str | None, *, force: bool) -> list[Job]:
    """Return a job for each file, with the path of its difference picture if those are wanted."""
    from vaetool.files.inputs import FileKind
    from vaetool.files.outputs import refuse_existing
    from vaetool.files.planning import Job, Naming, plan
    from vaetool.files.writing import is_special
    from vaetool.images.tiff import MAGIC

    if difference is None:
        return [Job(entry.source, None, entry.problem) for entry in pairs.inputs.entries]
    if difference == "-":
        raise UsageError("standard output is for the figures: give --difference a file or a folder")
    of_tiff = tuple(suffix for suffix, form in FORMATS.items() if form == "TIFF")  # which may be a stack
    kind = FileKind("pictures", lambda head: of_tiff if head.startswith(MAGIC) else (SUFFIX,), frozenset(of_tiff))
    naming = Naming(kind=kind)
    read = [*pairs.partners.values(), *(entry.source for entry in pairs.alone), *model_files(model)]
    jobs = plan(pairs.inputs, difference, naming, force=True, also_read=read)
    written = [job.output for job in jobs if isinstance(job.output, Path) and not job.problem]
    for path in written:
        if path.suffix.lower() not in FORMATS and not is_special(path):
            raise UsageError(f"{path.name}: the difference is a {SUFFIX} or .tif file: give it such a suffix")
    if not force:
        refuse_existing(written)
    return jobs


def _work(
    jobs: Sequence[Job], partners: Mapping[Source, Path], codec: Codec | None, gain: float, run: FileOptions
) -> Callable[[Path | bytes], Compared]:
    """Return the function that compares one of the files with its partner, and writes the difference if wanted."""
    from vaetool.compression.decode import open_picture, read_picture
    from vaetool.files.writing import write_atomically
    from vaetool.images import MAX_PIXELS, encode
    from vaetool.images.comparison import Pair

    by_source = {job.source: job for job in jobs}
    settings: dict[str, Any] = {"device": run.device, "max_pixels": run.max_pixels or MAX_PIXELS}

    def work(source: Path | bytes) -> Compared:
        # Bytes are those of standard input or a pipe, which is then the only file.
        job = jobs[0] if isinstance(source, bytes) else by_source[source]
        data = source if isinstance(source, bytes) else source.read_bytes()
        picture = read_picture(data, codec, **settings)
        try:
            reference = open_picture(partners[job.source], codec, **settings)
        except ImageError as error:
            raise ImageError(f"its reference {error}") from error
        pair = Pair(picture, reference)
        if isinstance(job.output, Path):
            form = FORMATS.get(job.output.suffix.lower(), "PNG")
            write_atomically(job.output, encode(pair.difference(gain), form), replace=run.force)
        bpp = round(8 * len(data) / sum(page.height * page.width for page in (picture, *picture.pages)), 4)
        facts = {**vars(pair.compare()), "in_bytes": len(data), "bpp": bpp}
        warnings = (*picture.warnings, *(f"its reference: {warning}" for warning in reference.warnings), *pair.warnings)
        return Compared(facts, warnings)

    return work


def _tell_means(rows: Sequence[Mapping[str, Any]], console: Console, lines: Lines) -> None:
    """Print the means of all pairs, and how many of them are left out of a mean."""
    known = {name: [row[name] for row in rows if _is_number(row[name])] for name in MEANS}
    if len({row["peak"] for row in rows}) > 1:
        known["max_difference"] = []  # those of 8 and of 16 bits, or of other ranges, have no mean
    means: dict[str, Any] = {name: fmean(values) if values else None for name, values in known.items()}
    means["identical"] = all(row["identical"] for row in rows)
    if console.json:
        console.record({"mean": {"pairs": len(rows), **means}})
    else:
        lines.add(*_cells(means, f"mean of {len(rows)}"), style="bold")
    for name, (measure, reason) in LEFT_OUT.items():
        if 0 < len(known[name]) < len(rows):
            console.say(f"the mean {measure} is over {len(known[name])} of {len(rows)} pairs: {reason}")


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _cells(facts: Mapping[str, Any], file: str) -> tuple[str, ...]:
    return (
        "identical" if facts["identical"] else _number(facts["psnr"], ".2f"),
        _number(facts["ssim"], ".4f"),
        _number(facts["ms_ssim"], ".4f"),
        _number(facts["max_difference"], "g"),
        _number(facts["in_bytes"], ".0f"),
        _number(facts["bpp"], ".3f"),
        file,
    )


def _number(value: float | None, form: str) -> str:
    return "—" if value is None else f"{value:{form}}"
