"""The state of one run of the page: pictures and files by key, loaded models, and the progress of work."""

from __future__ import annotations

import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Self

from vaetool import images
from vaetool.errors import ImageError, UsageError, VaetoolError
from vaetool.images import MAX_PIXELS, Picture
from vaetool.progress import listening
from vaetool.public import load

KEPT_BYTES = 4 * 10**9
"""Bytes of memory for pictures, beyond which the least recently used are dropped."""

KEPT_AT_LEAST = 4

PATIENCE = 5.0
"""Seconds for work in progress to stop at the end."""


class StoppedError(VaetoolError):
    """The user stopped the work."""


@dataclass(frozen=True, eq=False)
class Item:
    """A file that the page can show or save: its name, and a picture or the bytes of another kind of file."""

    name: str
    content: Picture | bytes

    @property
    def picture(self) -> Picture:
        """The picture. Raises UsageError for another kind of file."""
        if isinstance(self.content, bytes):
            raise UsageError(f"{self.name} is not a picture")
        return self.content

    @property
    def size(self) -> int:
        """Bytes in memory."""
        if isinstance(self.content, bytes):
            return len(self.content)
        origin = self.content.origin
        return self.content.pixels.nbytes + (len(origin) if isinstance(origin, bytes) else 0)


class Session:
    """The state of one run of the page; use it as a context, which owns a temporary folder.

    device: of models. max_pixels: larger pictures are refused.
    """

    def __init__(self, device: str = "auto", max_pixels: int = MAX_PIXELS) -> None:
        self.device, self.max_pixels = device, max_pixels
        self.progress: tuple[str, int, int] | None = None
        self._items: dict[str, Item] = {}  # the one used last comes last
        self._models: dict[str, Any] = {}
        self._keeping, self._working = threading.Lock(), threading.Lock()
        self._stopped = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="vaetool-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        try:
            self.is_working(PATIENCE)
        finally:
            self._folder.cleanup()

    def read(self, data: bytes, name: str) -> Item:
        """Decode a file. Raises ImageError, with its name, as `vaetool.images.read` does."""
        try:
            return Item(name, images.read(data, max_pixels=self.max_pixels))
        except ImageError as error:
            raise ImageError(f"{name}: {error}") from error

    def keep(self, item: Item) -> str:
        """Keep an item and return its key."""
        key = secrets.token_urlsafe(9)
        with self._keeping:
            self._items[key] = item
            total = sum(each.size for each in self._items.values())
            for old in list(self._items)[:-KEPT_AT_LEAST]:
                if total <= KEPT_BYTES:
                    break
                total -= self._items.pop(old).size
        return key

    def find(self, key: str) -> Item:
        """Return the item of a key. Raises UsageError if it is no longer kept."""
        with self._keeping:
            item = self._items.pop(key, None)
            if item is None:
                raise UsageError("this file is no longer kept: open or create it again")
            self._items[key] = item
        return item

    def model(self, name: str, *kinds: str) -> Any:
        """Return a model of one of these kinds, loaded once. Raises as `vaetool.load` does."""
        if name not in self._models or self._models[name].kind not in kinds:
            self._models[name] = load(name, device=self.device, kind=kinds)
        return self._models[name]

    def forget(self, name: str) -> None:
        """Forget a loaded model, so that the next request loads it anew."""
        self._models.pop(name, None)

    @contextmanager
    def working(self, name: str = "") -> Iterator[None]:
        """Enclose a piece of work, one at a time, known to `progress` and `stop`.

        name: of the file, put before the message of an ImageError. Raises StoppedError after `stop`.
        """
        with self._working:
            self._stopped.clear()
            self.progress = ("working", 0, 0)
            try:
                with listening(self._tell):
                    yield
            except ImageError as error:
                raise ImageError(f"{name}: {error}" if name else str(error)) from error
            finally:
                self.progress = None

    def stop(self) -> None:
        """Stop the work at its next part."""
        self._stopped.set()

    def is_working(self, patience: float = 0) -> bool:
        """Tell whether work in progress does not end within a number of seconds."""
        if not self._working.acquire(timeout=patience):
            return True
        self._working.release()
        return False

    def say(self, words: str) -> None:
        """Show a message about the work on the page. Raises StoppedError after `stop`."""
        self._tell(words, 0, 0)

    def _tell(self, task: str, done: int, total: int) -> None:
        if self._stopped.is_set():
            raise StoppedError("stopped")
        self.progress = (task, done, total)


def renamed(name: str, suffix: str, extension: str = "") -> str:
    """Return the name of a result, as commands name theirs.

    >>> renamed("photo.jpg", "denoised"), renamed("photo.inpainted.png", "inpainted"), renamed("a.png", "", ".vae")
    ('photo.denoised.jpg', 'photo.inpainted.png', 'a.vae')
    """
    path = PurePath(name)
    stem = path.stem.removesuffix(f".{suffix}") if suffix else path.stem
    return f"{stem}{'.' if suffix else ''}{suffix}{extension or path.suffix}"
