"""Image files to arrays and back, with everything that is easily lost on the way either kept or said.

A `Picture` is upright pixels plus what has to survive until they are written again: alpha, ICC profile, EXIF, dpi.
What a file holds but a picture cannot (more frames, more bits, more inks) is named in `Picture.warnings`;
what a picture holds but a format cannot is an `ImageError` that says which format to choose instead.

Carried apart from pixels: nothing else. XMP, text and gamma chunks are left behind.

Importing this module switches off Pillow's own guard against decompression bombs (`Image.MAX_IMAGE_PIXELS`): that is
one number for a whole process, and here every call to `read` has its own limit, checked before anything is decoded.
"""

from __future__ import annotations

import io
import math
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, UnidentifiedImageError

from vaetool.errors import ImageError, UsageError

MAX_PIXELS = 200_000_000  # default of --max-pixels
BAND_ROWS = 64
"""Rows that are worked on at once where a copy of a whole picture in floating point would take gigabytes."""

Image.MAX_IMAGE_PIXELS = None

# No EPS (it starts Ghostscript), no TGA (it has no signature, so anything might be one), no ICO (the size in its
# header is not the size that is decoded). Left out formats are refused even if the extension claims otherwise.
_READABLE = ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "PPM", "JPEG2000")


class _Writable(NamedTuple):
    suffixes: tuple[str, ...]
    bits: int = 8
    alpha: bool = False
    options: Mapping[str, Any] = MappingProxyType({})  # always
    lossless: dict[str, Any] | None = None  # instead of a quality, when none is asked for
    quality: int | None = None  # default of formats that have one


_WRITABLE = {
    "PNG": _Writable((".png",), bits=16, alpha=True),
    "JPEG": _Writable((".jpg", ".jpeg", ".jpe", ".jfif"), options={"subsampling": 0}, quality=95),
    # exact: keep the colours under alpha == 0, as PNG does.
    "WEBP": _Writable((".webp",), alpha=True, options={"exact": True}, lossless={"lossless": True}, quality=95),
    "AVIF": _Writable((".avif",), alpha=True, options={"subsampling": "4:4:4"}, quality=90),
    "TIFF": _Writable((".tif", ".tiff"), bits=16, alpha=True, options={"compression": "tiff_adobe_deflate"}),
    "BMP": _Writable((".bmp",)),
    "PPM": _Writable((".ppm", ".pgm", ".pnm"), bits=16),
}

_GREY_AS_RGB = {("WEBP", True), ("WEBP", False), ("AVIF", False)}  # (format, opaque)

