"""Paths of results: one rule for what is a folder, and one wording for results that exist."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from vaetool.errors import UsageError
from vaetool.files.remote import Place, Remote, location
from vaetool.files.writing import check_writable, is_special

STANDARD_OUTPUT = "-"


def is_folder(output: str | os.PathLike[str], *, without_suffix: bool = False) -> bool:
    """Tell whether the name of a result is that of a folder: it ends with a separator, or exists as one.

    without_suffix: a name without a suffix is a folder, too, unless it is a device or a pipe; for commands that write
    one file or several. Raises UsageError for an empty name.
    """
    text = os.fspath(output)
    if not text:
        raise UsageError("-o: an empty name")
    separators = tuple(filter(None, (os.sep, os.altsep)))
    place = location(text)
    if text.endswith(separators) or place.is_dir():
        return True
    return without_suffix and text != STANDARD_OUTPUT and not place.suffix and not is_special(place)


def check_folder(output: str, what: str) -> None:
    """Raise UsageError if a folder, as typed, looks like a file; what: the results to be written there."""
    path = location(output)
    if isinstance(path, Path) and os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112 - never raises
        raise UsageError(f"{output} is not a folder: {what} need a folder")
    if not is_folder(output, without_suffix=True):
        raise UsageError(f"{output} is a name for a file: {what} need a folder, such as {path.with_name(path.stem)}/")


def is_in_the_way(path: Place) -> bool:
    """Tell whether writing a result would replace something; devices and pipes are written to."""
    if isinstance(path, Remote):
        return path.exists()
    return os.path.lexists(path) and not is_special(path)


def those_in_the_way(paths: Iterable[Place]) -> set[Place]:
    """Return the results that exist, see `is_in_the_way`; a remote folder with several of them is listed once."""
    found: set[Place] = set()
    by_folder: defaultdict[Remote, list[Place]] = defaultdict(list)
    for path in paths:
        if isinstance(path, Remote):
            by_folder[path.parent].append(path)
        elif is_in_the_way(path):
            found.add(path)
    for folder, results in by_folder.items():
        if len(results) == 1:
            found.update(filter(is_in_the_way, results))
        else:
            found.update(folder.present().intersection(results))
    return found


def refuse_existing(paths: Sequence[Place], advice: str = "--force replaces") -> None:
    """Raise UsageError if any of the results exists."""
    existing = [path for path in paths if is_in_the_way(path)]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]} exists{more}: {advice}")


def check_results(paths: Sequence[Path], *, force: bool) -> None:
    """Raise UsageError if any of the results exists, unless `force`, and FileError if one cannot be written."""
    if not force:
        refuse_existing(paths)
    for path in {path.parent: path for path in paths}.values():
        check_writable(path)


def refuse_inputs(results: Iterable[Place], read: Iterable[object]) -> None:
    """Raise UsageError if a result would replace a file that is read, even under another name: a link, other case.

    read: paths; other objects are ignored. They are iterated over only if a result exists.
    """
    existing = [(path, key) for path in results if (key := _identity(path)) is not None]
    if not existing:
        return
    inputs = {key for path in read if (key := _identity(path)) is not None}
    for path, key in existing:
        if key in inputs:
            raise UsageError(f"{path} is an input: results never replace inputs, choose another output")


def size_of(written: Iterable[Path]) -> int:
    """Return the total size of results in bytes, not counting devices and pipes."""
    return sum(path.stat().st_size for path in written if path.is_file())


def ignores_case(folder: Path) -> bool:
    """Tell whether a folder ignores the case of names, as is usual on Windows and macOS."""
    with suppress(OSError), os.scandir(folder) as entries:
        inside = (Path(entry.path) for entry in entries)
        for path in chain(inside, (folder, *folder.parents)):
            other = path.name.swapcase()
            if other != path.name:
                # Not the status of what a link leads to: the other name may well be a link to this file.
                return os.path.samestat(path.lstat(), path.with_name(other).lstat())
    return False


def _identity(path: object) -> tuple[int, int] | str | None:
    """Return an identity that a regular file has under all its names, links included; for a URL, the URL."""
    if isinstance(path, Remote):
        return path.url
    if not isinstance(path, Path):
        return None
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return (status.st_dev, status.st_ino) if path.is_file() else None
