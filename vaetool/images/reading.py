"""Image files, and open Pillow images, as pictures."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, TiffImagePlugin, UnidentifiedImageError

from vaetool.errors import ImageError
from vaetool.images import depth, metadata, tiff
from vaetool.images.formats import READABLE, profile_space, reason
from vaetool.images.orientation import TRANSPOSES, upright
from vaetool.images.picture import Picture

MAX_PIXELS = 200_000_000  # default of --max-pixels

# Tags that describe how the old file stored its pixels (size, strips, tiles, bits, orientation), or repeat what is
# carried apart or is stale once the pixels change (XMP, ICC; thumbnails, Photoshop layers): a new file has its own.
_LAYOUT_TAGS = {*range(254, 267), 273, 274, *range(277, 282), 284, 290, 291, 301, 317, *range(320, 326), 330}
_LAYOUT_TAGS |= {*range(338, 348), *range(512, 533), 700, 34377, 34675, 37724}
_RESOLUTION_TAGS = {282, 283, 296}


def read(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    whole: bool = False,
    single: bool = False,
) -> Picture:
    """Decode one image: a path, the bytes of a file, or an open binary file (read from its start, left open).

    The content decides the format, never the extension. Safe to call from several threads.
    whole: of a TIFF file read all pages, and values of any range, as float32.
    single: refuse a TIFF file of several pages, of which else the first is read, with a warning.
    Raises ImageError, without the path, when the source is missing, not an image, damaged, of a kind that would lose
    too much (floating point, 32 bits), or has more than `max_pixels` pixels (then nothing has been decoded).
    """
    with _decoding_errors(), _binary(source) as stream:
        head = stream.read(4096)
        if not head:
            raise ImageError("not a readable image (empty file)")
        is_tiff = head.startswith(tiff.MAGIC)
        if whole and is_tiff and tiff.has_wide_values(_all_of(stream)):
            return replace(tiff.read(_all_of(stream), max_pixels, whole=whole), origin=_origin(source))
        if single and is_tiff and not tiff.has_one_page(_all_of(stream)):
            raise ImageError("has several pages, and the result would hold one: split it into files of one page")
        stream.seek(0)
        notes: list[str] = []
        with _recorded(notes), _without_pillows_limit():
            try:
                image = Image.open(stream, formats=READABLE)
            except UnidentifiedImageError:
                if not is_tiff:
                    raise
                return replace(tiff.read(_all_of(stream), max_pixels, whole=whole), origin=_origin(source))
        count = getattr(image, "n_frames", 1) if whole and is_tiff else 1
        tiff.check_size(_sizes(image, count), max_pixels)
        if count == 1:
            return replace(_decode(image, head, notes, stream), origin=_origin(source))
        first, *others = (_page(image, number, head, notes, stream) for number in range(count))
        return replace(first, pages=tuple(others), origin=_origin(source))


def _sizes(image: Image.Image, count: int) -> list[tuple[int, int]]:
    """Return the width and height of the first pages of an image, of which nothing is decoded."""
    found = [image.size]
    for number in range(1, count):
        image.seek(number)
        found.append(image.size)
    return found


def _page(image: Image.Image, number: int, head: bytes, notes: list[str], stream: BinaryIO) -> Picture:
    image.info.clear()  # or what an earlier page had, and this one has not, would stay
    image.seek(number)
    return _decode(image, head, notes, stream, alone=False)


def _all_of(stream: BinaryIO) -> bytes:
    stream.seek(0)
    return stream.read()


def from_pil(image: Image.Image) -> Picture:
    """Return a Pillow image of any mode as a picture; the image itself is not changed. Raises ImageError as `read`.

    >>> from_pil(Image.new("LA", (3, 2))).pixels.shape
    (2, 3, 1)
    """
    with _decoding_errors():
        return _decode(image, b"", [], None)


@contextmanager
def _binary(source: str | os.PathLike[str] | bytes | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield io.BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            yield file
    else:
        if source.seekable():
            source.seek(0)
        yield source if source.seekable() else io.BytesIO(source.read())


def _origin(source: str | os.PathLike[str] | bytes | BinaryIO) -> Path | bytes | None:
    if isinstance(source, bytes):
        return source
    return Path(source) if isinstance(source, str | os.PathLike) else None


@contextmanager
def _decoding_errors() -> Iterator[None]:
    """Turn whatever decoders raise on hostile data, from SyntaxError to MemoryError, into ImageError."""
    try:
        yield
    except ImageError:
        raise
    except Exception as cause:
        raise ImageError(f"not a readable image ({reason(cause)})") from cause


_RECORDING = threading.Lock()


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Lift Pillow's own limit, one number for a whole process: every call of `read` has its own, `max_pixels`."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


@contextmanager
def _recorded(notes: list[str]) -> Iterator[None]:
    """Record Pillow's warnings as notes, one thread at a time, as filters are global: so never while decoding."""
    with _RECORDING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes += [" ".join(str(warning.message).split()) for warning in caught]


