"""From inputs to jobs: which file becomes which, with whatever cannot work out refused before any work begins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePath

from vaetool.errors import UsageError
from vaetool.files.inputs import IMAGES, READ_ONLY, Entry, FileKind, Inputs, Shard, Source, Stream, read_head
from vaetool.files.outputs import is_folder, is_in_the_way, refuse_existing
from vaetool.files.writing import is_special


@dataclass(frozen=True)
class Job:
    """One file to work on.

    output:  where the result goes; None for a command that writes none.
    problem: what is known to be wrong before the file is opened; the job fails with it.
    skip:    the result exists and is to be kept.
    """

    source: Source
    output: Path | Stream | None = None
    problem: str | None = None
    skip: bool = False


@dataclass(frozen=True)
class Naming:
    """How results are named: `photo.png` becomes `photo.SUFFIX.png` next to the input, `photo.png` in a folder.

    extension: of every result, with its dot; None: that of the input's format, by content.
    """

    suffix: str = ""
    extension: str | None = None
    kind: FileKind = IMAGES


def plan(
    inputs: Inputs,
    output: str | None,
    naming: Naming,
    *,
    force: bool = False,
    skip_existing: bool = False,
    shard: Shard | None = None,
    also_read: Iterable[Source] = (),
) -> list[Job]:
    """Return the jobs for all inputs, in their order; with a shard, its part of the list sorted by path.

    output: a file, a folder (it exists as one, ends with a separator, or there are many inputs) or `-`;
    None: next to each input, for standard input standard output.
    also_read: other files, which no result may replace either.
    Raises UsageError when two inputs would become one path (in any shard), when an output is an input, exists
    already (unless `force` or `skip_existing`), or cannot be a file.
    """
    if force and skip_existing:
        raise UsageError("--force and --skip-existing exclude each other")
    place = _destination(inputs, output, naming)
    entries: Sequence[Entry] = inputs.entries
    if shard is not None:
        # By name alone, without opening other shards' files: what collides there is refused here as well.
        _refuse_collisions([Job(entry.source, place(entry, _extension_by_name)) for entry in entries])
        entries = shard.of(sorted(entries, key=lambda entry: str(entry.source)))
    jobs = [Job(entry.source, place(entry, _extension_by_content), entry.problem) for entry in entries]
    _refuse_collisions(jobs)
    _refuse_inputs_as_outputs(jobs, [*(entry.source for entry in inputs.entries), *also_read])
    return _settle_existing(jobs, force=force, skip_existing=skip_existing)


def folder_of(output: str | None) -> Path | None:
    """Return the folder that `-o` names, if the text and the disk alone show that it is one."""
    return Path(output) if output and is_folder(output) else None


ExtensionOf = Callable[[Source, FileKind], str]


def _destination(
    inputs: Inputs, output: str | None, naming: Naming
) -> Callable[[Entry, ExtensionOf], Path | Stream | None]:
    """Return the function that gives an entry its output."""
    from_stream = any(entry.source is Stream.STANDARD for entry in inputs.entries)

    def named(entry: Entry, path: PurePath, extension_of: ExtensionOf, suffix: str) -> Path:
        extension = naming.extension or extension_of(entry.source, naming.kind)
        middle = f".{suffix}" if suffix else ""
        return Path(path.with_name(f"{path.stem}{middle}{extension}"))

    if output == "-" or (output is None and from_stream):
        if inputs.many:
            raise UsageError("-o - takes the result of one file: give a folder for several")
        return lambda entry, extension_of: Stream.STANDARD
    if output is None:
        return lambda entry, extension_of: named(entry, PurePath(str(entry.source)), extension_of, naming.suffix)
    named_folder = is_folder(output)
    target = Path(output)
    if not (inputs.many or named_folder):
        return lambda entry, extension_of: target
    if from_stream:
        raise UsageError("standard input has no name to use in a folder: give -o FILE or -o -")
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file: several inputs need a folder")
    return lambda entry, extension_of: named(entry, target / entry.place, extension_of, "")


def _extension_by_name(source: Source, kind: FileKind) -> str:
    suffix = Path(str(source)).suffix
    return suffix if suffix.lower() in kind.suffixes - READ_ONLY else ".png"


def _extension_by_content(source: Source, kind: FileKind) -> str:
    """Return the file's own extension where it tells the truth, else the usual one of the format that it is in."""
    found = () if source is Stream.STANDARD else kind.sniff(read_head(Path(str(source))))
    suffix = Path(str(source)).suffix
    if not found:
        return _extension_by_name(source, kind)
    return suffix if suffix.lower() in found else found[0]


def _refuse_collisions(jobs: Iterable[Job]) -> None:
    first: dict[str, Source] = {}
    for job in jobs:
        if not isinstance(job.output, Path):
            continue
        other = first.setdefault(_identity(job.output), job.source)
        if other is not job.source and not is_special(job.output):
            raise UsageError(
                f"{other} and {job.source} would both become {job.output}: "
                "rename one, or run them with different -o folders"
            )


def _refuse_inputs_as_outputs(jobs: Sequence[Job], read: Sequence[Source]) -> None:
    # Not Path.exists, which raises for a name that is too long.
    existing = [job for job in jobs if isinstance(job.output, Path) and os.path.exists(job.output)]  # noqa: PTH110
    if not existing:
        return
    sources = {key for source in read if (key := _inode(source)) is not None}
    for job in existing:
        if _inode(job.output) in sources:
            raise UsageError(f"{job.output} is an input: results never replace inputs, choose another place")


def _settle_existing(jobs: list[Job], *, force: bool, skip_existing: bool) -> list[Job]:
    settled: list[Job] = []
    in_the_way: list[Path] = []
    for job in jobs:
        path = job.output
        exists = isinstance(path, Path) and is_in_the_way(path)
        if exists and isinstance(path, Path) and path.is_dir():
            raise UsageError(f"{path} is a folder: the result of {job.source} cannot be written there")
        if exists and isinstance(path, Path) and not job.problem:
            in_the_way.append(path)
            job = replace(job, skip=skip_existing)
        settled.append(job)
    if not (force or skip_existing):
        refuse_existing(in_the_way, "--force replaces, --skip-existing goes on with the rest")
    return settled


def _inode(path: object) -> tuple[int, int] | None:
    """Return what identifies a regular file under all its names, links included."""
    if not isinstance(path, Path):
        return None
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if path.is_file() else None


def _identity(path: Path) -> str:
    return os.path.join(_real_folder(str(path.parent)), path.name)  # noqa: PTH118 - as text: a million paths


@lru_cache(maxsize=1024)
def _real_folder(folder: str) -> str:
    return os.path.realpath(folder)
