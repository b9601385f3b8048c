"""Expansion of command-line arguments into files: folders, patterns, lists, standard input.

Files named one by one keep the order they were given in; those of a folder are sorted by name. A folder gives the
files whose name or content says that they are of the wanted kind: a `.txt` is passed over in silence, a damaged
`.png` is kept and fails visibly, pictures that are not read (`vaetool.files.unread`) are named. Hidden files and
earlier results (`*.denoised.*`) are not taken from folders.
"""

from __future__ import annotations

import enum
import errno
import glob
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path, PurePath

from vaetool.errors import FileError, UsageError
from vaetool.files.lists import read_list
from vaetool.files.remote import Place, Remote, is_url, location
from vaetool.files.unread import is_heic, kind_by_name, left_out, reads_heic
from vaetool.files.walking import walk

HEAD = 32  # bytes that tell the format of a file


class Stream(enum.Enum):
    """Standard input as a source, standard output as a place to write; `-` at the command line."""

    STANDARD = "-"

    def __str__(self) -> str:
        return self.value


Source = Path | Remote | Stream


@dataclass(frozen=True)
class FileKind:
    """A kind of file that a command accepts.

    name:     plural, for messages; one: singular, with its article.
    sniff:    first bytes -> the extensions under which a result in the same format goes, the usual one first;
              empty when the content is something else.
    suffixes: extensions, lower case, that are taken from a folder without looking inside.
    holds_pictures: warn of files in folders that look like pictures but are not read.
    """

    name: str
    sniff: Callable[[bytes], tuple[str, ...]]
    suffixes: frozenset[str]
    one: str = "an image"
    holds_pictures: bool = False


@dataclass(frozen=True)
class Entry:
    """One input.

    place: path below an output folder. problem: what is wrong with the input, if known already. shared: it comes from
    a folder or a list in a file, which other processes can read as well.
    """

    source: Source
    place: PurePath
    problem: str | None = None
    shared: bool = False


@dataclass(frozen=True)
class Inputs:
    """All inputs; `many` if results can only go into a folder, because a folder, a list or several inputs were given.

    unread: pictures in folders whose kinds are not read.
    """

    entries: tuple[Entry, ...]
    many: bool
    unread: tuple[Place, ...] = ()


JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")
TIFF = (".tif", ".tiff")
PNM = (".ppm", ".pgm", ".pnm")
PNG = (".png",)


def sniff_image(head: bytes) -> tuple[str, ...]:
    r"""Return the extensions for a result in the format that the first bytes show, empty when they show no image.

    A format that is read but not written yields `.png`.

    >>> sniff_image(b"\xff\xd8\xff\xe0")[0], sniff_image(b"Dear diary")
    ('.jpg', ())
    """
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return (".webp",)
    if is_heic(head):
        return PNG if reads_heic() else ()
    if head[4:8] == b"ftyp" and head[8:12] in {b"avif", b"avis", b"mif1", b"miaf"}:
        return (".avif",)
    if head.startswith(b"BM") and head[6:10] == bytes(4):
        return (".bmp",)
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3].isspace():
        return PNM
    signatures = {
        b"\x89PNG\r\n\x1a\n": PNG,
        b"\xff\xd8\xff": JPEG,
        b"II*\0": TIFF,
        b"MM\0*": TIFF,
        b"II+\0": TIFF,
        b"MM\0+": TIFF,
        b"\0\0\0\x0cjP  \r\n": PNG,
        b"\xff\x4f\xff\x51": PNG,
        b"GIF87a": PNG,
        b"GIF89a": PNG,
    }
    return next((extensions for magic, extensions in signatures.items() if head.startswith(magic)), ())


READ_ONLY = frozenset({".gif", ".pbm", ".jp2", ".j2k", *([".heic", ".heif", ".hif"] if reads_heic() else [])})
"""Extensions of images that are read but not written."""

IMAGES = FileKind(
    "images", sniff_image, READ_ONLY | {".webp", ".avif", ".bmp", *PNG, *JPEG, *TIFF, *PNM}, holds_pictures=True
)


def read_head(path: Place) -> bytes:
    """Return the first bytes of a regular file; none for anything else, which could only be read once."""
    try:
        if isinstance(path, Remote):
            return path.read_head(HEAD)
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(HEAD)
    except (OSError, FileError):
        return b""


