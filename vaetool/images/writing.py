"""Writing pictures as the bytes of image files and as Pillow images."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from vaetool.errors import ImageError, UsageError
from vaetool.images import depth, tiff
from vaetool.images.exif import parse
from vaetool.images.formats import GREY_AS_RGB, WRITABLE, listing, profile_space, reason
from vaetool.images.metadata import jpeg_comment, png_chunks, with_comment
from vaetool.images.picture import METADATA, Picture, as_pillow, rescale

MAX_JPEG_EXIF = 65533
MAX_JPEG_XMP = 65504  # bytes: a segment has 16 bits for its length
MAX_JPEG_DPI = 65535

_WORDS = {"icc_profile": "colour profile", "exif": "EXIF", "xmp": "XMP", "texts": "texts or comment"}


def to_pil(picture: Picture) -> Image.Image:
    """Return a picture as a Pillow image: L, LA, RGB, RGBA, or I;16 for 16-bit grey.

    Its `info` holds ICC, EXIF, XMP, dpi, and texts by their keywords, as for a PNG in Pillow.
    16-bit colour is reduced to 8 bits, Pillow's limit for colours, with a UserWarning.

    Other modes are not restored: 1 becomes L, palettes and CMYK become RGB (or RGBA, or L where all colours are grey).
    I;16 keeps an on-off alpha as the one `info["transparency"]` value that PNG can store.
    Raises ImageError for 16-bit grey with soft alpha, which Pillow cannot hold.
    """
    pixels, alpha, key = picture.pixels, picture.alpha, None
    if pixels.dtype == np.uint16 and picture.pixels.shape[2] == 3:
        warnings.warn("Pillow holds 8 bits per colour: of 16 bits, the upper 8 are kept", stacklevel=2)
        pixels, alpha = rescale(pixels, np.uint8), None if alpha is None else rescale(alpha, np.uint8)
    if pixels.dtype == np.uint16:
        if alpha is not None:
            pixels, key = _keyed(pixels, alpha)
    elif alpha is not None:
        pixels = np.dstack([pixels, alpha])
    image = as_pillow(pixels)
    info: dict[Any, Any] = {**dict(picture.texts), **_options(picture)}
    image.info = info if key is None else {**info, "transparency": key}
    return image


def encode(picture: Picture, format: str, *, quality: int | None = None, strip: bool = False) -> bytes:  # noqa: A002
    """Encode a picture as an image file; format: Pillow's name, as returned by `format_for`.

    quality: 1..100 for JPEG (default: the tables and subsampling of the file that the picture is from if that was a
    JPEG, else 95), WebP (default: lossless) and AVIF (default 90), all without chroma subsampling where the format
    allows, unless stated otherwise; the other formats are lossless and ignore it.
    strip: leave out ICC profile, EXIF, XMP and texts. Metadata that a format cannot hold are left out in any case, see
    `left_out`, and so is dpi in WebP, AVIF and PPM.
    Raises ImageError when the format cannot hold the picture, UsageError for a quality out of range.
    """
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality must be 1..100, not {quality}")
    if picture.pages and format != "TIFF":
        raise ImageError(f"has {len(picture.pages) + 1} pages, and {format} holds one; write TIFF")
    if picture.pixels.dtype == np.float32 and format != "TIFF":
        raise ImageError("holds floating-point values, which only TIFF keeps; write TIFF")
    writable = WRITABLE.get(format)
    if writable is None:
        raise ImageError(f"{format} files are not written; choose {listing(WRITABLE)}")
    if picture.pixels.dtype == np.uint16 and writable.bits == 8:
        raise ImageError(f"{format} holds 8 bits; write PNG or TIFF")
    picture = _fit_alpha(picture, format)
    picture = picture.without(METADATA) if strip else picture
    picture = picture.without(_lost(picture, format))
    if format == "JPEG" and len(picture.exif or b"") > MAX_JPEG_EXIF:
        raise ImageError("has more EXIF than the 64 KiB that JPEG holds; leave it out with --strip, or write PNG")
    if picture.pages or _needs_depth(picture):
        with _encoding_errors(format):
            return _encode_without_pillow(picture, format, strip)
    # Some savers take what is carried from the image's `info`, some only from their options.
    image, options = to_pil(picture.without(["texts"])), {**_options(picture), **writable.options}
    if format == "AVIF" and picture.pixels.shape[2] == 1:
        options["subsampling"] = "4:0:0"  # no colours at all
    if quality is None and format == "JPEG" and picture.jpeg:
        options |= picture.jpeg
    elif quality is None and writable.lossless:
        options |= writable.lossless
    elif writable.quality:
        options["quality"] = quality or writable.quality
    file = io.BytesIO()
    with _encoding_errors(format):
        image.save(file, format, **(options | _special_options(picture, format)))
    comment = jpeg_comment(picture.texts) if format == "JPEG" else b""
    return with_comment(file.getvalue(), comment) if comment else file.getvalue()


def left_out(picture: Picture, format: str, *, strip: bool = False) -> str | None:  # noqa: A002
    """Return a sentence on what `encode` leaves out of a picture without being asked to; None if nothing."""
    if strip:
        return None
    lost = [_WORDS[name] for name in _lost(picture, format) if name in _WORDS]
    sentences = [f"{format} does not keep its {listing(lost, 'and')}"] if lost else []
    if format == "TIFF" and (picture.pages or _needs_depth(picture)):
        pages = (picture, *picture.pages)
        sentences += [tiff.TEXTS_ALONE] if any(tiff.has_other_tags(page.exif) for page in pages) else []
    return "; ".join(sentences) or None


def _lost(picture: Picture, format: str) -> list[str]:  # noqa: A002
    """Return the names of the fields of metadata that a file of the format cannot hold."""
    lost = [name for name in ("dpi", *METADATA) if getattr(picture, name) and name not in WRITABLE[format].keeps]
    if profile_space(picture.icc_profile) == "GRAY" and format in GREY_AS_RGB:
        lost.append("icc_profile")
    if format == "JPEG" and len(picture.xmp or b"") > MAX_JPEG_XMP:
        lost.append("xmp")
    if format == "JPEG" and picture.texts and not jpeg_comment(picture.texts):
        lost.append("texts")
    if format == "JPEG" and picture.dpi and max(picture.dpi) > MAX_JPEG_DPI:
        lost.append("dpi")
    return lost


def _options(picture: Picture) -> dict[str, Any]:
    """Return a picture's metadata except texts, as Pillow has them in `info` and takes them as options."""
    carried = {"icc_profile": picture.icc_profile, "exif": picture.exif, "dpi": picture.dpi, "xmp": picture.xmp}
    return {name: value for name, value in carried.items() if value is not None}


