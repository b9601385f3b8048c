"""Standard input."""

from __future__ import annotations

import sys
from typing import Any

from vaetool.errors import UsageError


def standard_input() -> bytes:
    """Read all of standard input. Raises UsageError if it is closed."""
    return standard_stream().read()


def standard_stream() -> Any:
    """Return standard input as a stream of bytes. Raises UsageError if it is closed."""
    if sys.stdin is None:
        raise UsageError("standard input is closed")
    return sys.stdin.buffer
