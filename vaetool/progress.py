"""Progress of the work on one picture: workers report it, listeners show it.

    for part in tracked(tiles, "cleaning"): ...          in a model
    with listening(lambda task, done, total: ...): ...   in a program

A listener hears of work in its own context (thread) only; without one, nothing is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Listener = Callable[[str, int, int], None]
"""Function of a task, the number of its finished parts, and the number of all parts."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tracked(parts: Iterable[T], task: str) -> Iterator[T]:
    """Yield the parts of a task, reporting the finished ones to the listener before each and after the last."""
    listener = _listener.get()
    if listener is None:
        yield from parts
        return
    parts = list(parts)
    for number, part in enumerate(parts):
        listener(task, number, len(parts))
        yield part
    listener(task, len(parts), len(parts))


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Report all work done in this context to a function."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
