"""What `vaetool inpaint` makes of twelve things taken out of photographs: a sheet to look at, at 100 %.

    python benchmarks/removals.py DATA --sheet FILE [--model NAME|PATH] [--only NAME ...]

DATA holds cbsd68 and photos-valid. Each row shows a part of a photograph with what is to go, as OpenCV's Telea fills it
(radius 3), and as vaetool does with its defaults. Objects are marked by ellipses and boxes as by hand, wires,
scratches and letters are drawn into the picture and marked exactly.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from compress_sheet import draw_sheet
from PIL import Image, ImageDraw, ImageFont

import vaetool

CROP = 320  # pixels a side

Mark = Callable[[ImageDraw.ImageDraw], None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--model", default="photo-inpaint")
    parser.add_argument("--only", nargs="+", choices=REMOVALS, default=list(REMOVALS), metavar="NAME")
    arguments = parser.parse_args()
    model = vaetool.load(arguments.model, kind="mae")
    rows = []
    for name in arguments.only:
        picture, mark, is_drawn = REMOVALS[name]
        with Image.open(arguments.data / picture) as image:
            rows.append(row_of(name, image.convert("RGB"), mark, is_drawn, model))
        print(name, flush=True)
    draw_sheet(arguments.sheet, rows)


def row_of(name: str, image: Image.Image, mark: Mark, is_drawn: bool, model: vaetool.Model) -> dict[str, np.ndarray]:
    """Return the parts of a row by their captions: before, Telea's, ours."""
    mask = Image.new("L", image.size)
    mark(ImageDraw.Draw(mask))
    hole = np.asarray(mask) > 0
    before = np.asarray(image).copy()
    if is_drawn:
        before[hole] = 20
    telea = cv2.inpaint(before, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    place = around(hole)
    parts = {name: before, "Telea": telea, "vaetool": model.inpaint_pixels(before, hole)[0]}
    return {caption: pixels[place] for caption, pixels in parts.items()}


def around(hole: np.ndarray) -> tuple[slice, slice]:
    """Return the square of the picture about the middle of a hole, as far as there is picture."""
    places = []
    for axis, length in enumerate(hole.shape):
        marked = np.flatnonzero(hole.any(axis=1 - axis))
        start = int(np.clip((marked[0] + marked[-1] - CROP) // 2, 0, max(0, length - CROP)))
        places.append(slice(start, start + CROP))
    return places[0], places[1]


def ellipse(left: int, top: int, right: int, bottom: int) -> Mark:
    return lambda draw: draw.ellipse((left, top, right, bottom), fill=255)


def box(left: int, top: int, right: int, bottom: int) -> Mark:
    return lambda draw: draw.rectangle((left, top, right, bottom), fill=255)


def lines(draw: ImageDraw.ImageDraw, ends: tuple[tuple[int, int, int, int], ...], width: int) -> None:
    for line in ends:
        draw.line(line, fill=255, width=width)


def letters(draw: ImageDraw.ImageDraw, text: str, place: tuple[int, int], size: int) -> None:
    draw.text(place, text, fill=255, font=ImageFont.load_default(size), stroke_width=1)


REMOVALS: dict[str, tuple[str, Mark, bool]] = {
    "a patch of grass": ("photos-valid/grass-lossless.png", ellipse(228, 240, 348, 350), False),
    "stones in sand": ("photos-valid/sand-lossless.png", ellipse(130, 480, 310, 575), False),
    "a boardwalk": ("photos-valid/path-lossless.png", box(160, 395, 345, 575), False),
    "a bulb": ("photos-valid/bulb-lossless.png", box(215, 0, 355, 420), False),
    "wires in the sky": (
        "photos-valid/reflect-lossless.png",
        partial(lines, ends=((100, 20, 520, 90), (100, 60, 520, 120), (100, 230, 520, 150)), width=4),
        True,
    ),
    "a telephone": ("photos-valid/girl-lossless.png", box(58, 205, 200, 405), False),
    "letters on bricks": ("cbsd68/0048.webp", partial(letters, text="FOR SALE 1998", place=(160, 10), size=44), True),
    "scratches on a face": (
        "cbsd68/0038.webp",
        partial(lines, ends=((60, 120, 250, 300), (120, 320, 200, 90), (90, 230, 270, 200)), width=5),
        True,
    ),
    "a snake on sand": ("cbsd68/0039.webp", ellipse(78, 112, 312, 228), False),
    "an aeroplane": ("cbsd68/0000.webp", box(175, 115, 435, 270), False),
    "a beast on a meadow": ("cbsd68/0059.webp", box(122, 240, 190, 308), False),
    "a surfer": ("cbsd68/0062.webp", ellipse(212, 115, 398, 282), False),
}
"""By name: the picture, what is marked in it, and whether that is drawn into the picture first."""


if __name__ == "__main__":
    main()
