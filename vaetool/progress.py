"""How far the work on one picture is: who does it tells, who shows it listens.

    for part in tracked(tiles, "cleaning"): ...          in a model
    with listening(lambda task, done, total: ...): ...   in a program

A listener hears of work in its own context (thread) only; without one, nothing is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")

Listener = Callable[[str, int, int], None]
"""Takes what is done, how many of its parts are finished, and how many there are."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def tracked(parts: Iterable[T], task: str) -> Iterator[T]:
    """Yield the parts of a task, and tell the listener before each and after the last how many are finished."""
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
    """Let a function hear of all work done in this context."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