def _decode(image: Image.Image, head: bytes, notes: list[str], stream: BinaryIO | None, alone: bool = True) -> Picture:
    """Decode the frame that an image is at; `alone` if no other one is."""
    with _recorded(notes):
        notes += _frames_left_out(image) if alone else []
        if image.format == "TIFF":
            _subdirectories(image.getexif())  # loading reads them, too late to record what they warn of
    rawmode, bits = _storage(image, head)  # before loading, which forgets it
    deep = bits == 16 and stream is not None and image.mode in {"RGB", "RGBA", "LA"}
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) if deep else 1  # loading a TIFF file turns it
    image.load()
    with _recorded(notes):
        exif, carried_exif = _exif(image, notes)
    orientation = TRANSPOSES.get(exif.get(ExifTags.Base.Orientation, 1))
    pixels, alpha = _arrays(image if orientation is None else image.transpose(orientation), rawmode, notes)
    if deep and stream is not None:
        stored = depth.samples(_all_of(stream), image.format or "", image.tell())
        if stored is not None and stored.dtype == np.uint16 and stored.shape[2] in (2, 3, 4):
            pixels, alpha = upright(stored, turned)
            if "transparency" in image.info:
                alpha = _keyed_alpha(pixels, image.info["transparency"])
    if bits > 8 * pixels.itemsize:
        notes.append(f"{bits}-bit {'grey' if pixels.shape[2] == 1 else 'RGB'} is read as 8-bit")
    found = image.info.get("icc_profile")
    profile = found if found and isinstance(found, bytes) else None  # a PNG may have a text of that name
    if profile and profile_space(profile) not in {"", "GRAY" if pixels.shape[2] == 1 else "RGB"}:
        if image.mode != "CMYK":  # there, the conversion has used it and said so
            notes.append(f"the {profile_space(profile)} colour profile does not fit the pixels and is left out")
        profile = None
    image_format = {"MPO": "JPEG", None: "PNG"}.get(image.format, image.format) or "PNG"
    return Picture(
        pixels,
        alpha,
        image_format,
        icc_profile=profile,
        exif=carried_exif,
        dpi=metadata.dpi_to_carry(image),
        xmp=metadata.xmp_to_carry(image.info.get("xmp"), notes),
        texts=metadata.texts_to_carry(image, notes),
        jpeg=_jpeg_options(image),
        warnings=tuple(dict.fromkeys(notes)),  # last: some of the others add to them
    )


def _jpeg_options(image: Image.Image) -> dict[str, Any] | None:
    """Return how the file of an image was compressed, if it is a JPEG file of grey or RGB that can be made again."""
    tables = getattr(image, "quantization", None)
    if image.format not in {"JPEG", "MPO"} or not tables or image.mode not in {"L", "RGB"}:
        return None
    options = {"qtables": tables, "progressive": bool(image.info.get("progressive"))}
    subsampling = JpegImagePlugin.get_sampling(image) if image.mode == "RGB" else 0
    return options | ({"subsampling": subsampling} if subsampling >= 0 else {})


def _frames_left_out(image: Image.Image) -> list[str]:
    frames = getattr(image, "n_frames", 1)
    if frames == 1:
        return []
    which = "the first" if image.tell() == 0 else "one"
    if image.format in {"TIFF", "MPO"}:
        return [f"several pages: only {which} of {frames} is used"]
    return [f"animated: only {which} of {frames} frames is used"]


