"""The options that commands share, declared once, and what they mean for a command that works through files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vaetool.cli.groups import WordOptions, between
from vaetool.errors import FileError, UsageError, one_line
from vaetool.files.console import Report

if TYPE_CHECKING:
    from vaetool.files.inputs import FileKind, Shard
    from vaetool.files.inputs import Inputs as FoundInputs
    from vaetool.files.planning import Job
    from vaetool.files.sizes import Sizes
    from vaetool.images import Picture

T = TypeVar("T")
U = TypeVar("U")

FILES, MANY, SPEED = "Files", "Many files", "Speed"


Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="IN", help="Files, folders, patterns, or - for standard input.", show_default=False),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|FOLDER|-",
        help="Where results go; - is standard output. By default: next to each input, with a suffix.",
        rich_help_panel=FILES,
    ),
]
ModelName = Annotated[
    str,
    typer.Option("-m", "--model", metavar="NAME|PATH", help="A name from `vaetool models`, or a model file."),
]
Quality = Annotated[
    int | None,
    typer.Option(
        "-q",
        "--quality",
        metavar="1..100",
        parser=between(1, 100, int),
        help="Quality of JPEG, WebP and AVIF results; the other formats are lossless.",
        show_default="JPEG as in the input, or 95; WebP lossless; AVIF 90",
        rich_help_panel=FILES,
    ),
]


class Precision(StrEnum):
    """What to compute in."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16",
        help="What to compute in. bfloat16 moves results by less than one 8-bit level; auto takes it where it is fast.",
        rich_help_panel=SPEED,
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        parser=between(0, 2**63 - 1, int),
        help="The same seed, device and version give the same bytes.",
    ),
]


@dataclass(frozen=True)
class ComputeOptions(WordOptions):
    """Options of a command that computes with a model."""

    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="auto|cpu|cuda[:i]|mps",
            help="Where to compute. A device that is asked for but not available is an error.",
            rich_help_panel=SPEED,
        ),
    ] = "auto"


@dataclass(frozen=True)
class FileOptions(ComputeOptions):
    """Options of a command that reads files, one or many."""

    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Look into sub-folders.", rich_help_panel=FILES)
    ] = False
    force: Annotated[bool, typer.Option("--force", help="Replace results that exist.", rich_help_panel=FILES)] = False
    threads: Annotated[
        int,
        typer.Option(
            "-j",
            "--jobs",
            metavar="N",
            parser=between(1, 256, int),
            help="Files in progress at once: threads decode and encode them.",
            rich_help_panel=SPEED,
        ),
    ] = 1
    max_pixels: Annotated[
        int | None,
        typer.Option(
            "--max-pixels",
            metavar="N",
            parser=between(1, 2**40, int),
            help="Refuse larger pictures before decoding them.",
            show_default="200 million",
            rich_help_panel=FILES,
        ),
    ] = None


