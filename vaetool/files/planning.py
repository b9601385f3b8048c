"""From inputs to jobs: the result of each file, with whatever cannot work refused before any work begins."""

from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain
from pathlib import Path, PurePath

from vaetool.errors import FileError, StorageError, UsageError
from vaetool.files.inputs import IMAGES, READ_ONLY, Entry, FileKind, Inputs, Source, Stream, read_head
from vaetool.files.outputs import (
    check_folder,
    ignores_case,
    is_folder,
    refuse_existing,
    refuse_inputs,
    those_in_the_way,
)
from vaetool.files.remote import Place, Remote, location
from vaetool.files.shards import Shard
from vaetool.files.writing import check_writable, is_special


class OnExisting(enum.Enum):
    """Treatment of a result whose name is taken, even if that happens during a run."""

    FAIL = "fail"
    SKIP = "skip"
    REPLACE = "replace"


@dataclass(frozen=True)
class Job:
    """One file to work on.

    output:  path of the result; None for a command that writes none.
    problem: error known before the file is opened; the job fails with it.
    skip:    the result exists and is kept.
    place:   path of the input below a folder of results.
    on_existing: what to do if the result exists by the time it is written.
    """

    source: Source
    output: Place | Stream | None = None
    problem: str | None = None
    skip: bool = False
    place: PurePath = field(default_factory=PurePath)
    on_existing: OnExisting = OnExisting.FAIL


@dataclass(frozen=True)
class Naming:
    """Naming of results: `photo.png` becomes `photo.denoised.png` next to the input, `photo.png` in a folder.

    suffix: such as `.denoised`, for results next to inputs. suffix_in_folder: the same for those in a folder.
    extension: of every result, with its dot; None: that of the input's format, by content.
    copies: results are the inputs as they are, and keep their names.
    flat: the folders of inputs are not mirrored in the folder of results.
    """

    suffix: str = ""
    extension: str | None = None
    kind: FileKind = IMAGES
    suffix_in_folder: str = ""
    copies: bool = False
    flat: bool = False


def plan(
    inputs: Inputs,
    output: str | None,
    naming: Naming,
    *,
    force: bool = False,
    skip_existing: bool = False,
    shard: Shard | None = None,
    also_read: Iterable[object] = (),
) -> list[Job]:
    """Return the jobs for all inputs, in their order; with a shard, its part of the list sorted by path.

    output: a file, a folder (it exists as one, ends with a separator, or there are many inputs) or `-`;
    None: next to each input, for standard input standard output.
    also_read: other files, which no result may replace either.
    Raises UsageError when two inputs would become one path (in any shard), when an output is an input, exists
    already (unless `force` or `skip_existing`), or cannot be a file; FileError when no result can be written.
    """
    if force and skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    place = _destination(inputs, output, naming)
    entries: Sequence[Entry] = inputs.entries
    if shard is not None:
        # By name alone, without opening other shards' files: what collides there is refused here as well.
        _refuse_collisions([Job(entry.source, place(entry, _extension_by_name)) for entry in entries])
        entries = shard.of(entries)
    jobs = [_job(entry, place(entry, _extension_by_content), naming.kind) for entry in entries]
    _refuse_collisions(jobs)
    written = [job.output for job in jobs if isinstance(job.output, Place) and not job.problem]
    refuse_inputs(written, chain((entry.source for entry in inputs.entries), also_read))
    return _with_writable_folders(_decide_existing(jobs, force=force, skip_existing=skip_existing))


def plan_copies(
    jobs: Sequence[Job], folder: str, *, force: bool, skip_existing: bool, also_read: Iterable[object] = ()
) -> dict[Source, Place]:
    """Return the paths of copies of the jobs' inputs in a folder; existing ones that are kept have none.

    Raises UsageError as `plan`, if `folder` is rather the name of a file, and for a pipe, which is read only once.
    """
    for job in jobs:
        if isinstance(job.source, Place) and is_special(job.source):
            raise UsageError(f"{job.source} is a pipe or a device, of which no copy can be made")
    entries = tuple(Entry(job.source, job.place, job.problem) for job in jobs)
    found = plan(Inputs(entries, many=True), folder, Naming(copies=True), force=force, skip_existing=skip_existing)
    refuse_inputs([job.output for job in found if isinstance(job.output, Place)], also_read)
    return {job.source: job.output for job in found if isinstance(job.output, Place) and not job.skip}


def folders_of(*outputs: str | None) -> list[Place]:
    """Return the outputs that are folders by their names or on the disk."""
    return [location(output) for output in outputs if output and is_folder(output)]


ExtensionOf = Callable[[Source, FileKind], str]


