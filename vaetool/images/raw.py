"""Recognition of camera raw files based on TIFF: DNG, NEF, CR2, ARW and others.

The sensor's data are on a page of their own that cannot be shown as it is, and often the first page is a small
preview, which must not be taken for the photo.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_DNG_VERSION, _MAKE = 50706, 271
_SENSOR = (32803, 34892)  # of the tag of photometric interpretation: behind a filter of colours, and linear
_REDUCED = 1  # of the tag of the sub-file's type: a smaller copy of another page

_BY_MAKER = {
    "NIKON": "NEF",
    "SONY": "ARW",
    "PENTAX": "PEF",
    "SAMSUNG": "SRW",
    "HASSELBLAD": "3FR",
    "SEIKO EPSON": "ERF",
    "EASTMAN KODAK": "DCR",
    "MAMIYA": "MEF",
    "PHASE ONE": "IIQ",
    "LEAF": "MOS",
}


def name_of(head: bytes, file: Any) -> str | None:
    """Return the name of a camera raw format, None for other files.

    head: its first bytes. file: tifffile's view of it.
    """
    if head[8:10] == b"CR":
        return "CR2"
    if head[8:12] in (b"IIII", b"MMMM"):
        return "IIQ"
    first = file.pages[0]
    if _DNG_VERSION in first.tags:
        return "DNG"
    shows_preview = bool(first.subfiletype & _REDUCED and first.subifds)
    if not shows_preview and not any(page.photometric in _SENSOR for page in _pages(file)):
        return None
    maker = str(first.tags.valueof(_MAKE, "")).upper()
    return next((name for prefix, name in _BY_MAKER.items() if maker.startswith(prefix)), "of an unknown maker")


def _pages(file: Any) -> Iterator[Any]:
    """Yield the first page and its sub-pages."""
    first = file.pages[0]
    yield first
    if first.subifds:
        for page in first.pages or ():
            yield page.aspage()
