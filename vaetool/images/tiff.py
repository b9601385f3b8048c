"""TIFF files beyond the support of Pillow: more than eight bits in colour, floating point, and stacks of those."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image

from vaetool.errors import ImageError
from vaetool.images import raw
from vaetool.images.exif import ExactText, parse
from vaetool.images.metadata import Dpi, is_dpi, xmp_to_carry
from vaetool.images.orientation import SIDEWAYS, upright
from vaetool.images.photometric import BLACK_IS_ZERO, LAB, RGB, WHITE_IS_ZERO, as_shown
from vaetool.images.picture import Picture

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes of TIFF files."""

MAX_PAGES = 10_000
"""Maximum number of pages of a file, all of which are processed at once."""

TEXTS_ALONE = "the EXIF data is left out except for its texts"

DPI_PER_UNIT = {2: 1.0, 3: 2.54}  # of the unit of resolution: inches, centimetres
EXACT = 2**24  # larger integers are not all exact in 32-bit floating point
XMP = 700  # tag
LARGEST_VALUES = 281, 341
"""Tags MaxSampleValue and SMaxSampleValue. Some writers mean the largest value present, others the largest possible."""
ASSOCIATED, UNASSOCIATED = 1, 2
"""Values of the tag ExtraSamples: alpha by which the colours are multiplied, and alpha by which they are not."""

ALPHA = ASSOCIATED, UNASSOCIATED
_PROFILE, _UNIT, _DENSITIES = 34675, 296, (282, 283)
_RESOLUTION_TAGS = {_UNIT, *_DENSITIES}
_DIRECTORIES = {34665, 34853}  # of a camera's settings, of its place
_TEXT_TAGS = (270, 271, 272, 305, 306, 315, 33432)  # description, make, model, software, date, artist, copyright


Source = Path | bytes | BinaryIO
"""A file's path, its bytes, or an open file."""


class TiffPage(NamedTuple):
    """A page that was read from a file, or is to be written."""

    samples: np.ndarray  # (height, width, channels)
    has_alpha: bool
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: Dpi | None = None
    xmp: bytes | None = None
    orientation: int = 1
    warnings: tuple[str, ...] = ()
    white: int | None = None


def page_samples(data: bytes, number: int) -> np.ndarray:
    """Return the samples of a page as grey or RGB of all bits, (height, width, channels); number: counted from 0."""
    with _opened(data) as file:
        return _samples(file.pages[number])


def count_pages(source: Source) -> int:
    """Return the number of pages of a file, without smaller copies; 1 if it is not a readable TIFF file.

    Of more than `MAX_PAGES` pages, all are counted, as that is quick.
    """
    try:
        with _opened(source) as file:
            count = len(file.pages)
            return count if count > MAX_PAGES else sum(1 for _ in _pages(file))
    except Exception:  # whoever reads it says what is wrong
        return 1


def name_of_raw(head: bytes, file: Source) -> str | None:
    """Return the name of a camera raw format, None for other files; head: the first bytes."""
    try:
        with _opened(file) as opened:
            return raw.name_of(head, opened)
    except Exception:  # whoever reads it says what is wrong
        return None


def page_numbers(source: Source) -> list[int]:
    """Return the numbers of the pages of a file, from 0, without smaller copies. Raises ImageError for too many."""
    with _opened(source) as file:
        return [page.index for page in _pages(file)]


def has_wide_values(source: Source) -> bool:
    """Tell whether a page of a file has values other than unsigned integers of up to 16 bits.

    Raises ImageError if it has too many pages.
    """
    with _opened(source) as file:
        return any(page.dtype not in (np.bool_, np.uint8, np.uint16) for page in _pages(file))


def _pages(file: Any) -> Iterator[Any]:
    """Yield the pages of a file but smaller copies of others. Raises ImageError for too many."""
    if (count := len(file.pages)) > MAX_PAGES:
        raise ImageError(f"has {count} pages, more than the limit of {MAX_PAGES}; split it")
    return (page for number, page in enumerate(file.pages) if number == 0 or not page.subfiletype & 1)


def read(data: bytes, max_pixels: int, *, whole: bool = False) -> Picture:
    """Decode the first page of a file; whole: all pages, and values of any range, as float32.

    Raises ImageError if they have more than `max_pixels` pixels, are not grey or RGB, have more dimensions, or values
    out of range.
    """
    first, *others = (_picture(page, whole) for page in _read_pages(data, max_pixels, None if whole else 1))
    return replace(first, pages=tuple(others))


