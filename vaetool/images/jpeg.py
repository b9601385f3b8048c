"""Compression of JPEG files, as options of Pillow for repeating it, or for better quality."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, JpegImagePlugin

FINE = 90
"""Quality at which an ordinary photo shows no trace of the compression."""


def options_of(image: Image.Image) -> dict[str, Any] | None:
    """Return the options that compressed an image, if it is a grey or RGB JPEG file and they can be reused."""
    tables = getattr(image, "quantization", None)
    if image.format not in {"JPEG", "MPO"} or not tables or image.mode not in {"L", "RGB"}:
        return None
    options = {"qtables": tables, "progressive": bool(image.info.get("progressive"))}
    subsampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else 0
    return options | ({"subsampling": subsampling} if subsampling >= 0 else {})


def finer(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that round no coefficient more coarsely than quality `FINE`, without chroma subsampling.

    The file's own options would lose what a result has gained over it.
    """
    standard = _standard_tables(FINE)
    tables = {
        index: list(map(min, table, standard[min(index, 1)])) for index, table in dict(options["qtables"]).items()
    }
    return {**options, "qtables": tables, "subsampling": 0}


def _standard_tables(quality: int) -> dict[int, list[int]]:
    """Return the quantization tables of brightness, 0, and colours, 1, for a quality (libjpeg's scale)."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    file.seek(0)
    tables: dict[int, list[int]] = JpegImagePlugin.JpegImageFile(file).quantization
    return tables
