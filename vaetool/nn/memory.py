"""Release of unused memory that a process holds."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any


def give_back() -> None:
    """Return freed memory to the system if the C library is glibc, which otherwise keeps some.

    The milliseconds are worth it between parts of a picture that need hundreds of megabytes each.
    """
    if (trim := _trim()) is not None:
        trim(0)


@cache
def _trim() -> Any:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):  # macOS, Windows, musl
        return None