def _picture(page: TiffPage, floats: bool) -> Picture:
    samples = page.samples
    if not samples.size:
        raise ImageError("is a damaged TIFF file (it has no pixels)")
    if samples.dtype not in (np.uint8, np.uint16):
        if not floats:
            raise ImageError(
                f"holds {samples.dtype} values, which only denoise and compare take; convert it to 8 or 16 bits first"
            )
        samples = _as_float(samples)
    pixels, alpha = upright(samples, page.orientation)
    if alpha is not None and alpha.dtype == np.float32:
        raise ImageError("holds floating-point values and transparency; convert it to 8 or 16 bits first")
    return Picture(
        pixels, alpha, "TIFF", page.icc_profile, page.exif, page.dpi, page.xmp, white=page.white, warnings=page.warnings
    )


def _read_pages(data: bytes, max_pixels: int, count: int | None) -> list[TiffPage]:
    """Return the pages of a file, `count` of them at most."""
    with _opened(data) as file:
        pages = list(islice(_pages(file), count))
        check_size([(page.imagewidth, page.imagelength) for page in pages], max_pixels)
        return [_page(page.aspage()) for page in pages]


@contextmanager
def _opened(source: Source) -> Iterator[Any]:
    """Open a file; turn errors that tifffile would only log, such as truncated pages, into ImageError."""
    from tifffile import TiffFile

    logger, errors = logging.getLogger("tifffile"), _Errors()
    logger.addHandler(errors)
    try:
        with _stream(source) as stream, TiffFile(stream) as file:
            yield file
    finally:
        logger.removeHandler(errors)
    if errors.found:
        raise ImageError(f"is a damaged TIFF file ({errors.found[0]})")


@contextmanager
def _stream(source: Source) -> Iterator[BinaryIO]:
    """Open a file at its start; one that is open already stays open, at its position."""
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, Path):
        with source.open("rb") as file:
            yield file
    else:
        place = source.tell()
        source.seek(0)
        try:
            yield source
        finally:
            source.seek(place)


class _Errors(logging.Handler):
    """Handler that collects a logger's errors from the thread that created it."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.found.append(record.getMessage()[:120])


def _page(page: Any) -> TiffPage:
    tags = {tag.code: tag.value for tag in page.tags}
    exif = Image.Exif()
    for tag in _TEXT_TAGS:
        if isinstance(tags.get(tag), str):
            exif[tag] = ExactText(tags[tag].encode().decode("latin-1"))
    per_inch = DPI_PER_UNIT.get(int(tags.get(_UNIT, 1)))
    densities = [tags[tag][0] / tags[tag][1] for tag in _DENSITIES if tag in tags and tags[tag][1]]
    dpi = (densities[0] * per_inch, densities[1] * per_inch) if per_inch and len(densities) == 2 else None
    orientation = int(tags.get(ExifTags.Base.Orientation, 1))
    if dpi is not None and not is_dpi(dpi):
        dpi = None
    elif dpi is not None and orientation in SIDEWAYS:
        dpi = dpi[::-1]
    block = exif.tobytes() if len(exif) else None
    notes = [TEXTS_ALONE] if _DIRECTORIES & tags.keys() else []
    xmp = xmp_to_carry(tags.get(XMP), notes)
    profile, samples = tags.get(_PROFILE), _samples(page)
    if note := extra_channels_note(page.extrasamples):
        notes.append(note)
    if page.photometric in LAB:
        profile = None  # it is for CIELab, not for the result
        notes.append(f"{page.photometric.name} is converted to RGB")
    if note := scaling_note(page.bitspersample):
        notes.append(note)
    white = white_of(tags, page.photometric, page.bitspersample)
    has_alpha = samples.shape[2] in (2, 4)
    return TiffPage(samples, has_alpha, profile, block, dpi, xmp, orientation, tuple(notes), white)


def _samples(page: Any) -> np.ndarray:
    """Return the samples of a page as grey or RGB, with alpha if it has any, (height, width, 1 to 4)."""
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ImageError(f"has pages of {page.ndim} dimensions; split them first")
    found = page.asarray()
    stored = np.moveaxis(found, 0, -1) if page.axes == "SYX" else np.atleast_3d(found)
    shown = as_shown(stored, page.photometric, page.bitspersample)
    colours = 1 if page.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) else 3
    pixels, extra = shown[:, :, :colours], shown[:, :, colours:]
    kinds = page.extrasamples or (UNASSOCIATED,) * extra.shape[2]  # without the tag, most writers mean alpha
    number = next((number for number, kind in enumerate(kinds) if kind in ALPHA), None)
    if number is None:
        return pixels
    alpha = extra[:, :, number : number + 1]
    straight = _without_factor(pixels, alpha) if kinds[number] == ASSOCIATED else pixels
    return np.concatenate([straight, alpha], axis=2)


def _without_factor(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return integers that were multiplied by alpha, (height, width, 1), as they were; black where alpha is 0."""
    if not np.issubdtype(pixels.dtype, np.integer):
        return pixels
    full = np.iinfo(pixels.dtype).max
    scaled = pixels * np.divide(full, alpha, where=alpha > 0, out=np.zeros(alpha.shape))
    return np.rint(scaled).clip(0, full).astype(pixels.dtype)


