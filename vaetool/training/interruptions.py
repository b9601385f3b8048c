"""Deferral of Ctrl-C, SIGTERM and SIGHUP to the end of a step, so that only complete states are saved."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, Self

from vaetool.files.signals import SIGNALS


class Interruptions:
    """A context in which the first signal is only noted; a second one acts at once, as outside.

    Outside the main thread, where signals never arrive, it does nothing. Ignored signals stay ignored.
    """

    def __init__(self) -> None:
        self.noted: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def act(self) -> None:
        """Let the deferred signal act now (SIGTERM, if another process got it)."""
        self._restore()
        signal.raise_signal(self.noted or signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.noted is not None:
            self._restore()
            signal.raise_signal(number)
        self.noted = number

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