_ORIENTATION = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Tags that describe how the old file stored its pixels (size, strips, tiles, bits, orientation), or repeat what is
# carried apart or is stale once the pixels change (thumbnails, XMP, ICC, Photoshop layers): a new file has its own.
_LAYOUT_TAGS = {*range(254, 267), 273, 274, *range(277, 282), 284, 290, 291, 301, 317, *range(320, 326), 330}
_LAYOUT_TAGS |= {*range(338, 348), *range(512, 533), 700, 34377, 34675, 37724}
_RESOLUTION_TAGS = {282, 283, 296}


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded image file: upright pixels, and what has to survive until they are written again.

    pixels: (height, width, channels), uint8 or uint16; channels is 1 (grey) or 3 (RGB).
    alpha: (height, width), dtype of `pixels`, 0 = hidden; None when the file has none.
    format: Pillow's name of the format it was read from.
    origin: the file that it was read from, or its bytes, as long as it is that file's picture.
    jpeg: how a JPEG file was compressed, as options of Pillow for doing the same again.
    exif: as a TIFF block with its `Exif` prefix, without orientation and thumbnail.
    warnings: one sentence per loss on reading.
    Raises ValueError when shapes or dtypes do not fit together.
    """

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    format: str = "PNG"
    icc_profile: bytes | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()
    origin: Path | bytes | None = None
    jpeg: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.shape[2] not in (1, 3):
            raise ValueError(f"pixels must be (height, width, 1 or 3), not {self.pixels.shape}")
        if self.pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"pixels must be uint8 or uint16, not {self.pixels.dtype}")
        if self.alpha is not None and (self.alpha.shape, self.alpha.dtype) != (
            self.pixels.shape[:2],
            self.pixels.dtype,
        ):
            raise ValueError("alpha must be (height, width) of the dtype of pixels")

    @property
    def height(self) -> int:
        """Rows."""
        return self.pixels.shape[0]

    @property
    def width(self) -> int:
        """Columns."""
        return self.pixels.shape[1]

    def replace_pixels(self, pixels: np.ndarray) -> Picture:
        """The same picture with other pixels; alpha, profile, EXIF, format and warnings are kept.

        With pixels that do not differ where they are visible, it is this picture itself.
        pixels: the shape of `self.pixels`; float in 0..1 (clipped), uint8 or uint16. They are scaled and rounded to
        this picture's dtype. Where alpha is 0 the old colours stay. Raises ValueError for another shape or dtype,
        and for values that are not numbers.

        >>> Picture(np.zeros((1, 2, 1), np.uint8)).replace_pixels(np.array([[[0.5], [7.0]]])).pixels.ravel()
        array([128, 255], dtype=uint8)
        """
        if pixels.shape != self.pixels.shape:
            raise ValueError(f"new pixels are {pixels.shape}, the picture is {self.pixels.shape}")
        new = _rescale(pixels, self.pixels.dtype)
        if self.alpha is not None:
            new = np.where(self.alpha[..., None] == 0, self.pixels, new)
        if np.array_equal(new, self.pixels):
            return self
        return replace(self, pixels=new, origin=None)

    def visible_pixels(self, hole: np.ndarray | None = None) -> np.ndarray:
        """`pixels`, with the colours hidden under alpha == 0 filled smoothly from their visible neighbours.

        For anything that looks at neighbourhoods: hidden colours cannot leak into visible ones (dark fringes).
        hole: bool, (height, width), where neighbours do not count either.
        Shape and dtype of `pixels`; `pixels` itself when nothing is hidden.
        """
        if self.alpha is None or self.alpha.all():
            return self.pixels
        return fill_hidden(self.pixels, self.alpha > 0 if hole is None else (self.alpha > 0) & ~hole)


def read(source: str | os.PathLike[str] | bytes | BinaryIO, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode one image: a path, the bytes of a file, or an open binary file (read from its start, left open).

    The content decides the format, never the extension. Safe to call from several threads.
    Raises ImageError, without the path, when the source is missing, not an image, damaged, of a kind that would lose
    too much (floating point, 32 bits), or has more than `max_pixels` pixels (then nothing has been decoded).
    """
    with _decoding_errors(), _binary(source) as stream:
        head = stream.read(4096)
        stream.seek(0)
        if not head:
            raise ImageError("not a readable image (empty file)")
        notes: list[str] = []
        with _recorded(notes):
            image = Image.open(stream, formats=_READABLE)
        if image.width * image.height > max_pixels:
            raise ImageError(
                f"{image.width} x {image.height} pixels is more than the limit of {max_pixels}; raise --max-pixels"
            )
        return replace(_decode(image, head, notes), origin=_origin(source))


def from_pil(image: Image.Image) -> Picture:
    """An open Pillow image of any mode as a picture; the image itself is not changed. Raises ImageError like `read`.

    >>> from_pil(Image.new("LA", (3, 2))).pixels.shape
    (2, 3, 1)
    """
    with _decoding_errors():
        return _decode(image, b"", [])


def to_pil(picture: Picture) -> Image.Image:
    """A picture as a Pillow image: L, LA, RGB, RGBA, or I;16 for 16-bit grey; ICC, EXIF and dpi in its `info`.

    Other modes do not come back: 1 becomes L, palettes and CMYK become RGB (or RGBA, or L where all colours are grey).
    I;16 carries an on-off alpha as the one `info["transparency"]` value that PNG can store.
    Raises ImageError for 16-bit colour and for 16-bit soft alpha, which Pillow cannot hold.
    """
    pixels, alpha, info = picture.pixels, picture.alpha, {}
    if pixels.dtype == np.uint16:
        if picture.pixels.shape[2] == 3:
            raise ImageError("16-bit colour cannot be written; convert it to 8 bits first")
        if alpha is not None:
            pixels, info["transparency"] = _keyed(pixels, alpha)
    elif alpha is not None:
        pixels = np.dstack([pixels, alpha])
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    carried = {"icc_profile": picture.icc_profile, "exif": picture.exif, "dpi": picture.dpi}
    image.info = {name: value for name, value in {**info, **carried}.items() if value is not None}
    return image


