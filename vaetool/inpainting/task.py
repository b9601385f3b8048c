"""The task behind `vaetool inpaint`: where the holes of pictures are, and one picture with its holes filled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageColor

from vaetool import images
from vaetool.errors import FileError, ImageError, UsageError
from vaetool.files.mask_folder import MaskFolder
from vaetool.images import MAX_PIXELS, Picture
from vaetool.images.conversion import as_picture, unpack, unpack_mask, white_part
from vaetool.inpainting.holes import count_holes, dilate_hole
from vaetool.inpainting.mae import MAE

AROUND = 4
"""Pixels by which holes grow by default: what is just outside of the marked part would bring its content back."""

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


@dataclass(frozen=True, eq=False)
class MaskedPicture:
    """A picture, and its hole, (height, width) bool: what `inpaint_picture` takes."""

    picture: Picture
    hole: np.ndarray

    @property
    def warnings(self) -> tuple[str, ...]:
        """The picture's own, and one if nothing is marked."""
        nothing = () if self.hole.any() else ("nothing is marked to be filled: it stays as it is",)
        return (*self.picture.warnings, *nothing)


class Holes:
    """Where the holes of pictures are, found in exactly one way.

    mask: an image that is white there, for all pictures; or a folder of masks, found by the names of pictures.
    box: boxes (left, top, width, height), cut off at the picture's borders.
    alpha: where a picture is more transparent than not; it becomes opaque.
    color: where it is of exactly this colour, `#rrggbb` or a name.
    invert_mask: black is filled, not white.
    dilate: everything within so many pixels of a hole belongs to it; None means `AROUND`, or 0 for boxes.
    max_pixels: larger masks are refused.
    Raises UsageError for no way or several, text that names no colour, and a mask file that cannot be read.
    """

    def __init__(
        self,
        mask: str | Path | None = None,
        box: Sequence[Box] = (),
        alpha: bool = False,
        color: str | None = None,
        invert_mask: bool = False,
        dilate: int | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        if sum((mask is not None, bool(box), alpha, color is not None)) != 1:
            raise UsageError("where are the holes? Give one of --mask, --box, --alpha and --color")
        if invert_mask and mask is None:
            raise UsageError("--invert-mask inverts the picture of --mask: give both")
        self._invert, self._max_pixels = invert_mask, max_pixels
        self._radius = dilate if dilate is not None else 0 if box else AROUND
        self._marked: Callable[[Picture, object], np.ndarray]
        self._becomes_opaque = alpha
        if mask is not None:
            self._marked = self._by_masks(Path(mask))
        elif box:
            self._marked = lambda picture, source: _in_boxes(picture, box)
        elif alpha:
            self._marked = lambda picture, source: _transparent(picture)
        else:
            colour = _colour(str(color))
            self._marked = lambda picture, source: _of_colour(picture, colour)

    def of(self, picture: Picture, source: object = None) -> MaskedPicture:
        """Return a picture with its hole; source: its path, by which its mask is found in a folder.

        Raises ImageError if no hole can be found that way, FileError if there is no mask for it, or several.
        """
        hole = dilate_hole(self._marked(picture, source), self._radius)
        return MaskedPicture(replace(picture, alpha=None) if self._becomes_opaque else picture, hole)

    def _by_masks(self, place: Path) -> Callable[[Picture, object], np.ndarray]:
        if place.is_dir():
            folder = MaskFolder(place)
            return lambda picture, source: self._read(_mask_of(folder, source, place))
        try:
            hole = self._read(place)
        except FileError as error:
            raise UsageError(f"--mask: {error}") from error
        return lambda picture, source: hole

    def _read(self, path: Path) -> np.ndarray:
        try:
            white = white_part(images.read(path, max_pixels=self._max_pixels))
        except ImageError as error:
            raise ImageError(f"mask {path}: {error}") from error
        return ~white if self._invert else white


def inpaint_picture(model: MAE, picture: Picture, hole: np.ndarray) -> tuple[Picture, dict[str, Any]]:
    """Return the picture with its hole filled, all else kept, and facts for a report.

    hole: (height, width) bool. Facts: `filled`, the share of the picture that was, and the number of `holes`.
    Raises ImageError as `MAE.inpaint` does.
    """
    pixels, repack = unpack(picture, hole)
    facts = {"filled": round(float(hole.mean()), 6), "holes": count_holes(hole)}
    return repack(model.inpaint_pixels(pixels, hole)), facts


def with_hole(
    image: Any,
    mask: Any = None,
    *,
    box: Sequence[Box] = (),
    alpha: bool = False,
    color: str | None = None,
    invert_mask: bool = False,
    dilate: int | None = None,
) -> tuple[Any, np.ndarray]:
    """Return an image of any kind, and its hole, (height, width) bool, found in one of the ways of `Holes`.

    mask: an image of any kind that is white there. With `alpha` the image comes back without transparency, as a Pillow
    image. Raises UsageError, ImageError.
    """
    if mask is not None and not isinstance(mask, str | Path):
        if box or alpha or color is not None:
            raise UsageError("where are the holes? Give one of mask, box, alpha and color")
        white = unpack_mask(mask)
        return image, dilate_hole(~white if invert_mask else white, AROUND if dilate is None else dilate)
    holed = Holes(mask, box, alpha, color, invert_mask, dilate).of(as_picture(image))
    return (images.to_pil(holed.picture) if alpha else image), holed.hole


def _mask_of(folder: MaskFolder, source: object, place: Path) -> Path:
    if not isinstance(source, str | Path):
        raise FileError("has no name to find its mask by: give --mask a file")
    path = folder.of(source)
    if path is None:
        raise FileError(f"no mask in {place} has its name, {Path(source).stem}.*")
    return path


def _in_boxes(picture: Picture, boxes: Sequence[Box]) -> np.ndarray:
    hole = np.zeros((picture.height, picture.width), bool)
    for left, top, width, height in boxes:
        inside = hole[max(0, top) : max(0, top + height), max(0, left) : max(0, left + width)]
        if not inside.size:
            raise ImageError(
                f"is {picture.width} x {picture.height} pixels: the box {left},{top},{width},{height} is outside of it"
            )
        inside[:] = True
    return hole


def _transparent(picture: Picture) -> np.ndarray:
    if picture.alpha is None:
        raise ImageError("has no transparency to show where its holes are")
    return picture.alpha <= np.iinfo(picture.alpha.dtype).max / 2


def _colour(text: str) -> tuple[int, ...]:
    for name in (text, f"#{text}"):
        try:
            return ImageColor.getrgb(name)[:3]
        except ValueError:
            pass
    raise UsageError(f"--color {text}: expected a colour such as '#ff00ff' or magenta")


def _of_colour(picture: Picture, colour: tuple[int, ...]) -> np.ndarray:
    """Return where a picture is of exactly this colour, which in a grey picture has to be a grey."""
    scale = np.iinfo(picture.pixels.dtype).max // 255
    return (picture.pixels == np.array(colour, picture.pixels.dtype) * scale).all(axis=2)
