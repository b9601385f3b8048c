"""Sharing the cores of a CPU among many pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from vaetool.files.batch import SideBySide

T = TypeVar("T")

MAX_PIXELS = 2**21
"""Largest picture, in pixels, that is processed beside others: two larger ones would need too much memory."""


def side_by_side(device: torch.device, pixels: Callable[[T], int]) -> SideBySide[T] | None:
    """Return the settings for processing pictures in parallel, one core each: faster than all cores on one at a time.

    pixels: returns the number of pixels of a file. Returns None on a single core or a device other than a CPU, where
    there is nothing to gain.
    """
    cores = torch.get_num_threads()
    if cores == 1 or device.type != "cpu":
        return None
    return SideBySide(cores, lambda item: pixels(item) <= MAX_PIXELS, lambda: torch.set_num_threads(1))
