"""Prefetching: a second thread makes the next batch while the first one trains."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

import torch

from vaetool.nn.base import Batch

Make = Callable[[int, int], Batch]


class Prefetcher:
    """Maker of batches with `make(step, size)`, one ahead.

    A batch depends on its step and size alone, so it does not matter which thread made it, or when; one made for
    another size than the one requested later (crops grow during a run) is made again, and so is one made before a
    `discard`.
    """

    def __init__(self, make: Make) -> None:
        self.make = make
        # One thread for its arithmetic, too: the others belong to the network.
        self.pool = ThreadPoolExecutor(1, "batches", initializer=torch.set_num_threads, initargs=(1,))
        self.ahead: tuple[tuple[int, int], Future[Batch]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)

    def batch(self, step: int, size: int) -> Batch:
        """Return the batch of a step, and start making the next one. Raises what `make` raises."""
        ready, self.ahead = self.ahead, None
        batch = ready[1].result() if ready is not None and ready[0] == (step, size) else None
        following = (step + 1, size)
        self.ahead = (following, self.pool.submit(self.make, *following))
        return batch if batch is not None else self.make(step, size)

    def discard(self) -> None:
        """Discard the batch that is made ahead, since batches are now made from something else."""
        self.ahead = None