def expand(
    arguments: Sequence[str],
    *,
    kind: FileKind = IMAGES,
    recursive: bool | None = False,
    files_from: str | None = None,
    null: bool = False,
    earlier: str = "",
    leave_out: Sequence[Place] = (),
) -> Inputs:
    """Return all inputs of a command without duplicates.

    arguments:  files, folders, patterns that the shell did not expand, URLs of these, or `-`.
    recursive:  whether sub-folders are searched; None for a command that never does, so that -r is not advised.
    files_from: a file with one path per line (`-`: standard input), NUL-separated with `null`. Relative paths keep
                their folders below an output folder. No line is a pattern.
    earlier:    ending, before the suffix, of this command's own results, which are not taken from folders.
    leave_out:  folders of results, which are not searched.

    A file that is missing becomes an entry with a problem, and so does a folder without a file of the kind: it fails
    alone. Raises UsageError when the request makes no sense: nothing given, only such folders, `-` with other inputs,
    an unreadable list. An empty list is not an error.
    """
    finder = InputFinder(kind, recursive, earlier, leave_out)
    found = tuple(each_once(finder.find(arguments, files_from, null)))
    return Inputs(found, len(found) > 1 or bool(finder.folders) or files_from is not None, tuple(finder.unread))


@dataclass
class InputFinder:
    """A finder of inputs, one by one, for work that can begin before the last of a million names is known.

    kind, recursive, earlier, leave_out: see `expand`. folders, unread: the folders found so far, and the pictures in
    them that are not read.
    """

    kind: FileKind = IMAGES
    recursive: bool | None = False
    earlier: str = ""
    leave_out: Sequence[Place] = ()
    folders: list[Place] = field(default_factory=list, init=False)
    unread: list[Place] = field(default_factory=list, init=False)

    def find(self, arguments: Sequence[str], files_from: str | None = None, null: bool = False) -> Iterator[Entry]:
        """Yield inputs as they are found; a list is read while it is written.

        Duplicates are kept (see `each_once`), since no names are remembered. Raises UsageError as `expand`
        does: at once for arguments, on the way for folders and lists.
        """
        if not arguments and files_from is None:
            raise UsageError("nothing to read: name files or folders, `-`, or give --files-from")
        if null and files_from is None:
            raise UsageError("-0 describes the list of --files-from: give both")
        if "-" in arguments and (len(arguments) > 1 or files_from is not None):
            raise UsageError("`-` (standard input) has to be the only input; a file of that name is `./-`")
        if "" in arguments:
            raise UsageError("one of the inputs is an empty name")
        if list(arguments) == ["-"]:
            return iter([Entry(Stream.STANDARD, PurePath("stdin"))])
        return self._entries(arguments, files_from, null)

    def _entries(self, arguments: Sequence[str], files_from: str | None, null: bool) -> Iterator[Entry]:
        found = False
        barren: list[tuple[Place, list[Place]]] = []  # folders without a file of the kind, and their unread files
        listed = read_list(files_from, null) if files_from is not None else iter(())
        is_shared = files_from != "-"
        named = chain(
            ((name, None, False, True) for name in arguments),
            ((name, _mirrored(name), is_shared, False) for name in listed),
        )
        for name, place, shared, is_argument in named:
            for path, problem in _existing(name, self.kind, is_argument=is_argument):
                if problem is not None or not path.is_dir():
                    found = True
                    yield Entry(path, place or PurePath(path.name or "image"), problem, shared)
                    continue
                self.folders.append(path)
                passed_over: list[Place] = []
                files = self._in_folder(path, passed_over)
                if (first := next(files, None)) is None:
                    barren.append((path, passed_over))
                    continue
                found = True
                yield first
                yield from files
                self.unread.extend(passed_over)
        if barren and not found:
            names = ", ".join(arguments) or "the folders listed"
            raise UsageError(self._lack(names, [path for _, passed_over in barren for path in passed_over]))
        for path, passed_over in barren:
            if path not in self.leave_out:
                yield _failed(path, self._lack("it", passed_over))

    def _in_folder(self, folder: Place, unread: list[Place]) -> Iterator[Entry]:
        """Yield a folder's files in sorted order, before its sub-folders'; one that cannot be listed is a problem.

        unread: gets the pictures that are not read.
        """
        failures: list[tuple[Place, str]] = []
        for path, place in walk(folder, failures, recursive=bool(self.recursive), leave_out=self.leave_out):
            if path.name.startswith(".") or self._is_earlier(path):
                continue
            if self.kind.holds_pictures and kind_by_name(path):
                unread.append(path)
            elif _is_kind(path, self.kind):
                yield Entry(path, place, shared=True)
        for path, problem in failures:
            yield _failed(path, problem)

    def _is_earlier(self, path: Place) -> bool:
        return bool(self.earlier) and path.stem.endswith(self.earlier)

    def _lack(self, place: str, passed_over: Sequence[Place]) -> str:
        """Return what is wrong with folders without a file of the kind."""
        more = f"; *{self.earlier}.* are earlier results" if self.earlier else ""
        deeper = "; -r looks into sub-folders" if self.recursive is False else ""
        others = f"; {left_out(passed_over)}" if passed_over else ""
        return f"no {self.kind.name} in {place}{deeper}{more}{others}"


