"""Facts about an image file, as plain values."""

from __future__ import annotations

from typing import Any

from vaetool.images.picture import Picture


def describe_picture(picture: Picture) -> dict[str, Any]:
    """Return the facts of a picture: format, size in pixels, colours, bits, and metadata.

    `icc_profile`, `exif`, `xmp` and `texts` are numbers of bytes; absent ones are left out.
    """
    facts: dict[str, Any] = {
        "kind": "image",
        "format": picture.format,
        "width": picture.width,
        "height": picture.height,
        "colours": "RGB" if picture.pixels.shape[2] == 3 else "grey",
        "transparency": picture.alpha is not None,
        "bits": 8 * picture.pixels.dtype.itemsize,
    }
    if picture.dpi is not None:
        facts["dpi"] = [round(value, 2) for value in picture.dpi]
    texts = sum(len(part.encode("utf-8", "surrogatepass")) for text in picture.texts for part in text)
    carried = {"icc_profile": picture.icc_profile, "exif": picture.exif, "xmp": picture.xmp}
    facts |= {name: len(data) for name, data in carried.items() if data}
    if texts:
        facts["texts"] = texts
    if picture.warnings:
        facts["warnings"] = list(picture.warnings)
    return facts
