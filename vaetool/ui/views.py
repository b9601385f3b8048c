"""Pictures as the page shows and saves them."""

from __future__ import annotations

import base64
import io
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from vaetool import images
from vaetool.errors import UsageError
from vaetool.images import Picture
from vaetool.images.formats import WRITABLE
from vaetool.images.picture import as_pillow, rescale
from vaetool.images.ranges import used_range
from vaetool.ui.session import Item, Session

SHOWN_PIXELS = 16_000_000
"""Larger pictures are shown smaller; what is computed and saved has their full size."""


def show(session: Session, item: Item) -> dict[str, Any]:
    """Keep a picture for the page and return what the page says about it."""
    picture = item.picture
    return {
        "id": session.keep(item),
        "name": item.name,
        "width": picture.width,
        "height": picture.height,
        "bits": 8 * picture.pixels.itemsize,
        "notes": list(picture.warnings),
        "formats": formats(picture),
    }


def formats(picture: Picture) -> list[str]:
    """Return the formats to save a picture in: its own, if it is one that is written, and PNG."""
    own = [picture.format] if picture.format in WRITABLE else []
    return list(dict.fromkeys([*own, "PNG"]))


def preview(picture: Picture) -> bytes:
    """Encode a picture as a PNG for the browser: 8 bits, of the range in use, with its colour profile."""
    in_use = used_range(picture.pixels, picture.white)
    shown = rescale(picture.pixels if in_use is None else in_use.to_unit(picture.pixels), np.uint8)
    if picture.alpha is not None:  # uses all of its type's range, whatever the colours do
        shown = np.dstack([shown, rescale(picture.alpha, np.uint8)])
    image = as_pillow(shown)
    if image.width * image.height > SHOWN_PIXELS:
        factor = (SHOWN_PIXELS / (image.width * image.height)) ** 0.5
        size = (max(1, round(factor * image.width)), max(1, round(factor * image.height)))
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2)
    return png(image, icc_profile=picture.icc_profile)


def saved(item: Item, format_name: str | None = None) -> tuple[str, bytes]:
    """Return the name and the bytes of a file to save; format_name: of a picture, its own by default.

    Raises ImageError, and UsageError for a format that is not offered.
    """
    if isinstance(item.content, bytes):
        return item.name, item.content
    offered = formats(item.content)
    chosen = format_name or offered[0]
    if chosen not in offered:
        raise UsageError(f"this picture is saved as {' or '.join(offered)}, not as {chosen}")
    path, suffixes = PurePath(item.name), WRITABLE[chosen].suffixes
    name = item.name if path.suffix.lower() in suffixes else f"{path.stem}{suffixes[0]}"
    origin = item.content.origin
    if isinstance(origin, bytes) and chosen == item.content.format:
        return name, origin  # it did not change
    return name, images.encode(item.content, chosen)


def png(image: Image.Image, **options: Any) -> bytes:
    """Encode an image as a PNG, fast rather than small: it goes no further than this machine."""
    image.save(file := io.BytesIO(), "PNG", compress_level=1, **options)
    return file.getvalue()


def inline(pixels: np.ndarray) -> str:
    """Return small pixels, (height, width, 1 or 3) uint8, as the address of an image."""
    return as_address(png(as_pillow(pixels)), "png")


def as_address(data: bytes, kind: str) -> str:
    """Return the bytes of a small image file as its address."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
