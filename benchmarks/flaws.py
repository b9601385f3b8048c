"""How well `vaetool inpaint --auto` finds scratches, dust and dates, compared with plain filters.

    python benchmarks/flaws.py FOLDER [--model NAME|PATH] [--json FILE] [--sheet FOLDER]

Flaws are drawn over every picture, from its name alone and by code that training does not know: scratches as Bézier
curves, dust as specks and fibres, a date in Pillow's own font. Each kind is drawn alone, and looked for alone.

A pixel counts as flawed if a flaw covers at least a third of it and changes it by 12 of 255 or more. Recall is the
share of these that are within 2 pixels of a mark; precision, of the marked pixels that are within 2 pixels of a flaw.
Plain are those that change by 16 levels plus four standard deviations of the 15 x 15 pixels around them in the clean
picture: fainter ones are hidden by texture. A flaw is found if half of its pixels are. On the pictures without flaws,
every mark is false: marks and marked pixels in a million.

The filters: for scratches and dust a top-hat in both directions, scratches integrated along lines of 16 directions, as
for film (Kokaram 1998); for dates, warm and vivid colours. What is above a threshold, and goes on below it, becomes
marks in the same way as what the network finds. Several thresholds are tried, from bold to cautious.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from scipy import ndimage

from vaetool import images
from vaetool.inpainting.drawn_flaws import FLAWS
from vaetool.inpainting.flaws import SURE, sure_flaws

FINER = 4  # times the size of a picture at which flaws are drawn
COVERED, VISIBLE, NEAR = 1 / 3, 12, 2
PLAIN, AROUND, SPREAD = 4, 15, 4  # how plain a flaw is: times the spread in a square around it, in pixels; levels
THRESHOLDS = (0.1, 0.2, 0.3)
DIRECTIONS, LINE = 16, 25
TOUCHING = np.ones((3, 3))

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="scan-flaws")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="write what is found in every picture, in red, there")
    arguments = parser.parse_args()
    from vaetool import load

    model = load(arguments.model, kind="flaws", device="cpu")
    pictures = {path.stem: images.read(path).pixels[:, :, :3] for path in sorted(arguments.folder.iterdir())}
    rows = [row for kind in FLAWS for row in measured(model, kind, pictures)]
    print(f"| {' | '.join(rows[0])} |\n|{'---|' * len(rows[0])}")
    for row in rows:
        print("| " + " | ".join(map(str, row.values())) + " |")
    if arguments.sheet:
        draw_sheet(arguments.sheet, model, pictures)
    if arguments.json:
        found = {"pictures": len(pictures), "rows": rows}
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def marks(model: Any, pixels: np.ndarray, kind: str) -> dict[str, np.ndarray]:
    """Where each finder marks flaws of a kind, (height, width) bool."""
    strength = FILTERS[kind](pixels)
    filtered = {f"filter, {least}": sure_flaws(strength * SURE[kind] / least, kind) for least in THRESHOLDS}
    return {"vaetool": model.mark(pixels, (kind,)), **filtered}


def measured(model: Any, kind: str, pictures: dict[str, np.ndarray]) -> list[Row]:
    """The figures of every finder for a kind of flaw, over all pictures."""
    totals: dict[str, Counter[str]] = {}
    for picture, clean in pictures.items():
        flawed, covered = draw(kind, picture, clean)
        change = np.abs(flawed.astype(int) - clean).max(axis=2)
        there, near = (change >= VISIBLE) & (covered >= COVERED), _near(covered > 0)
        plain = there & (change >= PLAIN * (_spread(clean) + SPREAD))
        flaws, count = ndimage.label(covered >= COVERED, TOUCHING)
        numbers = np.arange(1, count + 1)
        sizes = ndimage.sum_labels(there, flaws, numbers)
        unasked = marks(model, clean, kind)
        for name, marked in marks(model, flawed, kind).items():
            met = there & _near(marked)
            hits = ndimage.sum_labels(met, flaws, numbers)
            totals.setdefault(name, Counter()).update(
                {
                    "there": there.sum(),
                    "met": met.sum(),
                    "plain": plain.sum(),
                    "plain met": (plain & met).sum(),
                    "marked": marked.sum(),
                    "right": (marked & near).sum(),
                    "flaws": (sizes > 0).sum(),
                    "found": ((hits >= sizes / 2) & (sizes > 0)).sum(),
                    "false": ndimage.label(unasked[name], TOUCHING)[1],
                    "false pixels": unasked[name].sum(),
                }
            )
    million = sum(clean.shape[0] * clean.shape[1] for clean in pictures.values()) / 1e6
    return [
        {
            "flaws": kind,
            "finder": name,
            "recall": round(float(total["met"] / total["there"]), 3),
            "recall of plain": round(float(total["plain met"] / total["plain"]), 3),
            "precision": round(float(total["right"] / max(total["marked"], 1)), 3),
            "found": round(float(total["found"] / total["flaws"]), 3),
            "false marks": round(float(total["false"] / million), 2),
            "false pixels": round(float(total["false pixels"] / million)),
        }
        for name, total in totals.items()
    ]


def _spread(pixels: np.ndarray) -> np.ndarray:
    """The standard deviation of the brightness around each pixel, in levels."""
    brightness = pixels.mean(axis=2)
    mean, square = (ndimage.uniform_filter(x, AROUND) for x in (brightness, brightness**2))
    return np.sqrt(np.maximum(square - mean**2, 0))


def _near(inside: np.ndarray) -> np.ndarray:
    return ndimage.distance_transform_edt(~inside) <= NEAR if inside.any() else inside


# Drawing


def draw(kind: str, picture: str, clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The picture with flaws, and how much of each pixel they cover, 0..1."""
    rng = np.random.default_rng([FLAWS.index(kind), zlib.crc32(picture.encode())])
    height, width = clean.shape[:2]
    flawed, covered = clean.astype(np.float64), np.zeros((height, width))
    for paint, colour in DRAWN[kind](rng, height, width):
        large = Image.new("L", (width * FINER, height * FINER))
        paint(ImageDraw.Draw(large))
        alpha = np.asarray(large.reduce(FINER).filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 0.7)))) / 255
        opacity = rng.uniform(0.45, 1)
        flawed += (opacity * alpha)[..., None] * (np.array(colour) - flawed)
        covered = np.maximum(covered, alpha)
    return np.rint(flawed).clip(0, 255).astype(np.uint8), covered


