"""Walking through the files below a folder, on a disk or at a URL, in order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from vaetool.errors import FileError
from vaetool.files.remote import Place, Remote


def walk(
    folder: Place, failures: list[tuple[Place, str]], *, recursive: bool, leave_out: Sequence[Place]
) -> Iterator[tuple[Place, PurePath]]:
    """Yield all files of a folder in sorted order, before those of its sub-folders, each with its path below it.

    leave_out: sub-folders that are not searched; nor are hidden ones. Folders that cannot be listed are added to
    `failures`, with the reason.
    """
    if isinstance(folder, Remote):
        excluded = [each for each in leave_out if isinstance(each, Remote)]
        try:
            yield from folder.files(recursive=recursive, leave_out=excluded)
        except FileError as error:
            failures.append((folder, str(error)))
    else:
        yield from _walk_disk(folder, failures, recursive, leave_out)


def _walk_disk(
    folder: Path, failures: list[tuple[Place, str]], recursive: bool, leave_out: Sequence[Place]
) -> Iterator[tuple[Path, PurePath]]:
    errors: list[OSError] = []
    excluded = {os.path.realpath(each) for each in leave_out if isinstance(each, Path)}
    for parent, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and os.path.realpath(Path(parent, name)) not in excluded
        )
        for path in (Path(parent, name) for name in sorted(files)):
            yield path, path.relative_to(folder)
    failures.extend((Path(error.filename), error.strerror or "cannot be listed") for error in errors)