def _existing(name: str, kind: FileKind, *, is_argument: bool) -> Iterator[tuple[Place, str | None]]:
    """Yield the path itself, the files that match it as a pattern, or the path and why there is none.

    is_argument: not a line of a list, which is the name of a file as it is, and is not looked for at a URL if it says
    that the file is one of the kind.
    """
    path = location(name)
    if isinstance(path, Remote):
        is_file = not is_argument and path.suffix.lower() in kind.suffixes and not path.is_pattern()
        try:
            yield from ((found, None) for found in ([path] if is_file else path.find()))
        except FileError as error:
            yield path, str(error)
        return
    try:
        path.stat()
        yield path, None
    except OSError as error:
        is_missing = isinstance(error, FileNotFoundError)
        if is_missing and path.is_symlink():
            yield path, "a broken symbolic link"
        elif (is_missing or error.errno == errno.EINVAL) and is_argument and glob.has_magic(str(path)):
            # Windows calls the name of a pattern invalid.
            matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - the pattern may be absolute
            yield from ((Path(match), None) for match in matches)
            if not matches:
                yield path, "no file matches this pattern"
        else:
            yield path, "no such file or folder" if is_missing else error.strerror or "cannot be read"
    except ValueError:
        yield path, "not a possible file name"


def _failed(folder: Place, problem: str) -> Entry:
    return Entry(folder, PurePath(folder.name or "folder"), problem, shared=True)


def _is_kind(path: Place, kind: FileKind) -> bool:
    """Tell whether a file in a folder is of the kind: by its name, which is cheap, else by its first bytes.

    For a file at a URL only the name counts: looking into each of a million files would take hours.
    """
    if isinstance(path, Remote):
        return path.suffix.lower() in kind.suffixes
    try:
        # A pipe or a device in a folder would block; a broken link is not a file to process.
        if not stat.S_ISREG(path.stat().st_mode):
            return False
    except OSError:
        return path.suffix.lower() in kind.suffixes
    return path.suffix.lower() in kind.suffixes or bool(kind.sniff(read_head(path)))


def can_repeat(arguments: Sequence[str], files_from: str | None) -> bool:
    """Tell whether a file can be found twice, not counting a list alone, of which no names are kept: it may be endless.

    A single folder has each file once.
    """
    return len(arguments) > 1 or (len(arguments) == 1 and (files_from is not None or glob.has_magic(arguments[0])))


def each_once(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Drop repeated paths, so that a file named twice is processed once."""
    seen: set[str] = set()
    for entry in entries:
        path = str(entry.source)
        path = path if isinstance(entry.source, Remote) else os.path.abspath(path)  # noqa: PTH100 - as text: a million
        if path not in seen:
            seen.add(path)
            yield entry


def _mirrored(name: str) -> PurePath | None:
    """Return a listed path's place below the output folder; None (its name alone) if absolute or leading outside."""
    path = PurePath(name)
    return None if is_url(name) or path.is_absolute() or ".." in path.parts or not path.name else path
