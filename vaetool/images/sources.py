"""Sources of training images: folders, zip files (never unpacked) and torchvision's data sets."""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from vaetool import images
from vaetool.errors import ImageError, UsageError
from vaetool.files import inputs
from vaetool.images import Picture
from vaetool.images.tiff import MAX_PAGES

RESULTS = (".training", ".latent")
"""The curves and plots of a run, `NAME.training.png` and so on, may lie among the images but do not count as such."""

TIFF_SUFFIXES = {".tif", ".tiff"}

MAX_MEMBER = 2**29
"""Bytes of a file in a zip file, which may be a thousandth of that on the disk."""

Load = Callable[[], Path | bytes]
"""Returns a file, or its bytes; may raise ImageError."""


@dataclass(frozen=True)
class Source:
    """An image that can be read: its name, its label (the folder that it lies in), its place, and how to read it."""

    file_name: str
    label: str
    origin: str  # the same for the same file, so that none is taken twice
    read: Callable[[], np.ndarray]  # → (height, width, 1 or 3) uint8, uint16 or float32; raises ImageError
    page: int | None = None  # from 1 on; None if it is all that its file holds
    read_noisy: Callable[[], np.ndarray] | None = None  # the same picture with noise, if it is one of a pair
    file: Path | None = None  # the image's own, or the zip file that it is in
    others: tuple[Callable[[], np.ndarray], ...] = ()  # pictures of the same thing: see `vaetool.images.modalities`

    @property
    def name(self) -> str:
        """The file's name in its place, and the page."""
        return _page_name(self.file_name, self.page)


def _page_name(name: str, page: int | None) -> str:
    return name if page is None else f"{name}, page {page}"


def find_sources(data: Iterable[str | Path], root: str | Path = ".", *, whole: bool = False) -> list[Source]:
    """Return all images in folders, zip files and `torchvision:NAME` data sets (in `root`), each once, sorted by name.

    Hidden files are left out, as they are by every command. whole: every page of a TIFF file is an image, and values
    may be of any range (float32), as in `vaetool.images.read`.
    Raises UsageError if a place is missing, cannot be used, or holds no image.
    """
    found: dict[str, Source] = {}
    for place in data:
        sources = _sources_in(str(place), Path(root), whole)
        if not sources:
            raise UsageError(f"{place}: holds no image")
        for source in sources:
            found.setdefault(source.origin, source)
    return sorted(found.values(), key=lambda source: source.name)


def files_in(data: Iterable[str | Path]) -> Iterator[Path]:
    """Yield the files in which the images of folders and zip files are; nothing for places that cannot be used."""
    for place in data:
        with suppress(UsageError):
            yield from (source.file for source in find_sources([place]) if source.file is not None)


class Contents:
    """Contents of the image files in a folder or zip file; of a folder, only files that may match are read."""

    def __init__(self, place: str | Path) -> None:
        self._known: set[tuple[int, int]] = set()
        self._files: dict[int, list[Path]] = {}
        if zipfile.is_zipfile(place):
            with zipfile.ZipFile(place) as archive:
                self._known = {(member.file_size, member.CRC) for member in archive.infolist()}
            return
        for path in files_in([place]):
            self._files.setdefault(path.stat().st_size, []).append(path)

    def __contains__(self, file: Path | bytes) -> bool:
        data = file if isinstance(file, bytes) else file.read_bytes()
        self._known |= {(len(data), zlib.crc32(path.read_bytes())) for path in self._files.pop(len(data), ())}
        return (len(data), zlib.crc32(data)) in self._known


def find_pairs(data: Sequence[str | Path], root: str | Path = ".", *, whole: bool = False) -> list[Source]:
    """Return all images of the second of two places, each with the one of the same name in the first, its noisy one.

    Suffixes may differ; pages of TIFF files go by their numbers. Raises UsageError as `find_sources` and `by_name`, for
    another number of places, and if one has no partner.
    """
    if len(data) != 2:
        raise UsageError(
            f"pairs are of two folders or zip files, the noisy pictures and the clean ones, not {len(data)}"
        )
    noisy, clean = (by_name(find_sources([place], root, whole=whole)) for place in data)
    refuse_alone(noisy.keys() ^ clean.keys(), f"both of {data[0]} and {data[1]}")
    return [replace(source, read_noisy=noisy[key].read) for key, source in clean.items()]


def refuse_alone(names: Collection[str], places: str) -> None:
    """Raise UsageError if there are names of images that are not in all of the places to be paired."""
    if names:
        more = f" and {len(names) - 1} others are" if len(names) > 1 else " is"
        raise UsageError(f"{min(names)}{more} not in {places}: pairs have the same names")


def by_name(sources: list[Source]) -> dict[str, Source]:
    """Return images by the names that pairs share: without suffix and without a folder common to all; with the page.

    Raises UsageError if two images have the same name.
    """
    names = [PurePosixPath(source.file_name).with_suffix("") for source in sources]
    while len({name.parts[0] for name in names}) == 1 and all(len(name.parts) > 1 for name in names):
        names = [PurePosixPath(*name.parts[1:]) for name in names]
    found: dict[str, Source] = {}
    for name, source in zip(names, sources, strict=True):
        key = _page_name(str(name), source.page)
        if key in found:
            raise UsageError(f"{found[key].name} and {source.name}: both are {key}, and pairs go by names; rename one")
        found[key] = source
    return found


