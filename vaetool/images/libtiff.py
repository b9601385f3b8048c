"""What libtiff has to say while Pillow decodes: it would go to standard error, past everybody."""

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
    """Yield a list that gets the errors libtiff reports in this thread, as patterns without numbers and names.

    An error need not end the decoding: what a damaged page of a fax leaves white is one. Where Pillow contains libtiff
    in such a way that it cannot be reached, the list stays empty.
    """
    _listen()
    before, _HEARD.errors = getattr(_HEARD, "errors", []), []
    try:
        yield _HEARD.errors
    finally:
        _HEARD.errors = before


@cache
def _listen() -> Any:
    """Put functions of our own in place of those that print; they are returned, as they must live on."""

    @_Handler
    def error(module: bytes, pattern: bytes, values: int) -> None:
        getattr(_HEARD, "errors", []).append(pattern.decode("latin-1"))

    try:
        libtiff = ctypes.CDLL(_imaging.__file__)  # what Pillow is linked with is found through it
        libtiff.TIFFSetErrorHandler(error)
        libtiff.TIFFSetWarningHandler(None)
    except (AttributeError, OSError):
        pass
    return error
