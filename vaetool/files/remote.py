"""Files at URLs, such as `s3://bucket/photos/1.jpg`, through fsspec, which is imported when one is named.

A folder is a URL that ends in `/`. Listings are never cached, since other processes write at the same time.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from vaetool.errors import FileError, StorageError, UsageError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MAGIC = re.compile(r"[*?[]")

LOCAL = ("file", "local")
"""Protocols of the local disk, whose URLs are treated as paths."""

OBJECTS = frozenset(["s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oss", "oci", "hf", "memory"])
"""Protocols of object stores: an upload appears only when it is complete."""


@dataclass(frozen=True)
class Remote:
    """A file or folder at a URL, with the parts of the interface of `pathlib.Path` that are needed."""

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, place: PurePath) -> Remote:
        return Remote(f"{self.url.rstrip('/')}/{place.as_posix()}")

    @property
    def name(self) -> str:
        """The last part."""
        return self.url.partition("://")[2].rstrip("/").rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The suffix of the last part, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> Remote:
        """The folder."""
        return Remote(self.url.rstrip("/").removesuffix(self.name))

    def with_name(self, name: str) -> Remote:
        """Return the file of another name in the same folder."""
        return Remote(f"{self.parent}{name}")

    def is_dir(self) -> bool:
        """Tell whether this is the name of a folder: it ends in `/`."""
        return self.url.endswith("/")

    def exists(self) -> bool:
        """Tell whether the file exists. Raises FileError if that cannot be found out, UsageError for an unknown URL."""
        with _errors("cannot be looked for"):
            system, path = self._opened()
            return bool(system.isfile(path))

    def find(self) -> list[Remote]:
        """Return the file, the folder, or the files that match it as a pattern. Raises FileError if there are none."""
        if self.is_dir():
            return [self]
        with _errors("cannot be read"):
            system, path = self._opened()
            try:
                is_folder = system.info(path)["type"] == "directory"
                return [Remote(f"{self}/") if is_folder else self]
            except FileNotFoundError:
                if not self.is_pattern():
                    raise FileError("no such file or folder") from None
            base = Remote(_MAGIC.split(self.url)[0].rpartition("/")[0] + "/")
            found = {
                f"{name}/" if info["type"] == "directory" else name
                for name, info in system.glob(path, detail=True).items()
            }
            matches = [Remote(f"{base}{place}") for place in sorted(base._below(found)) if not _is_hidden(place)]
            if not matches:
                raise FileError("no file matches this pattern")
            return matches

    def is_pattern(self) -> bool:
        """Tell whether the name has wildcards."""
        return bool(_MAGIC.search(self.url))

    def files(self, *, recursive: bool, leave_out: Sequence[Remote] = ()) -> Iterator[tuple[Remote, PurePosixPath]]:
        """Yield the files of a folder and their places below it, in sorted order, before those of its sub-folders.

        Hidden files and folders are left out, and the folders `leave_out`. Raises FileError if it cannot be listed.
        """
        with _errors("cannot be listed"):
            system, path = self._opened()
            listed = system.find(path, detail=True).values() if recursive else system.ls(path, detail=True)
        names = self._below(info["name"] for info in listed if info["type"] == "file")
        places = map(PurePosixPath, names)
        excluded = tuple(f"{folder.url.rstrip('/')}/" for folder in leave_out)
        for place in sorted(places, key=lambda place: [*((1, part) for part in place.parent.parts), (0, place.name)]):
            found = self / place
            if not (_is_hidden(str(place)) or found.url.startswith(excluded)):
                yield found, place

    def present(self) -> set[Remote]:
        """Return the files in a folder, none if it does not exist. Raises FileError."""
        with _errors("cannot be listed"):
            system, path = self._opened()
            try:
                names = [info["name"] for info in system.ls(path, detail=True) if info["type"] == "file"]
            except FileNotFoundError:
                return set()
            return {self / PurePosixPath(place) for place in self._below(names)}

    def read_bytes(self) -> Download:
        """Return the whole file. Raises FileError."""
        with _errors("cannot be read"):
            system, path = self._opened()
            download = Download(system.cat_file(path))
        download.source = self
        return download

    def read_head(self, count: int) -> bytes:
        """Return the first bytes. Raises FileError."""
        with _errors("cannot be read"):
            system, path = self._opened()
            return bytes(system.cat_file(path, start=0, end=count))

    def publish(self, data: bytes, *, replace: bool) -> bool:
        """Upload a file, invisible until complete; return False if its name is taken and is to be kept.

        Raises FileError, and StorageError for reasons that concern all files: no permission, no such bucket.
        """
        with _errors(f"cannot write {self}", kind=StorageError):
            system, path = self._opened()
            if self.url.partition("://")[0].lower() in OBJECTS:
                return _put(system, path, data, replace=replace)
            return _move_in(system, path, data, replace=replace)

    def _opened(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError:
            raise UsageError(f"{self}: URLs need the library fsspec: pip install 'vaetool[remote]'") from None
        try:
            return url_to_fs(self.url, use_listings_cache=False)
        except (ImportError, ValueError) as error:  # the package for this protocol is not installed, or does not exist
            raise UsageError(f"{self}: {_first_line(error)}") from error

    def _below(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the paths below this folder of files as named by fsspec."""
        root = self._opened()[1].rstrip("/")
        yield from (name[len(root) :].lstrip("/") for name in names if name.rstrip("/") != root)


