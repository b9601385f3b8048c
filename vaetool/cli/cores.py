"""How commands share the cores of a CPU among many pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from vaetool.files.batch import SideBySide

T = TypeVar("T")

MAX_PIXELS = 2**21
"""Larger pictures are worked on one after the other: two at once would need too much memory."""


def side_by_side(device: torch.device, pixels: Callable[[T], int]) -> SideBySide[T] | None:
    """Return how to work on pictures at once, a core for each: faster than all cores on one after the other.

    pixels: tells how many a file has. None where that is no gain: on a single core, and on other devices than a CPU.
    """
    cores = torch.get_num_threads()
    if cores == 1 or device.type != "cpu":
        return None
    return SideBySide(cores, lambda item: pixels(item) <= MAX_PIXELS, lambda: torch.set_num_threads(1))
