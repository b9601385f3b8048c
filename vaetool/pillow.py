"""Plugin for Pillow, which can open and save `.vae` files once this module is imported:

    import vaetool.pillow
    from PIL import Image

    image = Image.open("photo.vae")
    image.save("smaller.vae", quality=30)

Opening reads only the header; pixels are decoded, and torch is imported, when they are first needed. An image's `info`
has `icc_profile`, `exif`, `xmp`, `dpi`, texts by their keywords, and facts of `vaetool info`: `form`, and any `quality`
and `codec`.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any

from PIL import Image, ImageFile

from vaetool.compression.container import SUFFIX, Container, is_vae
from vaetool.compression.decode import decompress_picture, describe_frame, load_codec
from vaetool.compression.encode import compress
from vaetool.compression.unpacking import UNLIMITED, unpack
from vaetool.errors import UsageError, VaetoolError
from vaetool.images import Picture, from_pil, to_pil
from vaetool.images.metadata import texts_to_carry

FORMAT = "VAE"
MIME_TYPE = "image/x-vae"

REDUCTIONS = (8, 4, 2)
TARGETS = ("quality", "bpp", "target_size", "target_psnr", "lossless", "max_error")
"""Options of `Image.save` that it shares with `vaetool.compress`, besides `model`."""

CARRIED = ("icc_profile", "exif", "xmp", "dpi")
"""Metadata in `info` and as options of `Image.save`."""


class VaeImageFile(ImageFile.ImageFile):
    """An open `.vae` file, of mode L, LA, RGB, RGBA, or I;16, as returned by `vaetool.images.to_pil`.

    With `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`, the intact tiles of a damaged file are loaded.
    """

    format = FORMAT
    format_description = "vaetool compressed picture"
    _reductions: tuple[int, ...] = ()  # of which `draft` can choose
    _reduction = 1

    def _open(self) -> None:
        assert self.fp is not None
        with _errors_of_pillow(self.filename):
            frame, form = describe_frame(self.fp)
        self._size = frame.width, frame.height
        self._mode = _mode(frame)
        self._reductions = REDUCTIONS if "quality" in form and self._mode != "I;16" else ()
        carried = zip(CARRIED, (frame.icc, frame.exif, frame.xmp, frame.dpi), strict=True)
        self.info.update({**dict(frame.texts), **form, **{name: value for name, value in carried if value}})

    def draft(self, mode: str | None, size: tuple[int, int] | None) -> tuple[str, tuple[int, int, float, float]] | None:
        """Prepare to decode a smaller picture, if possible: 1/2, 1/4 or 1/8 as large, but at least `size`.

        The result is close to the means over squares of the whole picture, in less than half of the time. The mode
        stays. Called by `thumbnail`. Does nothing for lossless pictures and 16-bit grey.
        """
        if size is None or self._im is not None:
            return None
        width, height = self.size
        room = min(width // size[0], height // size[1])
        reduction = next((reduction for reduction in self._reductions if reduction <= room), 1)
        if reduction == 1:
            return None
        self._reduction, self._reductions = reduction, ()  # once
        self._size = -(-width // reduction), -(-height // reduction)
        return self.mode, (0, 0, width / reduction, height / reduction)

    def load(self) -> Any:
        """Decode the pixels, once. Raises OSError if the file is damaged or its codec is not found."""
        if self._im is None:
            with _errors_of_pillow(self.filename):
                picture, _ = decompress_picture(
                    self._data(),
                    max_pixels=UNLIMITED,  # Pillow has its own limit, which is looked at on opening
                    salvage=ImageFile.LOAD_TRUNCATED_IMAGES,
                    reduction=self._reduction,
                )
                image = to_pil(picture)
            for warning in picture.warnings:
                warnings.warn(warning, stacklevel=2)
            self.im = image.im
            if "transparency" in image.info:
                self.info["transparency"] = image.info["transparency"]
            self._leave_file()
        return super().load()

    def verify(self) -> None:
        """Raise OSError if the file is damaged, by its checksum, without decoding."""
        with _errors_of_pillow(self.filename):
            unpack(self._data(), UNLIMITED)
        self._leave_file()

    def _data(self) -> bytes:
        assert self.fp is not None
        self.fp.seek(0)
        return self.fp.read()

    def _leave_file(self) -> None:
        if self.fp and self._exclusive_fp:  # Pillow has opened it
            self.fp.close()
        self.fp = None


def _mode(frame: Container) -> str:
    if frame.channels == 1 and frame.depth == 16:
        return "I;16"
    return ("L" if frame.channels == 1 else "RGB") + ("A" if frame.alpha else "")


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    options = image.encoderinfo
    with _errors_of_pillow(filename):
        target = {name: options[name] for name in TARGETS if name in options}
        model = options.get("model", "photo-codec")
        codec = load_codec(model) if isinstance(model, str | os.PathLike) else model
        data = compress(_picture(image, options), codec, **target)
    file.write(data)


def _picture(image: Image.Image, options: dict[str, Any]) -> Picture:
    """Convert an image to a picture; options replace its own profile, EXIF, XMP and resolution."""
    given = {name: _block(options[name]) for name in CARRIED if name in options}
    if not given:
        return from_pil(image)
    other = image.copy()
    other.info.update(given)
    if "exif" not in given:
        other._exif = image.getexif()  # a TIFF file has it elsewhere than in `info`
    return replace(from_pil(other), texts=texts_to_carry(image, []))


def _block(given: Any) -> Any:
    if isinstance(given, Image.Exif):
        return given.tobytes()
    return given.encode() if isinstance(given, str) else given or b""


@contextmanager
def _errors_of_pillow(filename: str | bytes) -> Iterator[None]:
    """Convert errors to those of Pillow: ValueError for invalid options, OSError for anything else."""
    try:
        yield
    except UsageError as error:
        raise ValueError(str(error)) from error
    except VaetoolError as error:
        raise OSError(f"{os.fsdecode(filename)}: {error}" if filename else str(error)) from error


Image.register_open(FORMAT, VaeImageFile, is_vae)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, SUFFIX)
Image.register_mime(FORMAT, MIME_TYPE)