class Download(bytes):
    """The contents of a remote file, `source`."""

    source: Remote


Place = Path | Remote
"""The path or URL of a file."""


def is_url(name: str) -> bool:
    """Tell whether a name is a URL.

    >>> is_url("s3://bucket/1.jpg"), is_url("c:/1.jpg")
    (True, False)
    """
    return bool(_URL.match(name))


def location(name: str) -> Place:
    """Return the place of a file or folder, given its path or URL."""
    if not is_url(name):
        return Path(name)
    protocol, _, path = name.partition("://")
    return Path(path) if protocol.lower() in LOCAL else Remote(name)


def _is_hidden(place: str) -> bool:
    return any(part.startswith(".") for part in place.split("/"))


def _put(system: Any, path: str, data: bytes, *, replace: bool) -> bool:
    if replace:
        system.pipe_file(path, data)
        return True
    try:
        system.pipe_file(path, data, mode="create")
    except FileExistsError:
        return False
    except (
        NotImplementedError,
        TypeError,
        ValueError,
    ):  # a store without that condition: the name may be taken meanwhile
        if system.exists(path):
            return False
        system.pipe_file(path, data)
    return True


def _move_in(system: Any, path: str, data: bytes, *, replace: bool) -> bool:
    """Write a file under a hidden name, then rename it."""
    folder = path.rpartition("/")[0]
    hidden = f"{folder}/.vaetool-{secrets.token_hex(8)}.tmp"
    system.makedirs(folder, exist_ok=True)
    try:
        system.pipe_file(hidden, data)
        if not replace and system.exists(path):
            return False
        system.mv(hidden, path)
    finally:
        with suppress(Exception):
            if system.exists(hidden):
                system.rm_file(hidden)
    return True


@contextmanager
def _errors(words: str, kind: type[FileError] = FileError) -> Iterator[None]:
    """Turn whatever a file system raises into FileError; kind: class for errors that concern all files of a place."""
    try:
        yield
    except (FileError, UsageError):
        raise
    except FileNotFoundError as error:
        raise kind("no such file or folder" if kind is FileError else f"{words}: there is no such place") from error
    except PermissionError as error:
        raise kind(f"{words}: permission denied") from error
    except NotImplementedError as error:
        raise kind(f"{words}: files of this kind of URL do not allow that") from error
    except Exception as error:  # of the clients of stores, which have no class in common
        raise FileError(f"{words}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
