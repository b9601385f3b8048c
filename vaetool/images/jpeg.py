"""How JPEG files are compressed, as options of Pillow for doing the same again, or better."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image, JpegImagePlugin

FINE = 90
"""A quality at which an ordinary photo shows no trace of the compression."""


def options_of(image: Image.Image) -> dict[str, Any] | None:
    """Return how the file of an image was compressed, if it is a JPEG file of grey or RGB that can be made again."""
    tables = getattr(image, "quantization", None)
    if image.format not in {"JPEG", "MPO"} or not tables or image.mode not in {"L", "RGB"}:
        return None
    options = {"qtables": tables, "progressive": bool(image.info.get("progressive"))}
    subsampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else 0
    return options | ({"subsampling": subsampling} if subsampling >= 0 else {})


def finer(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options that round no coefficient more coarsely than a file of quality `FINE`, and keep all colours.

    What is better than the file it came from would lose that again by the file's own options.
    """
    standard = _standard_tables(FINE)
    tables = {
        index: list(map(min, table, standard[min(index, 1)])) for index, table in dict(options["qtables"]).items()
    }
    return {**options, "qtables": tables, "subsampling": 0}


def _standard_tables(quality: int) -> dict[int, list[int]]:
    """Return the quantization tables of brightness, 0, and colours, 1, that a quality stands for (libjpeg's scale)."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
    file.seek(0)
    tables: dict[int, list[int]] = JpegImagePlugin.JpegImageFile(file).quantization
    return tables
