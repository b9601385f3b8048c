"""Pairs: two files, or the files of two folders matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from vaetool.errors import UsageError
from vaetool.files.inputs import Entry, FileKind, Inputs, Source, Stream, expand
from vaetool.files.remote import Place


@dataclass(frozen=True)
class Pairs:
    """The files of one side, and their partners on the other.

    inputs: the first files; for one without a partner, that is its problem.
    partners: second files, by the first one.
    alone: files of the other side without a partner, which is their problem.
    """

    inputs: Inputs
    partners: dict[Source, Path]
    alone: tuple[Entry, ...] = ()


def pair(first: str, second: str, kind: FileKind, *, recursive: bool = False, leave_out: Sequence[Place] = ()) -> Pairs:
    """Pair two files (the first may be `-`, standard input), or the files of two folders.

    Files of folders belong together if their paths, without suffix, are the same; if there are several of one name, the
    one with the same suffix is taken. kind, recursive, leave_out: see `expand`.
    Raises UsageError for a file and a folder, and for folders without a file of the kind.
    """
    are_folders = [Path(place).is_dir() for place in (first, second)]
    if all(are_folders):
        found = [expand([place], kind=kind, recursive=recursive, leave_out=leave_out) for place in (first, second)]
        return _pair_by_name(found[0], second, found[1], first)
    if any(are_folders):
        folder, file = (first, second) if are_folders[0] else (second, first)
        raise UsageError(f"{folder} is a folder and {file} is not: name two files or two folders")
    if second == "-":
        raise UsageError("only the first of two files can be standard input; a file of that name is `./-`")
    source = Stream.STANDARD if first == "-" else Path(first)
    return Pairs(Inputs((Entry(source, PurePath(Path(first).name)),), many=False), {source: Path(second)})


def _pair_by_name(inputs: Inputs, folder: str, others: Inputs, first: str) -> Pairs:
    by_name: dict[PurePath, list[Entry]] = {}
    for other in others.entries:
        if not other.problem:
            by_name.setdefault(_name(other), []).append(other)
    entries: list[Entry] = []
    partners: dict[Source, Path] = {}
    claimed: set[Source] = set()
    for entry in inputs.entries:
        named = by_name.get(_name(entry), []) if not entry.problem else []
        found = [other for other in named if _suffix(other) == _suffix(entry)] or named
        claimed.update(other.source for other in found)
        if len(found) == 1:
            partners[entry.source] = Path(str(found[0].source))
        elif not entry.problem:
            several = f": {' and '.join(other.place.name for other in found)}" if found else ""
            entry = replace(entry, problem=f"has {'several partners' if found else 'no partner'} in {folder}{several}")
        entries.append(entry)
    alone = (replace(other, problem=other.problem or f"has no partner in {first}") for other in others.entries)
    return Pairs(
        replace(inputs, entries=tuple(entries), unread=(*inputs.unread, *others.unread)),
        partners,
        tuple(other for other in alone if other.source not in claimed),
    )


def _name(entry: Entry) -> PurePath:
    return entry.place.with_suffix("")


def _suffix(entry: Entry) -> str:
    return entry.place.suffix.lower()
