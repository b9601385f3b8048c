"""Writing pictures in the format of the output's name, the input's, or `--format`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vaetool.errors import UsageError

if TYPE_CHECKING:
    from vaetool.files.planning import Job
    from vaetool.images import Picture


def picture_writer(
    warn: Callable[[str], None], quality: int | None, format_name: str | None, *, strip: bool
) -> Callable[[Picture, Job], bytes]:
    """Return a function that encodes a picture as a file; warn: is told of what the format cannot hold.

    An unchanged picture is returned as the bytes of its own file, unless another format or quality is asked for.
    """
    from vaetool import images
    from vaetool.files.remote import Place
    from vaetool.images.formats import WRITABLE, format_named

    def write(picture: Picture, job: Job) -> bytes:
        if isinstance(job.output, Place) and job.output.suffix:
            file_format = images.format_for(job.output.name)
        else:
            file_format = _format_of(picture) if format_name is None else format_named(format_name)
        if file_format == picture.format and picture.origin is not None and quality is None and not strip:
            return picture.origin.read_bytes() if isinstance(picture.origin, Path) else picture.origin
        if quality is not None and WRITABLE[file_format].quality is None:
            warn(f"{job.source}: {file_format} is lossless: --quality has no effect")
        data = images.encode(picture, file_format, quality=quality, strip=strip)
        if (lost := images.left_out(picture, file_format, strip=strip)) is not None:
            warn(f"{job.source}: {lost}")
        return data

    return write


def _format_of(picture: Picture) -> str:
    """Return the format that the picture was read from, or PNG if that one cannot be written."""
    from vaetool import images

    try:
        return images.format_for(f"x.{picture.format}")
    except UsageError:
        return "PNG"
