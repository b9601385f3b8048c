"""Facts about a finished file, as a line of text and as JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any


def sentence(source: object, output: object, facts: Mapping[str, Any]) -> str:
    """Return a line with a file, the path of its result, if any, and its facts."""
    arrow = "" if output is None else f" -> {output}"
    details = ", ".join(f"{name} {_short(value)}" for name, value in facts.items())
    return f"{source}{arrow}" + (f" ({details})" if details else "")


class Named:
    """Counter of files that share a message, naming the first ones."""

    MOST = 5

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, source: object) -> None:
        """Count a file."""
        self.count += 1
        if self.count <= self.MOST:
            self._first.append(str(source))

    def __str__(self) -> str:
        more = self.count - len(self._first)
        return ", ".join(self._first) + (f" and {more} more" if more else "")


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain(value: Any) -> Any:
    """Convert a value for JSON: unwrap arrays and array scalars, turn nan and infinities into None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, os.PathLike) else value
