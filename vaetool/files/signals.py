"""Ctrl-C, SIGTERM and SIGHUP: ending a command at any moment without a traceback, with exit code 128 + signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

INTERRUPTED = 128 + signal.SIGINT

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals among these that this system has."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP arrived; raised in the main thread so that every clean-up runs. `exit_code` is 128 + signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def words(number: int) -> str:
    """Return the line that a command prints when a signal ends it."""
    return "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"


def end_at_once(number: int, frame: FrameType | None = None) -> None:
    """End the process at once, which loses nothing: files are complete or do not exist."""
    with suppress(OSError):
        os.write(2, f"{words(number)}\n".encode())
    os._exit(128 + number)


def set_handlers(handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Set a handler, in the main thread, for signals that are not ignored; return the previous ones by number."""
    previous: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, handler) or signal.SIG_DFL
    return previous


@contextmanager
def raised() -> Iterator[list[int]]:
    """Make signals raise `KeyboardInterrupt` or `Terminated` in this context; yield the list of those received.

    During an import they end the process at once: an exception inside an import can turn into anything, and no result
    is being written then. So does a second Ctrl-C, in case a clean-up blocks; a second SIGTERM is ignored, because its
    senders are not impatient.
    """
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        if _is_importing(frame) or (number == signal.SIGINT and number in came):
            end_at_once(number)
        came.append(number)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the clean-up
        raise Terminated(number)

    previous = set_handlers(stop)
    try:
        yield came
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
