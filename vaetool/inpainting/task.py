"""The task behind `vaetool inpaint`: where the holes of pictures are, and one picture with its holes filled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from os import PathLike
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from PIL import ImageColor

from vaetool import images
from vaetool.errors import FileError, ImageError, UsageError
from vaetool.files.mask_folder import MaskFolder
from vaetool.files.remote import Download, Remote
from vaetool.images import MAX_PIXELS, Picture
from vaetool.images.conversion import as_picture, check_hole, unpack, unpack_mask, white_part
from vaetool.inpainting.drawn_flaws import FLAWS
from vaetool.inpainting.holes import count_holes, deepest_place, dilate_hole
from vaetool.inpainting.leftovers import needed_dilation
from vaetool.inpainting.mae import MAE
from vaetool.inpainting.uncertainty import unsure_holes
from vaetool.nn.base import Model
from vaetool.store.weights import as_model

FINDER = "scan-flaws"
"""The bundled model that finds flaws of scans."""

FUZZ = 48
"""By how much, of 255, a channel may differ from the colour that marks a hole, by default: JPEG changes colours."""

TOO_DEEP = 48
"""Pixels from what is known, from which on a hole is deeper than almost all that the network has seen in training."""

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""


Marks = Callable[[Picture, object], np.ndarray]
"""Takes a picture and where it is from, and returns its hole."""


@dataclass(frozen=True, eq=False)
class MaskedPicture:
    """A picture, and its hole, (height, width) bool: what `inpaint_picture` takes.

    painted: the hole is where the picture has certain colours. rim: pixels around these that it takes in, too. sought:
    kinds of flaws that were looked for. boxes: those that were to be filled.
    """

    picture: Picture
    hole: np.ndarray
    painted: bool = False
    rim: int = 0
    sought: tuple[str, ...] = ()
    boxes: tuple[Box, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The picture's own, and what is to be said of its hole: flaws found, boxes cut off, what it leaves over."""
        return (*self.picture.warnings, *self._about_the_hole())

    def _about_the_hole(self) -> Iterator[str]:
        if not self.hole.any():
            what = f"no {' or '.join(self.sought)} found" if self.sought else "nothing is marked to be filled"
            yield f"{what}: it stays as it is"
            return
        if self.sought:
            look = "place looks" if (count := count_holes(self.hole)) == 1 else "places look"
            share, kinds = f"{self.hole.mean():.2%}", " or ".join(self.sought)
            yield f"{count} {look} like {kinds}, {share} of the picture; others may be left: see --write-mask"
        height, width = self.hole.shape
        for left, top, wide, high in self.boxes:
            if left < 0 or top < 0 or left + wide > width or top + high > height:
                yield f"the box {left},{top},{wide},{high} is cut off at the borders of the picture, {width} x {height}"
        if self.rim:
            yield f"the hole takes in {self.rim} pixels around the colour, which are tinged with it"
        if self.picture.pixels.dtype.kind == "f":
            return  # refused when it is to be filled
        elif radius := needed_dilation(self.picture.pixels, self.hole, self.painted):
            what = "a rim of the colour is left around" if self.painted else "what is marked shows just outside of"
            yield f"{what} the hole: --dilate {radius} would take it in"


