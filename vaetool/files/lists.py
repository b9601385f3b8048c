"""Lists of files: names on lines or terminated by NUL; in UTF-8, any other bytes, or UTF-16 as Windows writes it."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import Any

from vaetool.errors import FileError, UsageError
from vaetool.files.remote import Remote, location
from vaetool.files.streams import standard_stream

BLOCK = 1 << 16  # most bytes that are read at once
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_list(source: str, null: bool) -> Iterator[str]:
    """Yield the names in a list (`-`: standard input) as they arrive; null: they are terminated by NUL.

    Raises UsageError for a list that cannot be read.
    """
    try:
        with _opened(source) as file:
            rest = b""
            for block in _blocks(file):
                *names, rest = (rest + block).split(b"\0" if null else b"\n")
                yield from _names(names, null)
            yield from _names([rest], null)
    except OSError as error:
        raise UsageError(f"{source}: cannot read the list of files: {error.strerror}") from error
    except FileError as error:
        raise UsageError(f"{source}: cannot read the list of files: {error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{source}: begins like UTF-16, but is not: {error.reason}") from error


def _opened(source: str) -> AbstractContextManager[Any]:
    if source == "-":
        return nullcontext(standard_stream())
    place = location(source)
    return BytesIO(place.read_bytes()) if isinstance(place, Remote) else place.open("rb")


def _blocks(file: Any) -> Iterator[bytes]:
    """Yield the contents of a file; if it begins with a byte-order mark, as UTF-8 without the mark."""
    first = b""
    while len(first) < len(codecs.BOM_UTF8) and (more := file.read1(BLOCK)):
        first += more
    is_utf_16 = first.startswith(UTF_16)
    decoder = codecs.getincrementaldecoder("utf-16")()
    yield decoder.decode(first).encode() if is_utf_16 else first.removeprefix(codecs.BOM_UTF8)
    while block := file.read1(BLOCK):
        yield decoder.decode(block).encode() if is_utf_16 else block
    if is_utf_16:
        decoder.decode(b"", final=True)


def _names(lines: list[bytes], null: bool) -> Iterator[str]:
    for line in lines:
        if name := line if null else line.removesuffix(b"\r"):
            yield os.fsdecode(name)
