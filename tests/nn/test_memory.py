import platform
from pathlib import Path

import numpy as np
import pytest

from vaetool.nn.memory import give_back

PAGE = 4096
COUNT = 30_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries do not keep what is freed")
def test_gives_back_what_was_freed_below_what_is_still_in_use():
    blocks = [np.ones(PAGE, np.uint8) for _ in range(COUNT)]
    last = np.ones(PAGE, np.uint8)  # above them on the heap, which keeps it from shrinking by itself
    del blocks
    before = resident()
    give_back()
    assert before - resident() > COUNT * PAGE / 2
    assert last.all()
