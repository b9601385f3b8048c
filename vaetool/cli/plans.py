"""Checks and notes on a plan before any work: which results there will be, and whether they can be written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import typer

from vaetool.errors import FileError, UsageError, VaetoolError, one_line
from vaetool.files.console import Console, Report

if TYPE_CHECKING:
    from vaetool.files.planning import Job, Naming
    from vaetool.files.remote import Place


def naming_of(default: str, suffix: str | None, format_name: str | None) -> Naming:
    """Return the naming of results by `--suffix` and `--format`, which are None where not given.

    Raises UsageError for an invalid suffix or an unknown format.
    """
    from vaetool.files.planning import Naming

    extension = None
    if format_name is not None:
        from vaetool.images.formats import format_named

        format_named(format_name)
        extension = f".{format_name.lower()}"
    if suffix is None:
        return Naming(default, extension)
    if Path(suffix).name != suffix.strip() and suffix:
        raise UsageError(f"--suffix {suffix} cannot be part of a file name")
    ending = f".{suffix}" if suffix[:1].isalnum() else suffix
    return Naming(ending, extension, suffix_in_folder=ending)


def check_format(jobs: Sequence[Job], format_name: str | None) -> None:
    """Raise UsageError if the name of a result asks for another format than `--format`."""
    from vaetool.files.remote import Place
    from vaetool.images import format_for
    from vaetool.images.formats import format_named

    for job in jobs if format_name is not None else ():
        path = job.output
        if isinstance(path, Place) and path.suffix and format_for(path.name) != format_named(str(format_name)):
            raise UsageError(f"{path.name} is not a {format_name} file: leave out --format, or choose another -o")


def check_outputs(jobs: Sequence[Job], extension: str | None, console: Console, *, dry_run: bool) -> None:
    """Raise UsageError for a result that cannot go to standard output, or whose name asks for no known format."""
    from vaetool.files.inputs import IMAGES, Stream
    from vaetool.files.remote import Place
    from vaetool.files.writing import is_special

    if any(job.output is Stream.STANDARD for job in jobs) and not dry_run:
        console.check_result_to_stdout()
    path = jobs[0].output if len(jobs) == 1 else None
    if not isinstance(path, Place) or is_special(path):
        return
    if extension is None or extension in IMAGES.suffixes:
        from vaetool.images import format_for

        format_for(path.name)
    elif path.suffix.lower() != extension:
        raise UsageError(f"{path.name}: the result is a {extension} file: give it that suffix")


def name_unread(paths: Sequence[Place], console: Console) -> None:
    """Warn of pictures in folders that are of kinds not read, if there are any."""
    if paths:
        from vaetool.files.unread import left_out

        console.warn(left_out(paths))


def name_converted(jobs: Sequence[Job], console: Console) -> None:
    """Note which inputs become files of another format because theirs is read but not written."""
    from vaetool.files.inputs import READ_ONLY
    from vaetool.files.remote import Place

    found = Counter(
        (PurePath(str(job.source)).suffix.lower(), job.output.suffix) for job in jobs if isinstance(job.output, Place)
    )
    for (suffix, written), count in found.items():
        if suffix in READ_ONLY:
            what = "1 file is" if count == 1 else f"{count} files are"
            console.say(f"{what} {suffix}, which is read but not written: --format chooses another than {written}")


def name_lossy(jobs: Sequence[Job], console: Console) -> None:
    """Note which results are in a lossy format, for a command that should change only parts of pictures."""
    from vaetool.files.remote import Place
    from vaetool.images import format_for
    from vaetool.images.formats import WRITABLE

    found = {format_for(job.output.name) for job in jobs if isinstance(job.output, Place) and job.output.suffix}
    for name in sorted(found):
        if WRITABLE[name].quality is not None and WRITABLE[name].lossless is None:
            console.say(
                f"a {name} file changes slightly everywhere when written: --format png keeps the rest unchanged"
            )


def end_without_work(jobs: Sequence[Job], console: Console, *, dry_run: bool) -> None:
    """End the command when no work is left: see `BatchOptions.jobs`."""
    if dry_run:
        for job in jobs:
            _show(job, console)
        raise typer.Exit(1 if any(job.problem for job in jobs) else 0)
    if not jobs:
        console.say("no files: nothing to do")
        raise typer.Exit(0)
    if all(job.skip or job.problem for job in jobs):
        # Before a model is loaded, which takes seconds.
        report = Report(console)
        with report.over(len(jobs)):
            for job in jobs:
                if job.problem:
                    report.failed(job.source, FileError(job.problem))
                else:
                    report.skipped(job.source, job.output)
        raise typer.Exit(report.exit_code)


def _show(job: Job, console: Console) -> None:
    if console.json:
        facts = {"output": str(job.output)} if job.output is not None else {}
        problem = {"error": job.problem} if job.problem else {}
        console.record({"path": str(job.source), **facts, **problem, "skipped": job.skip, "dry_run": True})
        return
    if job.problem:
        console.error(f"{job.source}: {job.problem}")
        return
    arrow = "" if job.output is None else f" -> {job.output}"
    console.data(one_line(f"{job.source}{arrow}") + (" (exists, skipped)" if job.skip else ""))


def model_files(name: str | None) -> Iterator[Path]:
    """Yield the file of a model, which results must not replace; nothing if the model does not exist."""
    from vaetool.store import catalogue

    if name is not None:
        with suppress(VaetoolError):  # loading it reports the problem
            yield catalogue.find(name)
