"""The formats that are read and written, and what each can hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from PIL import UnidentifiedImageError

from vaetool.errors import UsageError

# No EPS (it starts Ghostscript), no TGA (it has no signature, so anything might be one), no ICO (the size in its
# header is not the size that is decoded). Formats left out are refused even if the extension claims otherwise.
READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")


class Writable(NamedTuple):
    """The contents that a format can hold, and the options for writing it."""

    suffixes: tuple[str, ...]
    keeps: tuple[str, ...] = ()  # of what goes with the pixels, by the names of the fields of a Picture
    bits: int = 8
    alpha: bool = False
    options: Mapping[str, Any] = MappingProxyType({})  # always
    lossless: dict[str, Any] | None = None  # instead of a quality, when none is asked for
    quality: int | None = None  # default of formats that have one


_PROFILE_EXIF_XMP = ("icc_profile", "exif", "xmp")

WRITABLE = {
    "PNG": Writable((".png",), (*_PROFILE_EXIF_XMP, "dpi", "texts"), bits=16, alpha=True),
    "JPEG": Writable(
        (".jpg", ".jpeg", ".jpe", ".jfif"), (*_PROFILE_EXIF_XMP, "dpi", "texts"), options={"subsampling": 0}, quality=95
    ),
    # exact: keep the colours under alpha == 0, as PNG does.
    "WEBP": Writable(
        (".webp",), _PROFILE_EXIF_XMP, alpha=True, options={"exact": True}, lossless={"lossless": True}, quality=95
    ),
    "AVIF": Writable((".avif",), _PROFILE_EXIF_XMP, alpha=True, options={"subsampling": "4:4:4"}, quality=90),
    "TIFF": Writable(
        (".tif", ".tiff"),
        (*_PROFILE_EXIF_XMP, "dpi"),
        bits=16,
        alpha=True,
        options={"compression": "tiff_adobe_deflate"},
    ),
    "BMP": Writable((".bmp",), ("dpi",)),
    "PPM": Writable((".ppm", ".pgm", ".pnm"), bits=16),
}

GREY_AS_RGB = {"WEBP"}


def format_named(name: str) -> str:
    """Return Pillow's name of the format commonly called `name`: a suffix without its dot. Raises UsageError.

    >>> format_named("jpg")
    'JPEG'
    """
    for known, writable in WRITABLE.items():
        if f".{name.lower()}" in writable.suffixes:
            return known
    choices = listing(writable.suffixes[0].removeprefix(".") for writable in WRITABLE.values())
    raise UsageError(f"no image format is called {name!r}; choose {choices}")


def format_for(path: str | os.PathLike[str]) -> str:
    """Return Pillow's name of the format of a path's suffix. Raises UsageError for an unknown suffix.

    >>> format_for("a/b.JPG")
    'JPEG'
    """
    suffix = Path(path).suffix.lower()
    for name, writable in WRITABLE.items():
        if suffix in writable.suffixes:
            return name
    choices = listing(writable.suffixes[0] for writable in WRITABLE.values())
    raise UsageError(f"{Path(path).name}: no image format is known by the suffix '{suffix}'; choose {choices}")


def profile_space(profile: bytes | None) -> str:
    """Return the colour space of an ICC profile's pixels, '' if unknown (ICC.1:2022, table 19)."""
    return {b"GRAY": "GRAY", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "Lab"}.get((profile or b"")[16:20], "")


def reason(cause: Exception) -> str:
    """Return in a few words why a decoder or encoder failed."""
    if isinstance(cause, UnidentifiedImageError):
        return f"damaged, or none of {listing(READABLE)}"
    if isinstance(cause, MemoryError):
        return "out of memory"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()  # str(cause) would repeat the path
    return " ".join(str(cause).split())[:120] or type(cause).__name__


def listing(names: Iterable[str], word: str = "or") -> str:
    """Join names into a phrase.

    >>> listing(["PNG", "TIFF", "BMP"])
    'PNG, TIFF or BMP'
    """
    *most, last = names
    return f"{', '.join(most)} {word} {last}" if most else last
