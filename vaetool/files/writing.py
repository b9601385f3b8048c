"""Writing a file: whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from vaetool.errors import FileError


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Write a file that is either complete or not there; missing folders are made, a file that exists is replaced.

    The mode is that of the file replaced, else the umask's. A symbolic link is followed, a device or pipe is written
    to directly. Raises FileError, naming the path.
    """
    target = Path(os.path.realpath(path))
    # In the same folder, since os.replace works only within a file system; short, since the name may be at its limit.
    temporary = target.with_name(f".vaetool-{secrets.token_hex(8)}.tmp")
    try:
        if is_special(target):
            target.write_bytes(data)
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or a power cut may leave the new name on an empty file
            if target.exists():
                temporary.chmod(stat.S_IMODE(target.stat().st_mode))
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error


def append(path: str | os.PathLike[str], data: bytes) -> None:
    """Add to the end of a file that exists. Raises FileError, naming the path."""
    try:
        with Path(path).open("ab") as file:
            file.write(data)
    except OSError as error:
        raise FileError(f"cannot write {path}: {error.strerror or error}") from error


def is_special(path: Path) -> bool:
    """Tell whether a path is a device or a pipe: written to directly, never replaced."""
    # Not Path.exists, which raises for a name that is too long.
    return os.path.exists(path) and not path.is_file() and not path.is_dir()  # noqa: PTH110
