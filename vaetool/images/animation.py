"""Frames of one size as an animated file, as a strip of pictures, or as a folder of them."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vaetool.errors import UsageError
from vaetool.files.outputs import check_results, is_folder
from vaetool.files.writing import is_special, write_atomically
from vaetool.images.picture import as_pillow

FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}
"""Formats by suffix; a PNG is a strip. A path without a suffix is a folder, or a GIF if it is a device or a pipe."""

MAX_PIXELS = 100_000_000
"""Maximum number of pixels of all frames: 300 MB in memory, and a file that few programs show."""

MARGIN = 2
"""White pixels between the frames of a strip."""


def check_new(path: str | Path, *, force: bool = False) -> None:
    """Raise UsageError if frames cannot be written to `path` or, unless `force`, would replace something there."""
    suffix = Path(path).suffix.lower()
    if not _is_folder(path):
        if suffix not in FORMATS and not is_special(Path(path)):
            raise UsageError(f"{Path(path).name}: frames are written as {', '.join(FORMATS)}, or into a folder")
        check_results([Path(path)], force=force)
    elif Path(path).exists() and not Path(path).is_dir():
        raise UsageError(f"{path} is a file, and frames without a suffix need a folder")
    elif _frames_in(path) and not force:
        raise UsageError(f"{path}: holds frames already; --force replaces them")


def replaced_by(path: str | Path) -> list[Path]:
    """Return the files that `write` replaces or removes."""
    return _frames_in(path) if _is_folder(path) else [Path(path)]


def write(frames: np.ndarray, path: str | Path, fps: float = 12, *, replace: bool = True) -> list[Path]:
    """Write frames, (frames, height, width, 1 or 3) uint8, to a file or a folder; return the written paths.

    A file has a suffix of `FORMATS`; in a folder, frame-0001.png and so on replace those that exist. replace: also
    replace files created since `check_new`.
    Raises FileError, UsageError for another suffix.
    """
    check_new(path, force=True)
    if not _is_folder(path):
        write_atomically(path, encode_frames(frames, Path(path).suffix or ".gif", fps), replace=replace)
        return [Path(path)]
    earlier = _frames_in(path)
    digits = max(4, len(str(len(frames))))
    written = [Path(path) / f"frame-{k:0{digits}}.png" for k in range(1, len(frames) + 1)]
    for name, frame in zip(written, frames, strict=True):
        write_atomically(name, _encoded([as_pillow(frame)], "PNG"), replace=replace)
    for name in earlier:
        if name not in written:
            name.unlink()
    return written


def _is_folder(path: str | Path) -> bool:
    return is_folder(path, without_suffix=True)


def _frames_in(folder: str | Path) -> list[Path]:
    return [path for path in Path(folder).glob("frame-*.png") if re.fullmatch(r"frame-\d{4,}\.png", path.name)]


def check_size(count: int, height: int, width: int) -> None:
    """Raise UsageError if so many frames of this height and width have more than `MAX_PIXELS` together."""
    if count * height * width > MAX_PIXELS:
        raise UsageError(f"{count} frames of {width} x {height} pixels are too large: give --size N, or fewer --frames")


def resize(frames: np.ndarray, size: int) -> np.ndarray:
    """Resize frames, (frames, height, width, channels) uint8, so that the longer side has `size` pixels (Lanczos).

    Raises UsageError as `check_size`.
    """
    count, *shape, channels = frames.shape
    height, width = (max(1, round(side * size / max(shape))) for side in shape)
    check_size(count, height, width)
    resized = [np.asarray(as_pillow(frame).resize((width, height), Image.Resampling.LANCZOS)) for frame in frames]
    return np.stack(resized).reshape(count, height, width, channels)


def encode_frames(frames: np.ndarray, suffix: str, fps: float = 12) -> bytes:
    """Encode frames, (frames, height, width, 1 or 3) uint8, as a file in the format of a suffix.

    GIF and WebP loop for ever; a GIF counts time in hundredths of a second. WebP and PNG are lossless. A GIF has the
    256 best colours of each frame, not dithered, as that would flicker, and all greys.
    """
    name = FORMATS[suffix.lower()]
    if name == "PNG":
        return _encoded([as_pillow(strip(frames))], name)
    images = [as_pillow(frame) for frame in frames]
    options: dict[str, Any] = {} if name == "GIF" else {"lossless": True}
    if name == "GIF":
        images = [image if image.mode == "L" else _with_palette(image) for image in images]
    if len(images) > 1:
        options |= {"duration": _durations(len(images), fps, unit=10 if name == "GIF" else 1), "loop": 0}
    return _encoded(images, name, **options)


def strip(frames: np.ndarray) -> np.ndarray:
    """Put frames side by side, with white between them: (height, total width, channels)."""
    spaced = np.pad(frames, ((0, 0), (0, 0), (0, MARGIN), (0, 0)), constant_values=255)
    return np.concatenate(list(spaced), axis=1)[:, :-MARGIN]


def _with_palette(image: Image.Image) -> Image.Image:
    return image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)


def _durations(count: int, fps: float, unit: int = 1) -> list[int]:
    """Return the milliseconds to show each frame, in multiples of `unit`, so that the total time comes out right."""
    ends = np.rint(np.arange(count + 1) * 1000 / (fps * unit)).astype(int) * unit
    return np.diff(ends).tolist()


def _encoded(images: Sequence[Image.Image], name: str, **options: Any) -> bytes:
    more = {"save_all": True, "append_images": images[1:]} if len(images) > 1 else {}
    images[0].save(file := io.BytesIO(), name, **more, **options)
    return file.getvalue()