def encode(picture: Picture, format: str, *, quality: int | None = None, strip: bool = False) -> bytes:  # noqa: A002
    """The bytes of an image file: `format` is Pillow's name, as `format_for` gives it.

    quality: 1..100 for JPEG (default: the tables and subsampling of the file that the picture is from if that was a
    JPEG, else 95), WebP (default: lossless) and AVIF (default 90), all without chroma subsampling where the format
    allows and nothing else is said; the other formats are lossless and ignore it.
    strip: leave out ICC profile and EXIF. BMP and PPM have no place for them in any case, and a grey profile is left
    out of WebP and transparent AVIF, which store grey as RGB. dpi is kept by PNG, JPEG, TIFF and BMP.
    Raises ImageError when the format cannot hold the picture, UsageError for a quality out of range.
    """
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality must be 1..100, not {quality}")
    writable = _WRITABLE.get(format)
    if writable is None:
        raise ImageError(f"{format} files are not written; choose {_listing(_WRITABLE)}")
    if picture.pixels.dtype == np.uint16 and writable.bits == 8:
        raise ImageError(f"{format} holds 8 bits; write PNG or TIFF")
    picture = _fit_alpha(picture, format)
    if strip:
        picture = replace(picture, icc_profile=None, exif=None)
    elif _profile_space(picture.icc_profile) == "GRAY" and (format, picture.alpha is None) in _GREY_AS_RGB:
        picture = replace(picture, icc_profile=None)
    image = to_pil(picture)
    # Some savers take these from `info`, some only from their options.
    options: dict[str, Any] = {name: image.info[name] for name in ("icc_profile", "exif", "dpi") if name in image.info}
    options |= writable.options
    if format == "TIFF" and "exif" in options:
        options["compression"] = "raw"  # Pillow cannot write the parts of EXIF and a compression at once
    if quality is None and format == "JPEG" and picture.jpeg:
        options |= picture.jpeg
    elif quality is None and writable.lossless:
        options |= writable.lossless
    elif writable.quality:
        options["quality"] = quality or writable.quality
    file = io.BytesIO()
    try:
        image.save(file, format, **options)
    except Exception as cause:
        raise ImageError(f"cannot be written as {format} ({_reason(cause)})") from cause
    return file.getvalue()


def format_for(path: str | os.PathLike[str]) -> str:
    """Pillow's name of the format that an output path asks for by its suffix. Raises UsageError for any other suffix.

    >>> format_for("a/b.JPG")
    'JPEG'
    """
    suffix = Path(path).suffix.lower()
    for name, writable in _WRITABLE.items():
        if suffix in writable.suffixes:
            return name
    choices = _listing(writable.suffixes[0] for writable in _WRITABLE.values())
    raise UsageError(f"{Path(path).name}: no image format is known by the suffix '{suffix}'; choose {choices}")


