"""Reading image files and open Pillow images as pictures."""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from vaetool.errors import ImageError
from vaetool.files.unread import RAW, advice, is_heic, kind_by_content, reads_heic
from vaetool.images import depth, jpeg, libtiff, metadata, tiff
from vaetool.images.exif import exif_to_carry, subdirectories
from vaetool.images.formats import READABLE, profile_space, reason
from vaetool.images.mending import mend
from vaetool.images.modes import arrays, keyed_alpha, storage_of
from vaetool.images.orientation import SIDEWAYS, TRANSPOSES, upright
from vaetool.images.photometric import WHITE_IS_ZERO
from vaetool.images.picture import Picture

MAX_PIXELS = 200_000_000  # default of --max-pixels
HEAD = 4096  # bytes of a file that tell what it is
_OF_PAGES = "TIFF", "MPO"  # the latter: a JPEG with a camera's previews and maps


def read(
    source: str | os.PathLike[str] | bytes | BinaryIO,
    *,
    max_pixels: int = MAX_PIXELS,
    whole: bool = False,
    single: bool = False,
    still: bool = False,
) -> Picture:
    """Decode one image: a path, the bytes of a file, or an open binary file (read from its start, left open).

    The content decides the format, never the extension. Safe to call from several threads.
    whole: read all pages of a TIFF file, and values of any range, as float32.
    single: refuse, unless `whole`, a TIFF file of several pages, not counting smaller copies; otherwise its first page
    is read, with a warning. still: refuse an animation; otherwise its first frame is read, likewise.
    Raises ImageError, without the path, when the source is missing, not an image, damaged, of a kind that would lose
    too much (floating point, 32 bits), or has more than `max_pixels` pixels (before anything is decoded).
    """
    with _decoding_errors(), _binary(source) as stream, libtiff.heard():
        try:
            return replace(_read(stream, max_pixels, whole, single, still), origin=_origin(source))
        except ImageError:
            raise
        except Exception:
            mended = mend(_all_of(stream), partial(_open, max_pixels=max_pixels))
            if mended is None:
                raise
            picture = _read(io.BytesIO(mended.data), max_pixels, whole, single, still)
            return replace(picture, origin=mended.data, warnings=(mended.note, *picture.warnings))


def _read(stream: BinaryIO, max_pixels: int, whole: bool, single: bool, still: bool) -> Picture:
    """Decode a stream from its start; see `read`. Raises anything."""
    head = stream.read(HEAD)
    if not head:
        raise ImageError("not a readable image (empty file)")
    is_tiff = head.startswith(tiff.MAGIC)
    if is_tiff and (name := tiff.name_of_raw(head, stream)):
        raise ImageError(f"not a readable image ({RAW}, {name}: {advice(RAW)})")
    if whole and is_tiff and tiff.has_wide_values(stream):
        return tiff.read(_all_of(stream), max_pixels, whole=whole)
    numbers = tiff.page_numbers(stream) if is_tiff and (whole or single) else [0]
    if len(numbers) > 1 and not whole:
        raise ImageError("has several pages, and the result would hold one: split it into files of one page")
    stream.seek(0)
    notes: list[str] = []
    with _recorded(notes), _without_pillows_limits():
        try:
            image = Image.open(stream, formats=_readable(head))
        except UnidentifiedImageError:
            if kind := kind_by_content(head):
                raise ImageError(f"not a readable image ({kind}: {advice(kind)})") from None
            if not is_tiff:
                raise
            return tiff.read(_all_of(stream), max_pixels, whole=whole)
    if still and image.format not in _OF_PAGES and (frames := getattr(image, "n_frames", 1)) > 1:
        raise ImageError(f"is animated, with {frames} frames: split it into files of one frame")
    tiff.check_size(_sizes(image, numbers), max_pixels)
    if len(numbers) == 1:
        return _decode(image, head, notes, stream)
    first, *others = (_page(image, number, head, notes, stream) for number in numbers)
    return replace(first, pages=tuple(others))


def _readable(head: bytes) -> tuple[str, ...]:
    """Return the possible formats of a file, given its first bytes."""
    if not (is_heic(head) and reads_heic()):
        return READABLE
    import pillow_heif

    pillow_heif.register_heif_opener()  # Pillow then knows it, in this process
    return ("HEIF",)


def _open(data: bytes, max_pixels: int) -> Image.Image:
    """Open the bytes of a file without decoding. Raises anything."""
    with _recorded([]), _without_pillows_limits():
        image = Image.open(io.BytesIO(data), formats=_readable(data[:HEAD]))
    tiff.check_size([image.size], max_pixels)
    return image