def _storage(image: Image.Image, head: bytes) -> tuple[str, int]:
    """Return Pillow's raw mode of the stored pixels ('' if unknown), and their bits per channel (8 if unknown)."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else None
    rawmode = str(args[0] if isinstance(args, tuple) and args else args or "")
    if image.format == "PPM" and isinstance(args, tuple) and args[-1] > 255:
        return rawmode, 16
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return rawmode, max(image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,)))
    # The box of the header that holds the depth, and where in it: AVIF pixi, after version and number of channels;
    # JPEG 2000 ihdr, after height, width and number of channels, one less than the depth.
    for tag, offset, add in ((b"pixi", 9, 0), (b"ihdr", 14, 1)):
        if image.format in {"AVIF", "JPEG2000"} and 0 <= head.find(tag) < len(head) - offset:
            return rawmode, (head[head.find(tag) + offset] & 127) + add
    return rawmode, 16 if ";16" in rawmode else 8


def _arrays(image: Image.Image, rawmode: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels (height, width, 1 or 3) and alpha (height, width) of an upright image, contiguous and writable."""
    if image.mode == "F":
        raise ImageError("holds floating-point values, which only denoise takes; convert it to 8 or 16 bits first")
    key = image.info.get("transparency")
    if image.mode == "I" or image.mode.startswith("I;"):
        pixels = _grey16(image)
        return pixels, None if key is None else _keyed_alpha(pixels, key)
    if image.mode in {"1", "L", "RGB"}:
        pixels = np.atleast_3d(np.array(image.convert("L") if image.mode == "1" else image))
        return pixels, None if key is None else _keyed_alpha(pixels, _scaled_key(key, rawmode))
    straight = _straight(image, notes)
    samples = np.array(straight)
    pixels, alpha = (samples[..., :-1], samples[..., -1].copy()) if straight.mode.endswith("A") else (samples, None)
    palette_is_grey = image.mode in {"P", "PA"} and "icc_profile" not in image.info
    if rawmode.startswith("LA") or (palette_is_grey and (pixels == pixels[..., :1]).all()):
        pixels = pixels[..., :1]
    return np.ascontiguousarray(pixels), alpha


def _straight(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert the modes that are neither plain nor 16-bit to LA, RGB or RGBA."""
    if image.mode in {"LA", "RGBA"}:
        return image
    if image.mode == "La":
        return image.convert("LA")
    if image.mode in {"PA", "RGBa"} or (image.mode == "P" and image.has_transparency_data):
        return image.convert("RGBA")
    if image.mode not in {"P", "RGBX"}:
        notes.append(f"{image.mode} is converted to RGB")
    profile = image.info.get("icc_profile") or b""
    if image.mode == "LAB" or (image.mode == "CMYK" and profile):
        source = ImageCms.createProfile("LAB") if image.mode == "LAB" else io.BytesIO(profile)
        try:
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a damaged profile: Pillow's plain formula is the next best
        if converted is not None:
            return converted
    return image.convert("RGB")


def _grey16(image: Image.Image) -> np.ndarray:
    values = np.array(image)
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise ImageError(f"grey values from {values.min()} to {values.max()} do not fit 16 bits; rescale them first")
    return values.astype(np.uint16)[..., None]


def _scaled_key(key: Any, rawmode: str) -> np.ndarray:
    """Return the transparent colour of a PNG in 8 bits; Pillow scales the pixels of other depths but not the key."""
    values = np.array(key)
    if rawmode in {"L;2", "L;4"} and values.max() < 16:
        return values * {"L;2": 85, "L;4": 17}[rawmode]
    return values >> 8 if ";16" in rawmode else values


def _keyed_alpha(pixels: np.ndarray, key: Any) -> np.ndarray:
    opaque = (pixels != np.asarray(key)).any(axis=2)
    return np.where(opaque, np.iinfo(pixels.dtype).max, 0).astype(pixels.dtype)


def _subdirectories(exif: Image.Exif) -> dict[int, dict[int, Any]]:
    found = {}
    for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if tag in exif:
            found[int(tag)] = dict(exif.get_ifd(tag))
    photo = found.get(int(ExifTags.IFD.Exif), {})
    if ExifTags.IFD.Interop in photo:
        photo[ExifTags.IFD.Interop] = exif.get_ifd(ExifTags.IFD.Interop)
    return found


def _exif(image: Image.Image, notes: list[str]) -> tuple[Image.Exif, bytes | None]:
    """Return all tags of an image, and as a block those that hold for a rewritten file, without the old thumbnail."""
    source, carried = Image.Exif(), Image.Exif()
    try:
        source = image.getexif()
        carried.endian = source.endian
        tags = {tag: value for tag, value in source.items() if tag not in _LAYOUT_TAGS} | _subdirectories(source)
        for tag, value in tags.items():
            carried[tag] = value
        block = carried.tobytes() if tags.keys() - _RESOLUTION_TAGS else None
    except Exception:  # like the decoders, the parser raises anything; but here the pixels are sound
        block = None
        damaged = True
    else:
        damaged = bool(image.info.get("exif")) and not source  # Pillow met the damage earlier, and said nothing
    if damaged:
        notes.append("the EXIF data is damaged and left out")
    return source, block
