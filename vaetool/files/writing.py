"""Writing files atomically, replacing others only on request."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vaetool.errors import AppearedError, FileError, StorageError
from vaetool.files.remote import Place, Remote

_ENDS_A_RUN = {errno.ENOSPC, errno.EDQUOT, errno.EROFS} if hasattr(errno, "EDQUOT") else {errno.ENOSPC, errno.EROFS}

PROBE = 4096
"""Bytes written to test whether a folder is writable: a full disk still accepts empty files."""


def write_atomically(path: str | os.PathLike[str] | Remote, data: bytes, *, replace: bool = True) -> None:
    """Write a file atomically: it is complete or does not exist; missing folders are created.

    replace: an existing file is replaced, and a symbolic link followed; otherwise whatever exists under the name is
    kept, even if it is created during the write. The mode is that of the replaced file, else the umask's. Devices and
    pipes are written to directly.
    Raises AppearedError for a file that exists and is kept, StorageError for a disk that is full or read only,
    FileError for anything else; each names the path.
    """
    if isinstance(path, Remote):
        if not path.publish(data, replace=replace):
            raise AppearedError(f"{path} was created during the run, so it was not replaced")
        return
    target = Path(os.path.realpath(path))
    with _errors(path):
        if is_special(target):
            target.write_bytes(data)
            return
        if not replace:
            target = Path(os.path.realpath(Path(path).parent), Path(path).name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not (_write_unnamed(target, data, replace=replace) or _write_hidden(target, data, replace=replace)):
            raise AppearedError(f"{path} was created during the run, so it was not replaced")


def append(path: str | os.PathLike[str], data: bytes) -> None:
    """Append to an existing file. Raises FileError, naming the path."""
    with _errors(path), Path(path).open("ab") as file:
        file.write(data)


def check_writable(path: str | os.PathLike[str] | Remote) -> None:
    """Raise what `write_atomically` would for this path because of its folder, or the nearest one that exists.

    For a URL, only an upload can show that.
    """
    if isinstance(path, Remote):
        return
    target = Path(os.path.realpath(path))
    if is_special(target):
        return
    folder = next((each for each in target.parents if os.path.lexists(each)), Path())
    with _errors(path):
        hidden = _hidden_in(folder)
        try:
            descriptor = _unnamed_in(folder)
            with hidden.open("xb") if descriptor is None else open(descriptor, "wb") as file:  # noqa: PTH123
                file.write(bytes(PROBE))
        finally:
            with suppress(OSError):
                hidden.unlink(missing_ok=True)


def is_special(path: Place) -> bool:
    """Tell whether a path is a device or a pipe: written to directly, never replaced."""
    if isinstance(path, Remote):
        return False
    # Not Path.exists, which raises for a name that is too long.
    return os.path.exists(path) and not path.is_file() and not path.is_dir()  # noqa: PTH110


@contextmanager
def _errors(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = StorageError if error.errno in _ENDS_A_RUN else FileError
        raise kind(f"cannot write {path}: {error.strerror or error}") from error


def _hidden_in(folder: Path) -> Path:
    # Short, since the name of the result may be at its limit.
    return folder / f".vaetool-{secrets.token_hex(8)}.tmp"


def _unnamed_in(folder: Path) -> int | None:
    """Open a nameless file, which vanishes if this process is killed; None where there are no such files."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o666)
    except OSError as error:
        if error.errno in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}:
            return None  # a file system, or a kernel, without them
        raise


def _write_unnamed(target: Path, data: bytes, *, replace: bool) -> bool:
    """Write a file that has no name until it is complete; return False if it could not be given its name."""
    descriptor = _unnamed_in(target.parent)
    if descriptor is None:
        return False
    with open(descriptor, "wb") as file:  # noqa: PTH123
        _fill(file.fileno(), data)
        if replace and (mode := _mode_of(target)) is not None:
            os.fchmod(descriptor, mode)
        try:
            _link(descriptor, target)
        except FileExistsError:
            if not replace:
                return False
            hidden = _hidden_in(target.parent)
            try:
                _link(descriptor, hidden)
                hidden.replace(target)
            finally:
                hidden.unlink(missing_ok=True)
        except FileNotFoundError:
            return False  # no /proc
    return True


def _link(descriptor: int, name: Path) -> None:
    # With a folder, which an absolute path makes no use of, Python calls linkat, the one that follows links.
    os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor, follow_symlinks=True)


def _write_hidden(target: Path, data: bytes, *, replace: bool) -> bool:
    """Write a file under a hidden name first; return False if its own is taken and is to be kept."""
    hidden = _hidden_in(target.parent)
    try:
        with hidden.open("xb") as file:
            _fill(file.fileno(), data)
        if replace:
            if (mode := _mode_of(target)) is not None:
                hidden.chmod(mode)
            hidden.replace(target)
            return True
        try:
            os.link(hidden, target)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links: the name may be taken in the instant after it was free
            if os.path.lexists(target):
                return False
            hidden.rename(target)
        return True
    finally:
        with suppress(OSError):
            hidden.unlink(missing_ok=True)


def _fill(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.fsync(descriptor)  # or a power cut may leave the new name on an empty file


def _mode_of(path: Path) -> int | None:
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None
