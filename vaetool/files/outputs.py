"""Where results go: one rule for what is a folder, and one wording for what is in the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from vaetool.errors import UsageError
from vaetool.files.writing import is_special

STANDARD_OUTPUT = "-"


def is_folder(output: str | os.PathLike[str], *, without_suffix: bool = False) -> bool:
    """Tell whether the name of a result is that of a folder: it ends with a separator, or exists as one.

    without_suffix: a name without a suffix is one, too, unless it is a device or a pipe; for commands whose results are
    several files or one. Raises UsageError for an empty name.
    """
    text = os.fspath(output)
    if not text:
        raise UsageError("-o: an empty name")
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if text.endswith(separators) or Path(text).is_dir():
        return True
    return without_suffix and text != STANDARD_OUTPUT and not Path(text).suffix and not is_special(Path(text))


def is_in_the_way(path: Path) -> bool:
    """Tell whether writing a result would replace something; devices and pipes are written to."""
    return os.path.lexists(path) and not is_special(path)


def refuse_existing(paths: Sequence[Path], advice: str = "--force replaces") -> None:
    """Raise UsageError if any of the results exists."""
    existing = [path for path in paths if is_in_the_way(path)]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise UsageError(f"{existing[0]} exists{more}: {advice}")
