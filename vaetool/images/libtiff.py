"""Capture of libtiff's errors while Pillow decodes, which would otherwise go to standard error."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from PIL import _imaging

_Handler = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)

_HEARD = threading.local()


@contextmanager
def heard() -> Iterator[list[str]]:
    """Yield a list that collects libtiff's errors in this thread, as patterns without numbers and names.

    An error need not end the decoding: a damaged page of a fax is left partly white. Where Pillow's libtiff cannot be
    reached, the list stays empty.
    """
    _listen()
    before, _HEARD.errors = getattr(_HEARD, "errors", []), []
    try:
        yield _HEARD.errors
    finally:
        _HEARD.errors = before


@cache
def _listen() -> Any:
    """Replace the functions that print by our own; return them, because they must be kept alive."""

    @_Handler
    def error(module: bytes, pattern: bytes, values: int) -> None:
        getattr(_HEARD, "errors", []).append(pattern.decode("latin-1"))

    try:
        libtiff = ctypes.CDLL(_imaging.__file__)  # finds the libtiff that Pillow is linked with
        libtiff.TIFFSetErrorHandler(error)
        libtiff.TIFFSetWarningHandler(None)
    except (AttributeError, OSError):
        pass
    return error