def _tone(rng: np.random.Generator) -> np.ndarray:
    return np.full(3, rng.uniform(215, 255) if rng.random() < 0.6 else rng.uniform(0, 45))


def _curve(rng: np.random.Generator, length: float, bend: float, height: int, width: int) -> list[tuple[float, float]]:
    """A cubic Bézier curve with its middle in the picture, x and y at the finer size."""
    angle, middle = rng.uniform(0, np.pi), complex(rng.uniform(0, width), rng.uniform(0, height))
    along = np.array([-0.5, -0.17, 0.17, 0.5]) + 1j * rng.normal(0, bend, 4)
    points = middle + length * np.exp(1j * angle) * along
    t = np.linspace(0, 1, 60)[:, None]
    line = (np.hstack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]) @ points) * FINER
    return [(float(place.real), float(place.imag)) for place in line]


def _line(points: list[tuple[float, float]], thickness: float) -> Callable[[Any], None]:
    return lambda canvas: canvas.line(points, fill=255, width=max(1, round(thickness * FINER)), joint="curve")


def scratches(rng: np.random.Generator, height: int, width: int) -> list[Any]:
    """From 3 to 8, from 40 pixels to the whole picture long, 0.8 to 4 thick."""
    return [
        (_line(_curve(rng, np.exp(rng.uniform(3.7, np.log(height))), 0.03, height, width), rng.uniform(0.8, 4)), tone)
        for tone in (_tone(rng) for _ in range(rng.integers(3, 9)))
    ]


