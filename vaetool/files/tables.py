"""Tables: CSV files with a header of column names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from vaetool.errors import UsageError


def read_table(path: str | Path, columns: Sequence[str]) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the number of each line of a CSV file and its values in some columns.

    Raises UsageError for a file that cannot be read, and for one that lacks a column.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                raise UsageError(f"{path}: has no column {missing[0]!r}; it needs {' and '.join(columns)}")
            for row in rows:
                yield rows.line_num, tuple(row[column] or "" for column in columns)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read ({error.strerror or error})") from error
    except csv.Error as error:
        raise UsageError(f"{path}: is not a CSV file ({error})") from error