class Holes:
    """Where the holes of pictures are, found in one way or in several: then in each of them there is a hole.

    mask: an image of any kind that is white there, for all pictures; or a folder of masks, found by the names of
    pictures.
    box: one or several (left, top, width, height), cut off at the picture's borders.
    alpha: where a picture is more transparent than not; it becomes opaque.
    color: where it is of about one of these colours, `#rrggbb` or names, or of about this one.
    fuzz: by how much, of 255, each channel may differ from that colour. Above 0, without other ways, and if the hole is
        not to grow otherwise, it takes in a rim that is tinged with the colour, as JPEG leaves it.
    auto: kinds of flaws, of `FLAWS`, where `finder` finds them, a model, or its name or path.
    invert_mask: black is filled, not white.
    grow_to_edges: holes grow to the edges of what they mark, see `vaetool.inpainting.growing`.
    dilate: everything within so many pixels of a hole belongs to it.
    max_pixels: larger masks are refused. device: where the finder works.
    Raises UsageError for no way, a box of other than four numbers, text that names no colour, an unknown kind of flaw,
    and a mask file that cannot be read; with `auto` what `vaetool.load` raises.
    """

    def __init__(
        self,
        mask: Any = None,
        box: Box | Sequence[Box] = (),
        alpha: bool = False,
        color: str | Sequence[str] | None = None,
        fuzz: int = FUZZ,
        auto: Sequence[str] = (),
        invert_mask: bool = False,
        grow_to_edges: bool = False,
        dilate: int = 0,
        max_pixels: int = MAX_PIXELS,
        device: str = "auto",
        finder: str | PathLike[str] | Model = FINDER,
    ) -> None:
        colours = [_colour(text) for text in ([color] if isinstance(color, str) else color or ())]
        boxes = _boxes(box)
        if mask is None and not boxes and not alpha and not colours and not auto:
            raise UsageError("where are the holes? Give --mask, --box, --alpha, --color or --auto")
        if invert_mask and mask is None:
            raise UsageError("--invert-mask inverts the picture of --mask: give both")
        self._invert, self._grows, self._radius, self._max_pixels = invert_mask, grow_to_edges, dilate, max_pixels
        self._becomes_opaque, self._sought, self._boxes = alpha, tuple(dict.fromkeys(auto)), boxes
        self._painted = bool(colours) and mask is None and not boxes and not alpha and not auto
        self._takes_rim = self._painted and fuzz > 0 and not grow_to_edges and not dilate
        self._ways: list[Marks] = []
        if mask is not None:
            self._ways.append(self._by_masks(mask))
        if boxes:
            self._ways.append(lambda picture, source: _in_boxes(picture, boxes))
        if alpha:
            self._ways.append(lambda picture, source: _transparent(picture))
        self._ways += [_coloured(colour, fuzz) for colour in colours]
        if auto:
            self._ways.append(_flawed(self._sought, finder, device))

    def of(self, picture: Picture, source: object = None) -> MaskedPicture:
        """Return a picture with its hole; source: its path, by which its mask is found in a folder.

        Raises ImageError if no hole can be found that way, FileError if there is no mask for it, or several.
        """
        marked = reduce(np.logical_or, (_fitting(way(picture, source), picture) for way in self._ways))
        if self._grows:
            from vaetool.inpainting.growing import grow_hole  # takes half a second: SciPy's graphs

            marked = grow_hole(picture.pixels, marked)
        rim = needed_dilation(picture.pixels, marked, painted=True) if self._takes_rim else 0
        opaque = replace(picture, alpha=None) if self._becomes_opaque else picture
        hole = dilate_hole(marked, self._radius or rim)
        return MaskedPicture(opaque, hole, self._painted, rim, self._sought, self._boxes)

    def _by_masks(self, mask: Any) -> Marks:
        if not isinstance(mask, str | Path):
            white = unpack_mask(mask)
            return lambda picture, source: ~white if self._invert else white
        place = Path(mask)
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


def inpaint_picture(
    model: MAE, picture: Picture, hole: np.ndarray, texture: bool = True
) -> tuple[Picture, dict[str, Any]]:
    """Return the picture with its hole filled, all else kept, with warnings of what is a guess, and facts for a report.

    hole: (height, width) bool. texture: see `MAE.inpaint`. Facts: `filled`, the share of the picture that was, the
    number of `holes`, and of those that are `guessed`: see `vaetool.inpainting.uncertainty`.
    Raises ImageError as `MAE.inpaint` does.
    """
    pixels, repack = unpack(picture, hole)
    result, spread = model.inpaint_pixels(pixels, hole, texture)
    filled, guessed = repack(result), unsure_holes(hole, spread)
    facts = {"filled": round(float(hole.mean()), 6), "holes": count_holes(hole), "guessed": len(guessed)}
    return replace(filled, warnings=(*filled.warnings, *_about_guesses(hole, guessed, texture))), facts


def _about_guesses(hole: np.ndarray, guessed: Sequence[tuple[int, int]], texture: bool) -> Iterator[str]:
    row, column, depth = deepest_place(hole)
    if depth > TOO_DEEP:
        what = "texture, not objects" if texture else "a blur"
        yield f"the hole at {column},{row} is {depth} pixels deep: expect {what}"
    if guessed:
        row, column = guessed[0]
        others = f", as in {len(guessed) - 1} more" if len(guessed) > 1 else ""
        yield f"what was in the hole at {column},{row} is a guess{others}: look at it"