def extra_channels_note(kinds: Sequence[int]) -> str | None:
    """Return a sentence on extra channels that are left out, None if there are none; kinds: the tag ExtraSamples."""
    count = len(kinds) - any(kind in ALPHA for kind in kinds)
    many = "a channel that is neither colour" if count == 1 else f"{count} channels that are neither colours"
    return f"{many} nor transparency {'is' if count == 1 else 'are'} left out" if count else None


def white_of(tags: Mapping[int, Any], photometric: int | None, bits: int) -> int | None:
    """Return the largest possible value of 16-bit samples, None if the file does not say.

    65535 gives no information: it is the default without a tag.
    """
    if bits != 16 or photometric not in (BLACK_IS_ZERO, RGB):
        return None
    found = [value for tag in LARGEST_VALUES for value in np.ravel(tags.get(tag, 0))]
    largest = max((int(value) for value in found if isinstance(value, np.integer)), default=0)
    return largest if 0 < largest < 65535 else None


def scaling_note(bits: int) -> str | None:
    """Return a sentence on the scaling of samples of so many bits, None if they are not scaled."""
    return f"{bits} bits are scaled to 16" if 8 < bits < 16 else None


def _as_float(samples: np.ndarray) -> np.ndarray:
    """Convert samples of any type to float32. Raises ImageError if they do not fit or are not numbers."""
    if np.issubdtype(samples.dtype, np.integer) and samples.size and np.abs(samples.astype(np.float64)).max() > EXACT:
        raise ImageError("holds integers of more than 24 bits; divide them first")
    values = samples.astype(np.float32)
    if not np.isfinite(values).all():
        raise ImageError("holds values that are not numbers, or too large for 32 bits")
    return values


def check_size(sizes: Sequence[tuple[int, int]], max_pixels: int) -> None:
    """Raise ImageError if pages, (width, height) each, have more than `max_pixels` pixels together."""
    if sum(width * height for width, height in sizes) > max_pixels:
        (width, height), more = sizes[0], len(sizes) > 1
        found = f"{len(sizes)} pages of {width} x {height} pixels are" if more else f"{width} x {height} pixels is"
        raise ImageError(f"{found} more than the limit of {max_pixels}; raise --max-pixels")


def encode(pages: Sequence[TiffPage]) -> bytes:
    """Encode pages as a file."""
    from tifffile import TiffWriter

    file = io.BytesIO()
    with TiffWriter(file) as writer:
        for page in pages:
            channels = page.samples.shape[2]
            writer.write(
                page.samples if channels > 1 else page.samples[:, :, 0],
                photometric="rgb" if channels >= 3 else "minisblack",
                planarconfig="contig" if channels > 1 else None,
                extrasamples=["unassalpha"] if page.has_alpha else [],
                compression="zlib",
                predictor=True,
                metadata=None,
                software=False,
                iccprofile=page.icc_profile,
                resolution=page.dpi,
                resolutionunit=None if page.dpi is None else "INCH",
                extratags=[*_text_tags(page.exif), *_xmp_tags(page.xmp), *_white_tags(page.white, channels)],
            )
    return file.getvalue()


def has_other_tags(exif: bytes | None) -> bool:
    """Tell whether an EXIF block holds anything that `encode` leaves out: it keeps texts."""
    tags = parse(exif)
    return any(tag not in _TEXT_TAGS and tag not in _RESOLUTION_TAGS for tag in tags)


def _text_tags(exif: bytes | None) -> list[tuple[int, str, int, bytes, bool]]:
    """Return the text tags of an EXIF block, as tifffile writes them."""
    tags = parse(exif)
    return [(tag, "s", 0, tags[tag].encode(), True) for tag in _TEXT_TAGS if isinstance(tags.get(tag), str)]


def _xmp_tags(xmp: bytes | None) -> list[tuple[int, str, int, bytes, bool]]:
    return [(XMP, "B", len(xmp), xmp, True)] if xmp else []


def _white_tags(white: int | None, channels: int) -> list[tuple[int, str, int, tuple[int, ...], bool]]:
    return [] if white is None else [(LARGEST_VALUES[0], "H", channels, (white,) * channels, True)]