@dataclass(frozen=True)
class RunOptions(FileOptions):
    """Options of a command that works through files, each for itself."""

    files_from: Annotated[
        str | None,
        typer.Option(
            "--files-from",
            metavar="FILE|-",
            help="Read more inputs from a file, one per line. An empty list is not an error.",
            rich_help_panel=FILES,
        ),
    ] = None
    null: Annotated[
        bool,
        typer.Option("-0", "--null", help="The list of --files-from is NUL-separated.", rich_help_panel=FILES),
    ] = False
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Skip files whose result exists: resumes a run.", rich_help_panel=MANY),
    ] = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show which results would be written, and do nothing.", rich_help_panel=MANY),
    ] = False
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            metavar="i/n",
            help="Take every n-th file of the sorted list, from the i-th on (i from 0). "
            "In a Slurm array, a folder or list is divided among its tasks automatically; 0/1 turns that off.",
            show_default=False,
            rich_help_panel=MANY,
        ),
    ] = None
    strip: Annotated[
        bool,
        typer.Option(
            "--strip", help="Leave EXIF, XMP, texts and colour profiles out of results.", rich_help_panel=FILES
        ),
    ] = False

    def jobs(
        self,
        inputs: list[str] | None,
        output: str | None = None,
        *,
        suffix: str = "",
        extension: str | None = None,
        kind: FileKind | None = None,
        no_output: bool = False,
    ) -> list[Job]:
        """Plan what becomes what; raise UsageError for anything that makes the request impossible.

        suffix, extension: of the results, see `planning.Naming`; kind: of the inputs, images by default;
        no_output: for a command that writes no file per input.
        Ends the command when no work is left: after --dry-run, an empty list or shard, when all results exist or all
        files are missing.
        """
        from vaetool.files import inputs as sources
        from vaetool.files import planning

        kind = kind or sources.IMAGES
        found = sources.expand(
            inputs or [],
            kind=kind,
            recursive=self.recursive,
            files_from=self.files_from,
            null=self.null,
            earlier=suffix,
            leave_out=planning.folder_of(output),
        )
        shard = self._shard(found)
        if no_output:
            entries = found.entries
            if shard is not None:
                entries = tuple(shard.of(sorted(entries, key=lambda entry: str(entry.source))))
            jobs = [planning.Job(entry.source, None, entry.problem) for entry in entries]
        else:
            naming = planning.Naming(suffix, extension, kind)
            jobs = planning.plan(found, output, naming, force=self.force, skip_existing=self.skip_existing, shard=shard)
            self._check_outputs(jobs, extension)
        self._end_without_work(jobs)
        return jobs

    def stream(self, inputs: list[str] | None) -> Iterator[Job]:
        """Return the images for a command that writes no file per input, as they are found: see `inputs.stream`.

        A shard, which takes a sorted list, and a dry run need all names first.
        """
        from vaetool.files import inputs as sources
        from vaetool.files import planning

        if self.dry_run or self.shard is not None or sources.slurm_shard() is not None:
            return iter(self.jobs(inputs, no_output=True))
        entries = sources.stream(inputs or [], sources.IMAGES, self.recursive, self.files_from, self.null)
        if inputs and len(inputs) > 1:  # else no file can come twice, and its name need not be remembered
            entries = sources.each_once(entries)
        return (planning.Job(entry.source, None, entry.problem) for entry in entries)

    def process(
        self,
        jobs: Sequence[Job],
        work: Callable[[T], tuple[U | None, dict[str, Any]]],
        *,
        read: Callable[[Path | bytes], T],
        write: Callable[[U, Job], bytes | None],
        sizes: Sizes | None = None,
    ) -> int:
        """Call `batch.run` with these options and return the exit code; sizes: see `Report`."""
        from vaetool.files import batch

        report = Report(self.console, sizes=sizes)
        batch.run(jobs, read=read, work=work, write=write, report=report, threads=self.threads)
        return report.exit_code

    def read_picture(self, source: Path | bytes, *, whole: bool = False, single: bool = False) -> Picture:
        """Decode one image within --max-pixels; whole, single: see `vaetool.images.read`. Raises ImageError."""
        from vaetool import images

        return images.read(source, max_pixels=self.max_pixels or images.MAX_PIXELS, whole=whole, single=single)

    def write_picture(self, quality: int | None = None) -> Callable[[Picture, Job], bytes]:
        """Return a function that encodes a picture in the format of its output or, for a stream, of its input.

        A picture that is still the one in its file comes back as the bytes of that file, if nothing else is asked for.
        """
        from vaetool import images

        def write(picture: Picture, job: Job) -> bytes:
            if isinstance(job.output, Path) and job.output.suffix:
                format_name = images.format_for(job.output)
            else:
                format_name = _format_for_stream(picture)
            if format_name == picture.format and picture.origin is not None and quality is None and not self.strip:
                return picture.origin.read_bytes() if isinstance(picture.origin, Path) else picture.origin
            data = images.encode(picture, format_name, quality=quality, strip=self.strip)
            if (lost := images.left_out(picture, format_name, strip=self.strip)) is not None:
                self.console.warn(f"{job.source}: {lost}")
            return data

        return write

    def _shard(self, found: FoundInputs) -> Shard | None:
        from vaetool.files.inputs import parse_shard, slurm_shard

        if self.shard is not None:
            return parse_shard(self.shard)
        shard = slurm_shard() if found.many else None
        if shard is not None:
            self.console.say(f"shard {shard} of the files, from SLURM_ARRAY_TASK_ID")
        return shard

    def _check_outputs(self, jobs: Sequence[Job], extension: str | None) -> None:
        from vaetool.files.inputs import IMAGES, Stream
        from vaetool.files.writing import is_special

        if any(job.output is Stream.STANDARD for job in jobs) and not self.dry_run:
            if self.json:
                raise UsageError("--json and the result itself cannot both go to standard output: give -o FILE")
            self.console.refuse_binary_to_terminal()
        path = jobs[0].output if len(jobs) == 1 else None
        if not isinstance(path, Path) or is_special(path):
            return
        if extension is None or extension in IMAGES.suffixes:
            from vaetool.images import format_for

            format_for(path)
        elif path.suffix.lower() != extension:
            raise UsageError(f"{path.name}: the result is a {extension} file: give it that suffix")

    def _end_without_work(self, jobs: Sequence[Job]) -> None:
        if self.dry_run:
            for job in jobs:
                self._show(job)
            raise typer.Exit(1 if any(job.problem for job in jobs) else 0)
        if not jobs:
            self.console.say("no files: nothing to do")
            raise typer.Exit(0)
        if all(job.skip or job.problem for job in jobs):
            # Before a model is loaded, which takes seconds.
            report = Report(self.console)
            with report.over(len(jobs)):
                for job in jobs:
                    if job.problem:
                        report.failed(job.source, FileError(job.problem))
                    else:
                        report.skipped(job.source, job.output)
            raise typer.Exit(report.exit_code)

    def _show(self, job: Job) -> None:
        if self.json:
            facts = {"output": str(job.output)} if job.output is not None else {}
            problem = {"error": job.problem} if job.problem else {}
            self.console.record({"path": str(job.source), **facts, **problem, "skipped": job.skip, "dry_run": True})
            return
        if job.problem:
            self.console.error(f"{job.source}: {job.problem}")
            return
        arrow = "" if job.output is None else f" -> {job.output}"
        self.console.data(one_line(f"{job.source}{arrow}") + (" (exists, skipped)" if job.skip else ""))


def _format_for_stream(picture: Picture) -> str:
    """Return the format that the picture was read in, or PNG if that is one that cannot be written."""
    from vaetool import images

    try:
        return images.format_for(f"x.{picture.format}")
    except UsageError:
        return "PNG"