def _sources_in(place: str, root: Path, whole: bool) -> list[Source]:
    if place.startswith("torchvision:"):
        return _torchvision_sources(place.partition(":")[2], root)
    path = Path(place)
    if path.is_dir():
        return _folder_sources(path, whole)
    if not path.exists():
        raise UsageError(f"{place}: no such folder or zip file")
    if zipfile.is_zipfile(path) or path.suffix.lower() == ".zip":
        return _zip_sources(path, whole)
    raise UsageError(f"{place}: not a folder, a zip file or torchvision:NAME")


def _folder_sources(folder: Path, whole: bool) -> list[Source]:
    found: list[Source] = []
    files = inputs.expand([str(folder)], recursive=True)
    # Files of unknown formats stay among the images: whoever reads them says why they cannot be read.
    unread = ((path, path.relative_to(folder)) for path in files.unread if isinstance(path, Path))
    for path, place in chain(((entry.source, entry.place) for entry in files.entries), unread):
        if isinstance(path, Path) and Path(path.stem).suffix not in RESULTS:
            name, load, origin = PurePosixPath(place.as_posix()), partial(Path, path), os.path.realpath(path)
            found += [replace(source, file=path) for source in _file_sources(name, origin, load, whole)]
    return found


def _file_sources(name: PurePosixPath, origin: str, load: Load, whole: bool) -> list[Source]:
    """Return the images of a file: one, or all of its pages, if they are not too many to be read."""
    count = 1
    if whole and name.suffix.lower() in TIFF_SUFFIXES:
        with suppress(ImageError):  # whoever reads it says why it cannot be read
            count = images.count_pages(load())
    if count == 1 or count > MAX_PAGES:
        return [Source(str(name), name.parent.name, origin, lambda: images.read(load(), whole=whole).visible_pixels())]

    def source(page: int) -> Source:
        return Source(str(name), name.parent.name, _page_name(origin, page), partial(_page_pixels, load, page), page)

    return [source(page) for page in range(1, count + 1)]


def _page_pixels(load: Load, page: int) -> np.ndarray:
    return _pages(load)[page - 1].visible_pixels()


@lru_cache(maxsize=2)  # pages are read one after the other
def _pages(load: Load) -> tuple[Picture, ...]:
    first = images.read(load(), whole=True)
    return (first, *first.pages)


def _zip_sources(path: Path, whole: bool) -> list[Source]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise UsageError(f"{path}: a damaged zip file ({error})") from error
    entries = [e for e in archive.infolist() if not e.is_dir() and _is_image(PurePosixPath(e.filename))]
    if any(entry.flag_bits & 1 for entry in entries):
        raise UsageError(f"{path}: an encrypted zip file; unpack it and name the folder")

    def load(entry: zipfile.ZipInfo) -> bytes:
        try:
            if entry.file_size > MAX_MEMBER:  # zipfile reads no more than is declared
                raise ImageError(f"has {entry.file_size / 2**20:.0f} MiB in the zip file, more than an image needs")
            with archive.open(entry) as member:
                head = member.read(inputs.HEAD)
                if not inputs.IMAGES.sniff(head):
                    raise ImageError("not a readable image (its first bytes are of no image format)")
                return head + member.read()
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, zlib.error) as error:
            raise ImageError(f"cannot be read from the zip file ({error})") from error

    found: list[Source] = []
    for entry in entries:
        name = PurePosixPath(entry.filename)
        origin = f"{os.path.realpath(path)}/{name}"
        found += [replace(source, file=path) for source in _file_sources(name, origin, partial(load, entry), whole)]
    return found


def _is_image(name: PurePosixPath) -> bool:
    """Tell by its suffix if a name is an image's; hidden ones and those macOS adds (`__MACOSX/._photo.jpg`) are not."""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in name.parts)
    return not hidden and name.suffix.lower() in inputs.IMAGES.suffixes


def _torchvision_sources(name: str, root: Path) -> list[Source]:
    import torchvision.datasets

    cls = getattr(torchvision.datasets, name, None)
    if not (isinstance(cls, type) and issubclass(cls, torchvision.datasets.VisionDataset)):
        raise UsageError(f"torchvision has no data set {name!r}")
    try:
        dataset: Any = cls(root=str(root))
    except (RuntimeError, OSError, ImportError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0].partition(" You can use download")[0]
        raise UsageError(f"torchvision:{name} is not in {root} ({reason}); name its folder with --root") from error
    labels = getattr(dataset, "targets", None)

    def pixels(index: int) -> np.ndarray:
        image = dataset[index][0]
        if not isinstance(image, Image.Image):
            raise ImageError(f"is not an image but a {type(image).__name__}")
        return images.from_pil(image).visible_pixels()

    def source(index: int) -> Source:
        label = "" if labels is None else str(int(labels[index]))
        place = f"{name}/{index:07d}"
        return Source(place, label, f"torchvision:{os.path.realpath(root)}/{place}", lambda: pixels(index))

    return [source(index) for index in range(len(dataset))]
