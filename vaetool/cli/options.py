"""Options that commands share, declared once, and their effect on a command that processes files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from vaetool.cli import completion, plans
from vaetool.cli.engine_options import EngineOptions
from vaetool.cli.groups import MessageOptions, between
from vaetool.cli.pictures import picture_writer
from vaetool.errors import UsageError

if TYPE_CHECKING:
    from vaetool.files.inputs import Inputs as FoundInputs
    from vaetool.files.planning import Job, Naming
    from vaetool.files.shards import Shard
    from vaetool.images import Picture

FILES, MANY, SPEED = "Files", "Many files", "Speed"


Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="IN", help="Files, folders, patterns, URLs, or - for standard input.", show_default=False),
]
Output = Annotated[
    str | None,
    typer.Option(
        "-o",
        "--output",
        metavar="FILE|FOLDER|URL|-",
        help="Where results go; - is standard output. By default: next to each input, with a suffix.",
        rich_help_panel=FILES,
    ),
]
ModelName = Annotated[
    str,
    typer.Option(
        "-m",
        "--model",
        metavar="NAME|PATH",
        help="A name from `vaetool models`, or a model file.",
        autocompletion=completion.models,
    ),
]
Quality = Annotated[
    int | None,
    typer.Option(
        "-q",
        "--quality",
        metavar="1..100",
        parser=between(1, 100, int),
        help="Quality of JPEG, WebP and AVIF results; the other formats are lossless.",
        show_default="JPEG 95, or as before if it was one (denoised: at least 90); WebP lossless; AVIF 90",
        rich_help_panel=FILES,
    ),
]


Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="png|jpg|...",
        help="Format of the results: png, jpg, webp, avif, tiff, bmp or ppm.",
        show_default="as in -o FILE; else the input's, or png for .vae files",
        rich_help_panel=FILES,
    ),
]
Suffix = Annotated[
    str | None,
    typer.Option(
        "--suffix",
        metavar="TEXT",
        help="Suffix to the names of results, before the extension, also in a folder: clean makes night.clean.jpg, "
        "_clean makes night_clean.jpg.",
        show_default="as above next to inputs, nothing in a folder",
        rich_help_panel=FILES,
    ),
]


class Precision(StrEnum):
    """Number formats for computing."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        metavar="auto|float32|bfloat16",
        help="Number format for computing. bfloat16 changes results by less than one 8-bit level; auto uses it where "
        "it is fast.",
        rich_help_panel=SPEED,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace results that exist.", rich_help_panel=FILES)]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        "--max-pixels",
        metavar="N",
        parser=between(1, 2**40, int),
        help="Refuse larger pictures before decoding them.",
        show_default="200 million",
        rich_help_panel=FILES,
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
class ComputeOptions(MessageOptions):
    """Options of a command that computes with a model."""

    device: Annotated[
        str,
        typer.Option(
            "--device",
            metavar="auto|cpu|cuda[:i]|mps",
            help="Device to compute on. It is an error if it is not available.",
            rich_help_panel=SPEED,
        ),
    ] = "auto"


@dataclass(frozen=True)
class FileOptions(ComputeOptions):
    """Options of a command that reads files, one or many."""

    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Look into sub-folders.", rich_help_panel=FILES)
    ] = False
    force: Force = False
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
    max_pixels: MaxPixels = None