def fill_hidden(pixels: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Fill hidden pixels smoothly from the visible ones; visible ones are returned unchanged.

    pixels: (height, width, channels), float or integer; visible: bool, (height, width). Shape and dtype of `pixels`.
    Filled values lie between the smallest and the largest visible value of their channel; all hidden gives zeros.
    The push-pull pyramid of Gortler et al. 1996 (The Lumigraph, section 3.4): average what is visible to half the size
    again and again, then fill each level's holes from the coarser one. Linear in the number of pixels; beside the
    result it takes a third as many numbers as there are in `pixels`, as float32 or wider.

    >>> fill_hidden(np.array([[[10], [99], [10]]]), np.array([[True, False, True]])).ravel()
    array([10, 10, 10])
    """
    filled = pixels.copy()
    _push_pull(filled, visible)
    return filled


def _push_pull(pixels: np.ndarray, visible: np.ndarray) -> None:
    """Fill in place what is not visible."""
    if visible.all():
        return
    if visible.size == 1:
        pixels[:] = 0
        return
    coarse, known = halved(pixels, visible)
    _push_pull(coarse, known)
    fill_from(coarse, pixels, visible)


def halved(pixels: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half as large: means of what is visible of each two by two pixels, 0 where nothing is, and where anything is.

    The means are float32 or wider, in the range of `pixels`.
    """
    half = -(-visible.shape[0] // 2), -(-visible.shape[1] // 2)
    means = np.empty((*half, pixels.shape[2]), np.result_type(pixels.dtype, np.float32))
    known = np.empty(half, bool)
    for start in range(0, half[0], BAND_ROWS):
        band, rows = slice(start, start + BAND_ROWS), slice(2 * start, 2 * (start + BAND_ROWS))
        seen = visible[rows, :, None]
        count = _sum_squares(seen.astype(means.dtype))
        sums = _sum_squares(np.where(seen, pixels[rows], 0).astype(means.dtype, copy=False))
        means[band], known[band] = sums / np.maximum(count, 1), count[..., 0] > 0
    return means, known


def fill_from(coarse: np.ndarray, pixels: np.ndarray, visible: np.ndarray) -> None:
    """Fill in place what is not visible of pixels, from a picture half as large, in the same range."""
    for start in range(0, len(coarse), BAND_ROWS):
        above = min(start, 1)  # a row more on either side, towards which the outermost pixels are interpolated
        finer = _double(_double(coarse[start - above : start + BAND_ROWS + 1], 0), 1)[2 * above :]
        rows = slice(2 * start, 2 * (start + BAND_ROWS))
        hidden = ~visible[rows, :, None]
        finer = finer[: hidden.shape[0], : hidden.shape[1]]
        rounded = np.rint(finer) if np.issubdtype(pixels.dtype, np.integer) else finer
        np.copyto(pixels[rows], rounded, where=hidden, casting="unsafe")


def _sum_squares(x: np.ndarray) -> np.ndarray:
    """Sums of two by two."""
    return _sum_pairs(_sum_pairs(x, 0), 1)


def _sum_pairs(x: np.ndarray, axis: int) -> np.ndarray:
    """Half as long along `axis`, rounded up: a last one without a partner stays as it is."""
    x = np.moveaxis(x, axis, 0)
    sums = x[::2].copy()
    sums[: len(x) // 2] += x[1::2]
    return np.moveaxis(sums, 0, axis)


def _double(x: np.ndarray, axis: int) -> np.ndarray:
    """Twice as long along `axis`, interpolated linearly between the centres."""
    x = np.moveaxis(x, axis, 0)
    double = np.repeat(0.75 * x, 2, axis=0)
    quarter = 0.25 * x
    double[2::2] += quarter[:-1]
    double[1:-1:2] += quarter[1:]
    double[0] += quarter[0]
    double[-1] += quarter[-1]
    return np.moveaxis(double, 0, axis)


def _rescale(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if pixels.dtype == dtype:
        return pixels
    if (pixels.dtype, dtype) == (np.uint8, np.uint16):
        return pixels.astype(np.uint16) * np.uint16(257)
    if (pixels.dtype, dtype) == (np.uint16, np.uint8):
        return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise ValueError(f"new pixels must be float, uint8 or uint16, not {pixels.dtype}")
    if np.isnan(pixels).any():
        raise ValueError("new pixels hold values that are not numbers")
    full = np.iinfo(dtype).max
    scaled = np.clip(pixels, 0, 1).astype(np.result_type(pixels.dtype, np.float32), copy=False) * full
    return np.rint(scaled).astype(dtype)


# Reading


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
    """Decoders on hostile data raise nearly anything, from SyntaxError to MemoryError: all of it means one thing."""
    try:
        yield
    except ImageError:
        raise
    except Exception as cause:
        raise ImageError(f"not a readable image ({_reason(cause)})") from cause


def _reason(cause: Exception) -> str:
    if isinstance(cause, UnidentifiedImageError):
        return f"damaged, or none of {_listing(_READABLE)}"
    if isinstance(cause, MemoryError):
        return "out of memory"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()  # str(cause) would repeat the path
    return " ".join(str(cause).split())[:120] or type(cause).__name__


_RECORDING = threading.Lock()


@contextmanager
def _recorded(notes: list[str]) -> Iterator[None]:
    """Pillow's warnings become notes. One thread at a time, as warning filters are global: so never while decoding."""
    with _RECORDING, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    notes += [" ".join(str(warning.message).split()) for warning in caught]


def _decode(image: Image.Image, head: bytes, notes: list[str]) -> Picture:
    with _recorded(notes):
        notes += _frames_left_out(image)
        if image.format == "TIFF":
            _subdirectories(image.getexif())  # loading reads them, too late to record what they warn of
    rawmode, bits = _storage(image, head)  # before loading, which forgets it
    image.load()
    with _recorded(notes):
        exif, carried_exif = _exif(image, notes)
    orientation = _ORIENTATION.get(exif.get(ExifTags.Base.Orientation, 1))
    upright = image if orientation is None else image.transpose(orientation)
    pixels, alpha = _arrays(upright, rawmode, notes)
    if bits > 8 * pixels.itemsize:
        notes.append(f"{bits}-bit {'grey' if pixels.shape[2] == 1 else 'RGB'} is read as 8-bit")
    profile = image.info.get("icc_profile") or None
    if profile and _profile_space(profile) not in {"", "GRAY" if pixels.shape[2] == 1 else "RGB"}:
        if image.mode != "CMYK":  # there, the conversion has used it and said so
            notes.append(f"the {_profile_space(profile)} colour profile does not fit the pixels and is left out")
        profile = None
    image_format = {"MPO": "JPEG", None: "PNG"}.get(image.format, image.format) or "PNG"
    warned = tuple(dict.fromkeys(notes))
    return Picture(pixels, alpha, image_format, profile, carried_exif, _dpi(image), warned, jpeg=_jpeg_options(image))


def _jpeg_options(image: Image.Image) -> dict[str, Any] | None:
    """How the file of an image was compressed, if it is a JPEG file of grey or colours that can be made again."""
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
    """Pillow's raw mode of the stored pixels ('' if unknown), and their bits per channel (8 if unknown)."""
    tiles = getattr(image, "tile", None)
    args = tiles[0].args if tiles else None
    rawmode = str(args[0] if isinstance(args, tuple) and args else args or "")
    if image.format == "PPM" and isinstance(args, tuple) and args[-1] > 255:
        return rawmode, 16
    # The box of the header that holds the depth, and where in it: AVIF pixi, after version and number of channels;
    # JPEG 2000 ihdr, after height, width and number of channels, one less than the depth.
    for tag, offset, add in ((b"pixi", 9, 0), (b"ihdr", 14, 1)):
        if image.format in {"AVIF", "JPEG2000"} and 0 <= head.find(tag) < len(head) - offset:
            return rawmode, (head[head.find(tag) + offset] & 127) + add
    return rawmode, 16 if ";16" in rawmode else 8


def _arrays(image: Image.Image, rawmode: str, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels (height, width, 1 or 3) and alpha (height, width) of an upright image, contiguous and writable."""
    if image.mode == "F":
        raise ImageError("holds floating-point values; convert it to 8 or 16 bits first")
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
    """LA, RGB or RGBA, from the modes that are neither plain nor 16-bit."""
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
    """The transparent colour of a PNG in 8 bits; Pillow scales the pixels of other depths but not the key."""
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
    """All tags of an image, and as a block those that are true of a rewritten file, without the old thumbnail."""
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
        damaged = bool(image.info.get("exif")) and not source  # Pillow has met the damage before, and said nothing
    if damaged:
        notes.append("the EXIF data is damaged and left out")
    return source, block


def _profile_space(profile: bytes | None) -> str:
    """The colour space of an ICC profile's pixels, '' if there is no telling (ICC.1:2022, table 19)."""
    return {b"GRAY": "GRAY", b"RGB ": "RGB", b"CMYK": "CMYK", b"Lab ": "Lab"}.get((profile or b"")[16:20], "")


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    # TIFF says 1 dpi for "unknown".
    return (x, y) if 1 < x < math.inf and 1 < y < math.inf else None


# Writing


def _fit_alpha(picture: Picture, name: str) -> Picture:
    if picture.alpha is None or name == "PNG" or (_WRITABLE[name].alpha and picture.pixels.dtype == np.uint8):
        return picture
    if (picture.alpha == np.iinfo(picture.alpha.dtype).max).all():
        return replace(picture, alpha=None)  # opaque everywhere: nothing is lost
    if picture.pixels.dtype == np.uint16:
        raise ImageError(f"{name} holds no transparency with 16-bit grey; write PNG")
    raise ImageError(f"{name} holds no transparency; write PNG or WebP")


def _keyed(pixels: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, int | None]:
    """On-off alpha as one grey value that no visible pixel has; a visible one that had it moves by 1 of 65535."""
    hidden = alpha == 0
    if not (hidden | (alpha == 65535)).all():
        raise ImageError("16-bit grey with soft transparency cannot be written; convert it to 8 bits first")
    if not hidden.any():
        return pixels, None
    key = int(pixels[hidden][0, 0])
    moved = np.where(pixels == key, key + 1 if key < 65535 else key - 1, pixels)
    return np.where(hidden[..., None], key, moved).astype(np.uint16), key


def _listing(names: Iterable[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}"
