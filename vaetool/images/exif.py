"""EXIF: the tags that stay true in a rewritten file, with texts kept byte for byte."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Literal

from PIL import ExifTags, Image

from vaetool.images.orientation import SIDEWAYS

# Tags that describe how the old file stored its pixels (size, strips, tiles, bits, orientation), or repeat what is
# carried apart or is stale once the pixels change (XMP, ICC; thumbnails, Photoshop layers): a new file has its own.
_LAYOUT_TAGS = {*range(254, 267), 273, 274, *range(277, 282), 284, 290, 291, 301, 317, *range(320, 326), 330}
_LAYOUT_TAGS |= {*range(338, 348), *range(512, 533), 700, 34377, 34675, 37724}
_RESOLUTION_TAGS = {282, 283, 296}


class ExactText(str):
    """A text of EXIF, each byte as a character of Latin-1.

    Pillow reads texts this way, whatever their encoding (UTF-8 in EXIF 3.0), but would write `?` beyond ASCII.
    """

    __slots__ = ()

    def encode(self, encoding: str = "latin-1", errors: str = "strict") -> bytes:
        """Return the bytes that were read, whatever the encoding asked for; UTF-8 for letters beyond Latin-1."""
        try:
            return super().encode("latin-1")
        except UnicodeEncodeError:  # set by a program, in an image that it has open
            return super().encode("utf-8")


def parse(block: bytes | None) -> Image.Exif:
    """Return the tags of a block, with texts that will be written as they were read."""
    tags = Image.Exif()
    tags.load(block or b"")
    for part in (tags, *subdirectories(tags).values()):
        _make_exact(part)
    return tags


def subdirectories(exif: Image.Exif) -> dict[int, dict[int, Any]]:
    """Return the directories that have tags of their own: a camera's settings, its location."""
    found = {}
    for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if tag in exif:
            found[int(tag)] = exif.get_ifd(tag)
    photo = found.get(int(ExifTags.IFD.Exif), {})
    if ExifTags.IFD.Interop in photo:
        photo[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
    return found


def exif_to_carry(image: Image.Image, notes: list[str]) -> tuple[Image.Exif, bytes | None]:
    """Return all tags of an image, and a block of those that stay true in a rewritten file, without the old thumbnail.

    notes: gets a sentence if they are damaged.
    """
    source, carried = Image.Exif(), Image.Exif()
    try:
        source = image.getexif()
        carried.endian = source.endian
        tags = {tag: value for tag, value in source.items() if tag not in _LAYOUT_TAGS}
        tags |= {tag: dict(values) for tag, values in subdirectories(source).items()}
        if source.get(ExifTags.Base.Orientation) in SIDEWAYS:
            _swap_size(tags.get(ExifTags.IFD.Exif, {}))
        _make_exact(tags)
        for tag, value in tags.items():
            carried[tag] = value
        block = carried.tobytes() if tags.keys() - _RESOLUTION_TAGS else None
    except Exception:  # like the decoders, the parser raises anything; but here the pixels are sound
        block = None
        damaged = True
    else:
        # Pillow met the damage earlier, and ignored it.
        damaged = not source and not _is_empty(image.info.get("exif") or b"")
    if damaged:
        notes.append("the EXIF data is damaged and left out")
    return source, block


def _swap_size(photo: MutableMapping[int, Any]) -> None:
    """Swap the width and height that a directory states for the picture."""
    size = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)
    if all(tag in photo for tag in size):
        photo[size[0]], photo[size[1]] = photo[size[1]], photo[size[0]]


def _is_empty(block: bytes) -> bool:
    """Tell whether a block has no tags, as Pillow writes it for a picture without any."""
    tiff = block.removeprefix(b"Exif\0\0")
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"
    start = int.from_bytes(tiff[4:8], order)
    return not block or tiff[start : start + 2] == bytes(2)


def _make_exact(tags: MutableMapping[int, Any]) -> None:
    for tag, value in list(tags.items()):
        if isinstance(value, str):
            tags[tag] = ExactText(value)
        elif isinstance(value, dict):
            _make_exact(value)
