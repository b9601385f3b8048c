"""Reading ahead in threads that can be abandoned."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 0.5
"""Seconds that calls in progress have to finish once no results are wanted: most do, and blocked ones never would."""


def in_order(calls: Iterable[Callable[[], T]], *, threads: int, ahead: int) -> Generator[T, None, None]:
    """Yield the results of calls in order, from threads that make at most `ahead` of them before they are asked for.

    A call that blocks for ever, as reading from a pipe may, does not keep the process from ending, as it would in a
    ThreadPoolExecutor. Exceptions of a call are raised here.
    """
    waiting: queue.SimpleQueue[tuple[Callable[[], T], Future[T]] | None] = queue.SimpleQueue()
    workers = [threading.Thread(target=_work, args=[waiting], name=f"read_{k}", daemon=True) for k in range(threads)]
    for worker in workers:
        worker.start()
    pending: deque[Future[T]] = deque()
    try:
        for call in calls:
            pending.append(Future())
            waiting.put((call, pending[-1]))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for _ in workers:
            waiting.put(None)
        for worker in workers:
            worker.join(PATIENCE / threads)


def _work(waiting: queue.SimpleQueue[tuple[Callable[[], T], Future[T]] | None]) -> None:
    while (task := waiting.get()) is not None:
        call, future = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)
        del task, call, future  # or a picture stays in memory until the next one is read