def dust(rng: np.random.Generator, height: int, width: int) -> list[Any]:
    """From 10 to 30 specks of 1.5 to 8 pixels, and up to 3 fibres."""
    marks = []
    for _ in range(rng.integers(10, 31)):
        x, y, radius = rng.uniform(0, width), rng.uniform(0, height), np.exp(rng.uniform(np.log(0.75), np.log(4)))
        corners = rng.uniform(0.6, 1.2, 9) * np.exp(2j * np.pi * np.arange(9) / 9) * radius * FINER
        outline = [(float(x * FINER + c.real), float(y * FINER + c.imag)) for c in corners]
        marks.append((lambda canvas, outline=outline: canvas.polygon(outline, fill=255), _tone(rng)))
    for _ in range(rng.integers(0, 4)):
        marks.append((_line(_curve(rng, rng.uniform(15, 70), 0.3, height, width), rng.uniform(1, 2.5)), _tone(rng)))
    return marks


def date(rng: np.random.Generator, height: int, width: int) -> list[Any]:
    """A date in the lower right corner, 14 to 34 pixels high, orange to yellow."""
    size = rng.uniform(14, 34)
    font = ImageFont.load_default(size * FINER)
    text = f"{rng.integers(1, 29):>2} {rng.integers(1, 13):>2} '{rng.integers(80, 99)}"
    place = ((width - rng.uniform(1, 2) * size) * FINER, (height - rng.uniform(0.5, 1.5) * size) * FINER)
    colour = np.array([255, rng.uniform(90, 220), rng.uniform(0, 60)])
    return [(lambda canvas: canvas.text(place, text, 255, font, anchor="rs"), colour)]


DRAWN = {"scratches": scratches, "dust": dust, "date": date}


# Filters


def top_hat(pixels: np.ndarray, size: int) -> np.ndarray:
    """By how much, of 0..1, something narrower than `size` is brighter or darker than what is around it."""
    grey = pixels.astype(np.float32).mean(axis=2) / 255
    return np.maximum(ndimage.white_tophat(grey, size), ndimage.black_tophat(grey, size))


def lines(pixels: np.ndarray) -> np.ndarray:
    """The top-hat along the best of some directions, above what it is around there."""
    height = top_hat(pixels, 7)
    offsets, best = np.arange(LINE) - LINE // 2, np.zeros_like(height)
    for angle in np.pi * np.arange(DIRECTIONS) / DIRECTIONS:
        kernel = np.zeros((LINE, LINE), np.float32)
        rows, columns = (np.rint(offsets * way(angle)).astype(int) + LINE // 2 for way in (np.sin, np.cos))
        kernel[rows, columns] = 1
        best = np.maximum(best, ndimage.convolve(height, kernel / kernel.sum()))
    return (best - 2 * ndimage.uniform_filter(height, 31)) * (height > best / 2)


def specks(pixels: np.ndarray) -> np.ndarray:
    """The top-hat above what it is around there."""
    height = top_hat(pixels, 9)
    return height - 3 * ndimage.uniform_filter(height, 31)


def warm(pixels: np.ndarray) -> np.ndarray:
    """How much more red than blue there is, than around, where there is more red than green than blue."""
    red, green, blue = pixels.astype(np.float32).transpose(2, 0, 1) / 255
    warmth = np.where((red >= green) & (green >= blue), red - blue, 0)
    return (warmth - ndimage.uniform_filter(warmth, 61)) * (red > 0.6)


FILTERS = {"scratches": lines, "dust": specks, "date": warm}


def draw_sheet(folder: Path, model: Any, pictures: dict[str, np.ndarray]) -> None:
    """With flaws of each kind and without, and what is found in red."""
    folder.mkdir(exist_ok=True)
    for picture, clean in pictures.items():
        cells = []
        for pixels, kinds in [(draw(kind, picture, clean)[0], (kind,)) for kind in FLAWS] + [(clean, FLAWS)]:
            marked = model.mark(pixels, kinds)[..., None]
            cells.append(np.vstack([pixels, np.where(marked, np.uint8((255, 0, 0)), pixels // 2)]))
        Image.fromarray(np.hstack(cells)).save(folder / f"{picture}.png")


if __name__ == "__main__":
    main()