def _sizes(image: Image.Image, numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return the width and height of pages of an image, the first and others, without decoding."""
    found = [image.size]
    for number in numbers[1:]:
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
    """Convert a Pillow image of any mode to a picture, leaving the image unchanged. Raises ImageError as `read`.

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
def _without_pillows_limits() -> Iterator[None]:
    """Replace Pillow's limits, which are global to the process, by ours; use only within `_recorded`.

    The limit of pixels is lifted, since every call of `read` has its own, `max_pixels`.
    """
    before = Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK
    Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = None, metadata.MAX_BYTES
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK = before


@contextmanager
def _recorded(notes: list[str]) -> Iterator[None]:
    """Record Pillow's warnings as notes, one thread at a time as filters are global: not for use while decoding."""
    with _RECORDING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes += [" ".join(str(warning.message).split()) for warning in caught]


def _decode(image: Image.Image, head: bytes, notes: list[str], stream: BinaryIO | None, alone: bool = True) -> Picture:
    """Decode the current frame of an image; `alone`: there are no other frames."""
    with _recorded(notes):
        notes += _frames_left_out(image, stream) if alone else []
        if image.format == "TIFF":
            subdirectories(image.getexif())  # loading reads them, too late to record what they warn of
    rawmode, bits = storage_of(image, head)  # before loading, which forgets it
    deep = stream is not None and _is_beyond_pillow(image, bits)
    # Loading a TIFF file turns it.
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) if deep or image.format == "TIFF" else 1
    with libtiff.heard() as errors:
        image.load()
    if errors:
        notes.append("is a damaged TIFF file: parts of the picture may be missing")
    with _recorded(notes):
        exif, carried_exif = exif_to_carry(image, notes)
    orientation = TRANSPOSES.get(exif.get(ExifTags.Base.Orientation, 1))
    pixels, alpha = arrays(image if orientation is None else image.transpose(orientation), rawmode, notes)
    if deep and stream is not None:
        stored = depth.samples(_all_of(stream), image.format or "", image.tell(), bits)
        if stored is not None and stored.dtype in (np.uint8, np.uint16) and stored.shape[2] <= 4:
            pixels, alpha = upright(stored, turned)
            if "transparency" in image.info:
                alpha = keyed_alpha(pixels, image.info["transparency"])
    if image.format in {"TIFF", "JPEG2000"}:
        notes += filter(None, [tiff.scaling_note(bits)])
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        extra = image.tag_v2.get(ExifTags.Base.ExtraSamples, ())
        notes += filter(None, [tiff.extra_channels_note(extra)])
    if bits > 8 * pixels.itemsize:
        notes.append(f"{bits}-bit {'grey' if pixels.shape[2] == 1 else 'RGB'} is read as 8-bit")
    found = image.info.get("icc_profile")
    profile = found if found and isinstance(found, bytes) else None  # a PNG may have a text of that name
    if profile and profile_space(profile) not in {"", "GRAY" if pixels.shape[2] == 1 else "RGB"}:
        if image.mode != "CMYK":  # there, the conversion has used it and said so
            notes.append(f"the {profile_space(profile)} colour profile does not fit the pixels and is left out")
        profile = None
    dpi = metadata.dpi_to_carry(image)
    if dpi is not None and exif.get(ExifTags.Base.Orientation, turned) in SIDEWAYS:
        dpi = dpi[::-1]
    image_format = {"MPO": "JPEG", None: "PNG"}.get(image.format, image.format) or "PNG"
    return Picture(
        pixels,
        alpha,
        image_format,
        icc_profile=profile,
        exif=carried_exif,
        dpi=dpi,
        xmp=metadata.xmp_to_carry(image.info.get("xmp"), notes),
        texts=metadata.texts_to_carry(image, notes),
        white=_white(image, bits, pixels, stream),
        jpeg=jpeg.options_of(image),
        warnings=tuple(dict.fromkeys(notes)),  # last: some of the others add to them
    )


def _is_beyond_pillow(image: Image.Image, bits: int) -> bool:
    """Tell whether Pillow would halve the bits of an open image, leave it dark, invert it, or get its colours wrong.

    bits: those of each channel of the file.
    """
    if image.mode in {"RGB", "RGBA", "RGBX", "LA"}:
        return bits == 16 or (image.format == "JPEG2000" and 8 < bits < 16)
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    if not image.mode.startswith("I;16"):
        return image.mode == "LAB"
    return bits < 16 or image.tag_v2.get(ExifTags.Base.PhotometricInterpretation) == WHITE_IS_ZERO


def _white(image: Image.Image, bits: int, pixels: np.ndarray, stream: BinaryIO | None) -> int | None:
    """Return the largest possible value of 16-bit samples, None if the file does not say."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return tiff.white_of(image.tag_v2, image.tag_v2.get(ExifTags.Base.PhotometricInterpretation), bits)
    if image.format == "PNG" and pixels.dtype == np.uint16 and stream is not None:
        return depth.white_of_png(_all_of(stream), pixels)
    return None


def _frames_left_out(image: Image.Image, stream: BinaryIO | None) -> list[str]:
    if image.format == "TIFF" and stream is not None:
        frames = tiff.count_pages(stream)  # Pillow would look at each of thousands of pages
    else:
        frames = getattr(image, "n_frames", 1)
    if frames == 1:
        return []
    which = "the first" if image.tell() == 0 else "one"
    if image.format in _OF_PAGES:
        return [f"several pages: only {which} of {frames} is used"]
    return [f"animated: only {which} of {frames} frames is used"]
