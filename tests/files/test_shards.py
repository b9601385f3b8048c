"""Which part of the files a process works on: `vaetool.files.shards`."""

from __future__ import annotations

import pytest

from tests.files.helpers import touch
from vaetool.errors import UsageError
from vaetool.files.inputs import expand
from vaetool.files.shards import Shard, parse_shard, slurm_shard


@pytest.mark.parametrize("text", ["3/3", "-1/3", "1", "a/b", "1/0", ""])
def test_a_shard_that_does_not_exist_is_a_usage_error(text):
    with pytest.raises(UsageError, match="from 0 to n - 1"):
        parse_shard(text)


def slurm(**values: int) -> dict[str, str]:
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in values.items()}


def test_a_slurm_array_task_knows_its_shard():
    assert slurm_shard({}) is None
    assert slurm_shard(slurm(ID=0, MIN=0, MAX=3, COUNT=4, STEP=1)) == Shard(0, 4, only_shared=True)
    assert slurm_shard(slurm(ID=7, MIN=1, MAX=9, COUNT=5, STEP=2)) == Shard(3, 5, only_shared=True)


def test_a_slurm_array_with_gaps_is_refused():
    with pytest.raises(UsageError, match="gaps"):
        slurm_shard(slurm(ID=3, MIN=1, MAX=7, COUNT=3, STEP=1))


def test_what_only_this_process_was_given_is_not_divided(here):
    touch("own.png", "mine.png", *(f"f/{number}.png" for number in range(4)), "listed.png")
    touch("list", data=b"listed.png\n")
    found = expand(["own.png", "f", "m*.png"], files_from="list").entries

    def part(shard: Shard) -> list[str]:
        return [str(entry.source) for entry in shard.of(found)]

    assert part(Shard(1, 3, only_shared=True)) == ["own.png", "mine.png", "f/1.png", "listed.png"]
    assert part(Shard(1, 3)) == ["f/1.png", "listed.png"]