def mask_picture(hole: np.ndarray) -> Picture:
    """Return a hole, (height, width) bool, as a picture that is white there, for `--mask`."""
    return Picture(np.where(hole, np.uint8(255), np.uint8(0))[:, :, None])


def with_hole(
    image: Any,
    mask: Any = None,
    *,
    box: Box | Sequence[Box] = (),
    alpha: bool = False,
    color: str | Sequence[str] | None = None,
    fuzz: int = FUZZ,
    auto: Sequence[str] = (),
    invert_mask: bool = False,
    grow_to_edges: bool = False,
    dilate: int = 0,
    device: str = "auto",
    finder: str | PathLike[str] | Model = FINDER,
) -> tuple[Any, np.ndarray]:
    """Return an image of any kind, and its hole, (height, width) bool, found in the ways of `Holes`.

    With `alpha` the image comes back without transparency, as a Pillow image. Raises UsageError, ImageError.
    """
    extent: dict[str, Any] = {"invert_mask": invert_mask, "grow_to_edges": grow_to_edges, "dilate": dilate}
    holes = Holes(mask, box, alpha, color, fuzz, auto, **extent, device=device, finder=finder)
    holed = holes.of(as_picture(image))
    return (images.to_pil(holed.picture) if alpha else image), holed.hole


def _fitting(hole: np.ndarray, picture: Picture) -> np.ndarray:
    """Return a hole of the size of the picture. Raises ImageError for another size."""
    check_hole(hole, picture.pixels)
    return hole


def _mask_of(folder: MaskFolder, source: object, place: Path) -> Path:
    if isinstance(source, Download):
        source = source.source
    if not isinstance(source, str | Path | Remote):
        raise FileError("has no name to find its mask by: give --mask a file")
    path = folder.of(source)
    if path is None:
        raise FileError(f"no mask in {place} has its name, {PurePath(str(source)).stem}.*")
    return path


def _boxes(box: Box | Sequence[Box]) -> tuple[Box, ...]:
    """Return boxes, given one or several. Raises UsageError for one that has not four numbers."""
    several: Sequence[Any] = (box,) if len(box) and np.ndim(box[0]) == 0 else box
    for each in several:
        if np.shape(each) != (4,):
            raise UsageError(f"a box is left, top, width and height, not {each}")
    return tuple(several)


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


def _flawed(flaws: tuple[str, ...], name: str | PathLike[str] | Model, device: str) -> Marks:
    """Return a function that finds flaws. Raises UsageError for an unknown kind."""
    if unknown := set(flaws) - set(FLAWS):
        raise UsageError(f"--auto {min(unknown)}: expected {', '.join(FLAWS[:-1])} or {FLAWS[-1]}")
    finder = as_model(name, kind=("flaws",), device=device)
    return lambda picture, source: finder.mark(picture.pixels, flaws)


def _colour(text: str) -> tuple[int, ...]:
    for name in (text, f"#{text}"):
        try:
            return ImageColor.getrgb(name)[:3]
        except ValueError:
            pass
    raise UsageError(f"--color {text}: expected a colour such as '#ff00ff' or magenta")


def _coloured(colour: tuple[int, ...], fuzz: int) -> Marks:
    return lambda picture, source: _of_colour(picture, colour, fuzz)


def _of_colour(picture: Picture, colour: tuple[int, ...], fuzz: int) -> np.ndarray:
    """Return a mask of pixels within `fuzz` of 255 of a colour in every channel; a grey value counts for all three.

    Raises ImageError for a picture of floating point, which has no such scale.
    """
    dtype = picture.pixels.dtype
    if dtype.kind == "f":
        raise ImageError("holds floating-point values of any range, where a colour has no name")
    scale = np.iinfo(dtype).max // 255
    middle = scale * np.array(colour, np.int64)
    low, high = ((middle + by).clip(0, 255 * scale).astype(dtype) for by in (-scale * fuzz, scale * fuzz))
    return np.all((picture.pixels >= low) & (picture.pixels <= high), axis=2)
