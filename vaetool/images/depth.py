"""Samples of more than eight bits in colour, which Pillow cannot hold: out of the bytes of files, and into them."""

from __future__ import annotations

import io
import re
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from vaetool.errors import ImageError

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF files begin."""

BITS_PER_SAMPLE, DESCRIPTION = 258, 270
_TEXT_TAGS = (DESCRIPTION, 271, 272, 305, 306, 315, 33432)  # description, camera, software, date, artist, copyright
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PPM_HEADER = re.compile(rb"P6(?:\s+|\s*#[^\n]*\n)+?(\d+)\s+(\d+)\s+(\d+)\s")


def samples(data: bytes, format: str, page: int = 0) -> np.ndarray | None:  # noqa: A002
    """Return the samples of a PNG, TIFF or PPM file as they are stored, (height, width, channels); None of others.

    Colours come first, then alpha. page: of a TIFF file, counted from 0.
    """
    if format == "PNG":
        from imagecodecs import png_decode

        return np.atleast_3d(png_decode(data))
    if format == "TIFF":
        return _tiff_samples(data, page)
    return _ppm_samples(data) if format == "PPM" else None


def _tiff_samples(data: bytes, number: int) -> np.ndarray:
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as file:
        return _page_samples(file.pages[number])


def _page_samples(page: Any) -> np.ndarray:
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ImageError(f"holds {page.ndim} dimensions on a page; split it into pages first")
    found = page.asarray()
    return np.moveaxis(found, 0, -1) if page.axes == "SYX" else np.atleast_3d(found)


class TiffPage(NamedTuple):
    """A page of a TIFF file: samples as stored, (height, width, channels), and what else is to be kept."""

    samples: np.ndarray
    has_alpha: bool
    orientation: int
    icc_profile: bytes | None
    exif: bytes | None
    dpi: tuple[float, float] | None


def tiff_page(data: bytes, number: int, max_pixels: int) -> TiffPage:
    """Return a page of a TIFF file, counted from 0. Raises ImageError if it has more than `max_pixels` pixels."""
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[number]
        check_size(page.imagewidth, page.imagelength, max_pixels)
        tags = {tag.code: tag.value for tag in page.tags}
        exif = Image.Exif()
        for tag in _TEXT_TAGS:
            if isinstance(tags.get(tag), str):
                exif[tag] = tags[tag]
        inches = {2: 1.0, 3: 2.54}.get(int(tags.get(296, 1)))
        density = [tags[tag][0] / tags[tag][1] for tag in (282, 283) if tag in tags and tags[tag][1]]
        dpi = (density[0] * inches, density[1] * inches) if inches and len(density) == 2 else None
        return TiffPage(
            _page_samples(page),
            bool(page.extrasamples),
            int(tags.get(ExifTags.Base.Orientation, 1)),
            tags.get(34675),
            exif.tobytes() if exif else None,
            dpi,
        )


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Raise ImageError for a picture of more than `max_pixels` pixels."""
    if width * height > max_pixels:
        raise ImageError(f"{width} x {height} pixels is more than the limit of {max_pixels}; raise --max-pixels")


def _ppm_samples(data: bytes) -> np.ndarray | None:
    header = _PPM_HEADER.match(data)
    if header is None:
        return None
    width, height, top = map(int, header.groups())
    stored = np.frombuffer(data, ">u2", 3 * width * height, header.end()).reshape(height, width, 3)
    return np.rint(stored * (65535 / top)).astype(np.uint16)


def encode(pixels: np.ndarray, alpha: np.ndarray | None, format: str, info: dict[str, Any]) -> bytes:  # noqa: A002
    """Return the bytes of a PNG, TIFF or PPM file of 16 bits.

    pixels: (height, width, 1 or 3) uint16; alpha: (height, width) uint16; info: icc_profile, exif and dpi, as Pillow
    has them.
    """
    if format == "PPM":
        height, width, _ = pixels.shape
        return b"P6 %d %d 65535\n" % (width, height) + pixels.astype(">u2").tobytes()
    stored = pixels if alpha is None else np.dstack([pixels, alpha])
    return _png(stored, info) if format == "PNG" else _tiff(stored, alpha is not None, info)


def _png(stored: np.ndarray, info: dict[str, Any]) -> bytes:
    """Encode samples as PNG, with the chunks that Pillow writes for what is to be carried."""
    from imagecodecs import png_encode

    data = bytes(png_encode(stored, level=6))
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "PNG", **info)
    carried = b"".join(chunk for chunk in _chunks(file.getvalue()) if chunk[4:8] not in (b"IHDR", b"IDAT", b"IEND"))
    start = len(_PNG_SIGNATURE) + 25  # IHDR has 13 bytes, and 12 around them
    return data[:start] + carried + data[start:]


def _chunks(data: bytes) -> list[bytes]:
    """Return the chunks of a PNG file, each with its length, type and checksum."""
    found, start = [], len(_PNG_SIGNATURE)
    while start < len(data):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        found.append(data[start:end])
        start = end
    return found


def _tiff(stored: np.ndarray, has_alpha: bool, info: dict[str, Any]) -> bytes:
    from tifffile import imwrite

    options: dict[str, Any] = {"extrasamples": ["unassalpha"]} if has_alpha else {}
    if "dpi" in info:
        options |= {"resolution": info["dpi"], "resolutionunit": "INCH"}
    file = io.BytesIO()
    imwrite(
        file,
        stored,
        photometric="rgb" if stored.shape[2] >= 3 else "minisblack",
        planarconfig="contig",
        compression="zlib",
        predictor=True,
        metadata=None,
        software=False,
        iccprofile=info.get("icc_profile"),
        extratags=_text_tags(info.get("exif")),
        **options,
    )
    return file.getvalue()


def _text_tags(exif: bytes | None) -> list[tuple[int, str, int, str, bool]]:
    """Return the tags of an EXIF block that are text, as tifffile writes them."""
    tags = Image.Exif()
    tags.load(exif or b"")
    return [(tag, "s", 0, str(tags[tag]), True) for tag in _TEXT_TAGS if isinstance(tags.get(tag), str)]


def tiff_bits(image: TiffImagePlugin.TiffImageFile) -> int:
    """Return the bits of a sample of an open TIFF file, the most of all channels."""
    return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))
