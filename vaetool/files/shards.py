"""Shards: parts of the files, so that any scheduler can spread a folder over many processes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vaetool.errors import UsageError

if TYPE_CHECKING:
    from vaetool.files.inputs import Entry


@dataclass(frozen=True)
class Shard:
    """Every `count`-th file, starting with number `index`, counted from 0.

    only_shared: divide only inputs that other processes see as well, in a folder or a list; keep files named one by
    one.
    """

    index: int
    count: int
    only_shared: bool = False

    def of(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the inputs of this shard: those that are not divided, and its part of the others, by path."""
        divided = [entry for entry in entries if entry.shared or not self.only_shared]
        whole = [entry for entry in entries if self.only_shared and not entry.shared]
        return [*whole, *sorted(divided, key=lambda entry: str(entry.source))[self.index :: self.count]]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


def parse_shard(text: str) -> Shard:
    """Parse `i/n` with i from 0 to n - 1. Raises UsageError for anything else."""
    index, slash, count = text.partition("/")
    if slash and index.isdecimal() and count.isdecimal() and int(index) < int(count):
        return Shard(int(index), int(count))
    raise UsageError(f"--shard {text}: expected i/n with i from 0 to n - 1, such as 0/4")


def slurm_shard(environment: Mapping[str, str] = os.environ) -> Shard | None:
    """Return the shard of a Slurm array task by SLURM_ARRAY_TASK_ID, _MIN, _MAX, _STEP and _COUNT; None outside one.

    It divides folders and lists: a file named one by one may be a different one in every task.
    Raises UsageError for an array with gaps, in which a task cannot know which one it is.
    """
    names = ("ID", "MIN", "COUNT")
    if not all(f"SLURM_ARRAY_TASK_{name}" in environment for name in names):
        return None
    try:
        task, first, count = (int(environment[f"SLURM_ARRAY_TASK_{name}"]) for name in names)
        step = int(environment.get("SLURM_ARRAY_TASK_STEP", 1))
        last = int(environment.get("SLURM_ARRAY_TASK_MAX", first + step * (count - 1)))
    except ValueError as error:
        raise UsageError(f"SLURM_ARRAY_TASK_*: {error}; give --shard i/n") from error
    index, rest = divmod(task - first, max(step, 1))
    if rest or not 0 <= index < count or (last - first) // max(step, 1) + 1 != count:
        raise UsageError("this Slurm array has gaps: give --shard i/n, or --shard 0/1 for all files")
    return Shard(index, count, only_shared=True)