def _special_options(picture: Picture, format: str) -> dict[str, Any]:  # noqa: A002
    """Return options that Pillow's PNG and TIFF savers need in addition to, or instead of, `_options`."""
    if format == "PNG":
        return png_chunks(picture.xmp, picture.texts)
    if format != "TIFF" or not (picture.exif or picture.xmp or picture.white):
        return {}
    tags = parse(picture.exif)
    if picture.white:
        tags[tiff.LARGEST_VALUES[0]] = picture.white
    if picture.xmp:
        tags[tiff.XMP] = picture.xmp
    # Pillow cannot write the parts of EXIF and a compression at once.
    return {"exif": tags} | ({"compression": "raw"} if picture.exif else {})


@contextmanager
def _encoding_errors(format: str) -> Iterator[None]:  # noqa: A002
    """Turn whatever encoders raise into ImageError."""
    try:
        yield
    except Exception as cause:
        raise ImageError(f"cannot be written as {format} ({reason(cause)})") from cause


def _encode_without_pillow(picture: Picture, format: str, strip: bool) -> bytes:  # noqa: A002
    """Encode a picture with several pages or with values that Pillow cannot write. strip: the pages after this one."""
    if format == "PPM":
        return depth.encode_ppm(picture.pixels)
    if format == "PNG":
        return depth.encode_png(_samples(picture), _options(picture) | _special_options(picture, format))
    pages = [picture, *(page.without(METADATA) if strip else page for page in picture.pages)]
    return tiff.encode(
        [
            tiff.TiffPage(
                _samples(page),
                page.alpha is not None,
                page.icc_profile,
                page.exif,
                page.dpi,
                page.xmp,
                white=page.white,
            )
            for page in pages
        ]
    )


def _samples(picture: Picture) -> np.ndarray:
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


def _needs_depth(picture: Picture) -> bool:
    """Tell whether a picture has floats, or 16 bits with colours or alpha, which Pillow cannot write."""
    if picture.pixels.dtype != np.uint16:
        return picture.pixels.dtype == np.float32
    return picture.alpha is not None or picture.pixels.shape[2] == 3


def _fit_alpha(picture: Picture, name: str) -> Picture:
    if picture.alpha is None or WRITABLE[name].alpha:
        return picture
    if (picture.alpha == np.iinfo(picture.alpha.dtype).max).all():
        return replace(picture, alpha=None)  # opaque everywhere: nothing is lost
    others = "PNG or TIFF" if picture.pixels.dtype == np.uint16 else "PNG or WebP"
    raise ImageError(f"{name} holds no transparency; write {others}")


def _keyed(pixels: np.ndarray, alpha: np.ndarray) -> tuple[np.ndarray, int | None]:
    """Encode on-off alpha as a grey value that no visible pixel has; a visible one that has it moves by 1 of 65535."""
    hidden = alpha == 0
    if not (hidden | (alpha == 65535)).all():
        raise ImageError("16-bit grey with soft transparency does not fit a Pillow image; convert it to 8 bits first")
    if not hidden.any():
        return pixels, None
    key = int(pixels[hidden][0, 0])
    moved = np.where(pixels == key, key + 1 if key < 65535 else key - 1, pixels)
    return np.where(hidden[..., None], key, moved).astype(np.uint16), key