def _destination(
    inputs: Inputs, output: str | None, naming: Naming
) -> Callable[[Entry, ExtensionOf], Place | Stream | None]:
    """Return a function that maps an entry to its output; one of many that has a problem has none."""
    from_stream = any(entry.source is Stream.STANDARD for entry in inputs.entries)

    def named(entry: Entry, path: Place, extension_of: ExtensionOf, suffix: str) -> Place:
        if naming.copies:
            return path
        extension = naming.extension or extension_of(entry.source, naming.kind)
        return path.with_name(f"{path.stem}{suffix}{extension}")

    if naming.suffix_in_folder and (from_stream or (output and not (inputs.many or is_folder(output)))):
        raise UsageError("--suffix names results next to their inputs or in a folder: leave it out with -o FILE")
    if output == "-" or (output is None and from_stream):
        if inputs.many:
            raise UsageError("-o - takes the result of one file: give a folder for several")
        return lambda entry, extension_of: Stream.STANDARD
    if output is None:

        def beside(entry: Entry, extension_of: ExtensionOf) -> Place | None:
            if entry.problem:
                return None
            return named(entry, location(str(entry.source)), extension_of, naming.suffix)

        return beside
    target = location(output)
    if not (inputs.many or is_folder(output)):
        return lambda entry, extension_of: target
    if from_stream:
        raise UsageError("standard input has no name to use in a folder: give -o FILE or -o -")
    missing = "".join(f" ({entry.source}: {entry.problem})" for entry in inputs.entries[:9] if entry.problem)
    check_folder(output, f"several inputs{missing}")

    def in_folder(entry: Entry, extension_of: ExtensionOf) -> Place | None:
        if entry.problem:
            return None
        place = target / (PurePath(entry.place.name) if naming.flat else entry.place)
        return named(entry, place, extension_of, naming.suffix_in_folder)

    return in_folder


def _extension_by_name(source: Source, kind: FileKind) -> str:
    suffix = PurePath(str(source)).suffix
    return suffix if suffix.lower() in kind.suffixes - READ_ONLY else ".png"


def _extension_by_content(source: Source, kind: FileKind) -> str:
    """Return the file's own extension if it is true, else the usual one of its format.

    The extension of a file at a URL is trusted: looking into a million of them would take hours.
    """
    suffix = PurePath(str(source)).suffix
    is_believed = isinstance(source, Remote) and suffix.lower() in kind.suffixes
    found = () if isinstance(source, Stream) or is_believed else kind.sniff(read_head(source))
    if not found:
        return _extension_by_name(source, kind)
    return suffix if suffix.lower() in found else found[0]


def _job(entry: Entry, output: Place | Stream | None, kind: FileKind) -> Job:
    """Return a job, with a problem if its result would replace its input, which is of another kind."""
    problem = entry.problem
    if output == entry.source and isinstance(output, Place) and not kind.sniff(read_head(output)):
        problem = problem or f"not {kind.one}"
    return Job(entry.source, output, problem, place=entry.place)


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    first: dict[str, Source] = {}
    found: list[str] = []
    for job in jobs:
        if not isinstance(job.output, Place):
            continue
        other = first.setdefault(_identity(job.output), job.source)
        if other is not job.source and not is_special(job.output):
            found.append(f"{other} and {job.source} would both become {job.output}")
    if found:
        more = f" (one of {len(found)} such pairs)" if len(found) > 1 else ""
        raise UsageError(f"{found[0]}{more}: rename one of each, or run them by suffix with different -o folders")


def _decide_existing(jobs: list[Job], *, force: bool, skip_existing: bool) -> list[Job]:
    on_existing = OnExisting.REPLACE if force else OnExisting.SKIP if skip_existing else OnExisting.FAIL
    existing = those_in_the_way(job.output for job in jobs if isinstance(job.output, Place))
    decided: list[Job] = []
    in_the_way: list[Place] = []
    for job in jobs:
        path, job = job.output, replace(job, on_existing=on_existing)
        if isinstance(path, Place) and path in existing:
            if path.is_dir():
                raise UsageError(f"{path} is a folder: the result of {job.source} cannot be written there")
            if not job.problem:
                in_the_way.append(path)
                job = replace(job, skip=skip_existing)
        decided.append(job)
    if not (force or skip_existing):
        refuse_existing(in_the_way, "--force replaces, --skip-existing goes on with the rest")
    return decided


def _with_writable_folders(jobs: list[Job]) -> list[Job]:
    """Return jobs, with a problem where the folder of the result is not writable.

    Raises FileError if none is writable, and StorageError if the disk of any is full or read only.
    """
    found: dict[Place, FileError | None] = {}
    checked: list[Job] = []
    for job in jobs:
        path = job.output
        if isinstance(path, Place) and not (job.problem or job.skip):
            if path.parent not in found:
                try:
                    check_writable(path)
                    found[path.parent] = None
                except StorageError:
                    raise
                except FileError as error:
                    found[path.parent] = error
            if problem := found[path.parent]:
                job = replace(job, problem=str(problem))
        checked.append(job)
    problems = [problem for problem in found.values() if problem is not None]
    if problems and len(problems) == len(found):
        raise problems[0]
    return checked


def _identity(path: Place) -> str:
    """Return a text that is the same for all names of a result, with links resolved."""
    if isinstance(path, Remote):
        return path.url
    if os.path.islink(path):  # noqa: PTH114 - never raises
        path = Path(os.path.realpath(path))
    folder, ignores_case = _real_folder(os.path.abspath(path.parent))  # noqa: PTH100 - as text: a million paths
    name = path.name.casefold() if ignores_case else path.name
    return os.path.join(folder, name)  # noqa: PTH118


@lru_cache(maxsize=1024)
def _real_folder(folder: str) -> tuple[str, bool]:
    """Return the real path of a folder, and whether it ignores the case of names."""
    real = os.path.realpath(folder)
    existing = next(path for path in (Path(real), *Path(real).parents) if os.path.isdir(path))  # noqa: PTH112
    return real, ignores_case(existing)