@dataclass(frozen=True)
class BatchOptions(EngineOptions, FileOptions):
    """Options of a command that processes files independently of each other."""

    takes_urls: ClassVar[bool] = True

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
        typer.Option("--skip-existing", help="Skip files whose result exists, to resume a run.", rich_help_panel=MANY),
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
    flat: Annotated[
        bool,
        typer.Option(
            "--flat/--keep-tree",
            help="Put all results directly into the output folder; by default sub-folders are kept.",
            rich_help_panel=FILES,
        ),
    ] = False

    def jobs(
        self,
        inputs: list[str] | None,
        output: str | None = None,
        *,
        naming: Naming | None = None,
        model: str | None = None,
        also_read: Iterable[object] = (),
        leave_out: str | None = None,
    ) -> list[Job]:
        """Plan the jobs; raise UsageError for anything that makes the request impossible.

        naming: of the results, which also says what kind of file inputs are; images by default.
        model, also_read: other files that are read, and must not be replaced. leave_out: another folder of results,
        which is not searched. Ends the command when no work is left: after --dry-run, an empty list or shard, when all
        results exist or all files are missing.
        """
        from vaetool.files import planning

        naming = replace(naming or planning.Naming(), flat=self.flat)
        found = self._found(inputs, naming, output, leave_out)
        jobs = planning.plan(
            found,
            output,
            naming,
            force=self.force,
            skip_existing=self.skip_existing,
            shard=self._shard(found),
            also_read=chain(self._lists(), plans.model_files(model), also_read),
        )
        plans.check_outputs(jobs, naming.extension, self.console, dry_run=self.dry_run)
        if naming.extension is None:
            plans.name_converted([job for job in jobs if str(job.output) != output], self.console)
        plans.end_without_work(jobs, self.console, dry_run=self.dry_run)
        return jobs

    def jobs_without_results(self, inputs: list[str] | None, *, leave_out: str | None = None) -> list[Job]:
        """Return the images for a command that writes no file per input; see `jobs`."""
        from vaetool.files import planning

        found = self._found(inputs, planning.Naming(), None, leave_out)
        shard = self._shard(found)
        entries = found.entries if shard is None else shard.of(found.entries)
        jobs = [planning.Job(entry.source, None, entry.problem, place=entry.place) for entry in entries]
        plans.end_without_work(jobs, self.console, dry_run=self.dry_run)
        return jobs

    def _found(
        self, inputs: list[str] | None, naming: Naming, output: str | None, leave_out: str | None
    ) -> FoundInputs:
        """Return all inputs, and name those that are not read; output, leave_out: folders that are not searched."""
        from vaetool.files import inputs as sources
        from vaetool.files import planning

        if self.flat and output in {None, "-"}:
            raise UsageError("--flat describes a folder of results: name one")
        found = sources.expand(
            inputs or [],
            kind=naming.kind,
            recursive=self.recursive,
            files_from=self.files_from,
            null=self.null,
            earlier=naming.suffix,
            leave_out=planning.folders_of(output, leave_out),
        )
        plans.name_unread(found.unread, self.console)
        return found

    def _lists(self) -> Iterator[Path]:
        if self.files_from is not None:
            yield Path(self.files_from)

    def stream(self, inputs: list[str] | None) -> Iterator[Job]:
        """Return the images for a command that writes no file per input, as they are found: see `InputFinder`.

        A shard, which needs a sorted list, and a dry run collect all names first.
        """
        from vaetool.files import inputs as sources
        from vaetool.files import planning

        if self.flat or self.dry_run or self.shard is not None or "SLURM_ARRAY_TASK_ID" in os.environ:
            return iter(self.jobs_without_results(inputs))
        finder = sources.InputFinder(recursive=self.recursive)
        entries = finder.find(inputs or [], self.files_from, self.null)
        if sources.can_repeat(inputs or [], self.files_from):
            entries = sources.each_once(entries)

        def jobs() -> Iterator[Job]:
            for entry in entries:
                yield planning.Job(entry.source, None, entry.problem)
            plans.name_unread(finder.unread, self.console)

        return jobs()

    def read_picture(
        self, source: Path | bytes, *, whole: bool = False, single: bool = False, still: bool = False
    ) -> Picture:
        """Decode one image within --max-pixels; whole, single, still: see `vaetool.images.read`. Raises ImageError."""
        from vaetool import images

        limit = self.max_pixels or images.MAX_PIXELS
        return images.read(source, max_pixels=limit, whole=whole, single=single, still=still)

    def _shard(self, found: FoundInputs) -> Shard | None:
        from vaetool.files.shards import parse_shard, slurm_shard

        if self.shard is not None:
            return parse_shard(self.shard)
        shared = sum(entry.shared for entry in found.entries)
        shard = slurm_shard() if shared else None
        if shard is not None:
            named = len(found.entries) - shared
            whole = f"; all {named} that are named one by one" if named else ""
            self.console.say(
                f"shard {shard} of {shared} files, from SLURM_ARRAY_TASK_ID{whole} (--shard 0/1 takes all)"
            )
        return shard


@dataclass(frozen=True)
class RunOptions(BatchOptions):
    """Options of a command that makes a file of each."""

    strip: Annotated[
        bool,
        typer.Option(
            "--strip", help="Leave EXIF, XMP, texts and colour profiles out of results.", rich_help_panel=FILES
        ),
    ] = False

    def write_picture(
        self, quality: int | None = None, format_name: str | None = None
    ) -> Callable[[Picture, Job], bytes]:
        """Return a function that writes pictures with these options: see `picture_writer`."""
        return picture_writer(self.console.warn, quality, format_name, strip=self.strip)
