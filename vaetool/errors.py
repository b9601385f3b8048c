"""All errors that vaetool raises on purpose. The message is one line: which file, what is wrong, what to do.

VaetoolError                 exit code 1
├── FileError                one input or output failed; the other files go on
│   ├── ImageError           not a readable image, too large, or not writable in the format asked for
│   ├── AppearedError        a result was there before this one, and is kept
│   └── StorageError         results go to a disk that is full or read only: the others do not go on
├── WeightsError             a model file that is damaged, unsafe or does not fit its own configuration
├── TrainingError            training cannot go on (no images, a loss that is not a number, ...)
└── UsageError               exit code 2: the request itself is wrong, nothing was done
    ├── ModelNotFoundError   no model of that name or path
    ├── WrongKindError       a model of another kind than the task needs
    └── DeviceError          a device that was asked for and is not there
"""

from __future__ import annotations

import errno
import unicodedata


class VaetoolError(Exception):
    """Base of all errors; `str(error)` is the line to show, `exit_code` the exit code of the process."""

    exit_code = 1


class FileError(VaetoolError):
    """One file failed."""


class ImageError(FileError):
    """A file is not an image that can be read, or an image cannot be written as asked."""


class AppearedError(FileError):
    """A file of the result's name was created by others during the run."""


class StorageError(FileError):
    """The disk that results go to is full or read only; it ends a run."""


class WeightsError(VaetoolError):
    """A model file is damaged, unsafe, or does not fit its own configuration."""


class TrainingError(VaetoolError):
    """Training cannot start or go on."""


class UsageError(VaetoolError):
    """The request is wrong as it stands."""

    exit_code = 2


class ModelNotFoundError(UsageError):
    """No model of that name or path."""


class WrongKindError(UsageError):
    """The model is of another kind than the task needs."""


class DeviceError(UsageError):
    """The device asked for is not there."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory or address space (`ulimit -v`) is exhausted.

    Each allocator, and the loader of shared libraries, words this differently, and not all have a class for it.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    return isinstance(error, (ImportError, OSError, RuntimeError)) and any(
        words in str(error).lower() for words in _NO_ROOM
    )


_NO_ROOM = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "failed to map segment",
    "std::bad_alloc",
    "can't start new thread",
    "unable to create type object",  # pybind11, of which torch's modules are made
)


def one_line(text: object) -> str:
    r"""Return the text with control characters spelled out, so that a file name cannot break or colour a line.

    >>> print(one_line("two\nlines.png"))
    two\nlines.png
    """
    return "".join(_visible(character) for character in str(text))


def _visible(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape").decode("ascii")
