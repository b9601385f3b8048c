"""Metadata other than EXIF and colour profile: XMP, the texts of a PNG, the resolution.

Metadata that are kept must be true of upright pixels that may have changed, and small enough for memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo

Dpi = tuple[float, float]  # across, down
Texts = tuple[tuple[str, str], ...]  # keywords and texts, in the order of the file

MAX_BYTES = 16 * 2**20
"""Limit for XMP, and for all texts together, with a byte after each keyword and text."""

MAX_TEXTS = 4096

COMMENT, MAX_COMMENT = "Comment", 65533
"""Keyword of the only text in a JPEG, and its maximum number of bytes."""

_MAX_DPI = 1e8  # limit of a PNG
_MAX_KEYWORD = 79  # characters
_XMP_KEYWORD = "XML:com.adobe.xmp"
_CARRIED_APART = {_XMP_KEYWORD, "Raw profile type exif"}  # the second is ImageMagick's, and read as EXIF

_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))\d")
_EXTENSION = re.compile(rb"xmpNote:HasExtendedXMP\s*=\s*[\"'][0-9A-Fa-f]*[\"']")
_THUMBNAILS = b"<xmp:Thumbnails", b"</xmp:Thumbnails>"


def xmp_to_carry(found: object, notes: list[str]) -> bytes | None:
    """Return the XMP of a file as it holds for a rewritten one; None if there is no valid XMP.

    Its orientation is set to upright, like the pixels, or viewers would turn them again. Thumbnails are left out, and
    so is the name of an extension, which JPEG has but Pillow does not read.
    found: what Pillow or tifffile calls XMP. notes: gets a sentence per loss.
    """
    if not isinstance(found, bytes) or not found:
        return None  # a PNG may have a text of the name "xmp"
    if len(found) > MAX_BYTES:
        notes.append("the XMP data is larger than 16 MiB and left out")
        return None
    xmp, extensions = _EXTENSION.subn(b"", found)
    if extensions:
        notes.append("the extension of the XMP data is left out")
    start, end = xmp.find(_THUMBNAILS[0]), xmp.rfind(_THUMBNAILS[1])
    if 0 <= start < end:
        xmp = xmp[:start] + xmp[end + len(_THUMBNAILS[1]) :]
    return _ORIENTATION.sub(rb"\g<1>1", xmp)


def texts_to_carry(image: Image.Image, notes: list[str]) -> Texts:
    """Return the texts of a loaded PNG, or a JPEG's comment; those that cannot be kept are left out with a note."""
    found: list[tuple[str, str]] = []
    comment = image.info.get("comment")
    if isinstance(image, JpegImageFile) and isinstance(comment, bytes) and comment.strip(b"\0"):
        try:
            text = comment.decode()
        except UnicodeDecodeError:
            text = comment.decode("latin-1")
        found = [(COMMENT, text.rstrip("\0"))]
    elif isinstance(image, PngImageFile):
        found = [(keyword, str(text)) for keyword, text in image.text.items() if keyword not in _CARRIED_APART]
    kept: list[tuple[str, str]] = []
    room = MAX_BYTES
    for pair in found:
        if _is_text(*pair) and _size([pair]) <= room and len(kept) < MAX_TEXTS:
            kept.append(pair)
            room -= _size([pair])
    if len(kept) < len(found):
        notes.append(f"{len(found) - len(kept)} of {len(found)} texts are too many, too long or damaged, and left out")
    return tuple(kept)


def dpi_to_carry(image: Image.Image) -> Dpi | None:
    """Return the resolution of an image, None if it has no sensible one."""
    found = image.info.get("dpi")
    if not isinstance(found, tuple | list):
        return None  # a PNG may have a text of the name "dpi"
    try:
        x, y = map(float, found)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if is_dpi((x, y)) else None


def is_dpi(dpi: Dpi) -> bool:
    """Tell whether a resolution is sensible. In TIFF, 1 dpi means "unknown"."""
    return all(1 < value <= _MAX_DPI for value in dpi)


def are_texts(texts: Texts) -> bool:
    """Tell whether a picture and a PNG can hold these texts."""
    return len(texts) <= MAX_TEXTS and all(_is_text(*pair) for pair in texts) and _size(texts) <= MAX_BYTES


def png_chunks(xmp: bytes | None, texts: Texts) -> dict[str, Any]:
    """Return XMP and texts as an option of Pillow for writing a PNG, empty if there are none."""
    if not xmp and not texts:
        return {}
    chunks = PngInfo()
    for keyword, text in texts:
        chunks.add_text(keyword, text)
    if xmp:
        chunks.add_itxt(_XMP_KEYWORD, xmp)
    return {"pnginfo": chunks}


def jpeg_comment(texts: Texts) -> bytes:
    """Return texts as the comment of a JPEG, empty unless they are a single comment that fits."""
    comment = texts[0][1].encode() if [keyword for keyword, _ in texts] == [COMMENT] else b""
    return comment if len(comment) <= MAX_COMMENT else b""


def with_comment(file: bytes, comment: bytes) -> bytes:
    """Return a JPEG file with a comment inserted after its first segment.

    Pillow's own option fails for a long comment in a small picture, whose buffer lacks room for the rest.
    """
    end = 4 + int.from_bytes(file[4:6], "big")
    return file[:end] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + file[end:]


def _is_text(keyword: str, text: str) -> bool:
    """Tell whether a PNG can hold a text: a keyword of 1..79 characters of Latin-1, and no zeros in either.

    PNG, third edition, section 11.3.3.2, whose rules for spaces are not worth losing a text for.
    """
    short = 1 <= len(keyword) <= _MAX_KEYWORD and all(0 < ord(letter) < 256 for letter in keyword)
    return short and "\0" not in text


def _size(texts: Iterable[tuple[str, str]]) -> int:
    """Return the size of texts in UTF-8, with a byte after each keyword and text."""
    return sum(len(part.encode()) + 1 for pair in texts for part in pair)
