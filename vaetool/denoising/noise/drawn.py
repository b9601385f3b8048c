"""Pictures that no camera took: pages of text, drawings, foliage, dithered photographs.

Clean ones are easily taken for noisy, and noisy ones, if a denoiser knows no others, for clean.
"""

from __future__ import annotations

import math
import random
import string
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

TEXT_SIZES = (7, 34)  # pixels, uniform in the logarithm
SCANNED = 0.5  # share of the pages of text that are as a scanner or a camera sees them: tilted, and mostly soft
SOFTNESS = (-0.4, 1.2)  # sigma of their blur, in pixels; none below 0
TILT = 8.0  # degrees, at most
MARGINS = 0.3  # share of the pages with a blank margin at the left, and of those with one at the top
FAINT = (3, 30)  # levels between ground and ink: noise hides them, and a denoiser should not
BLANK = 0.1  # share of the lines that are left out, between paragraphs
LEAVES = 400
PALETTES = (2, 3, 4, 8, 16, 32, 64)  # colours

Drawing = Callable[[np.ndarray, random.Random], np.ndarray]


def text(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    """Draw a page of words, (height, width, 3) uint8, the size of `pixels`."""
    height, width = pixels.shape[:2]
    paper, ink = _two_colours(rng)
    page = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(page)
    draw.fontmode = rng.choice("1L")  # with hard edges, or soft ones
    size = round(math.exp(rng.uniform(*map(math.log, TEXT_SIZES))))
    font = ImageFont.load_default(size)
    margin = rng.randrange(width) if rng.random() < MARGINS else None
    first = rng.randrange(height) if rng.random() < MARGINS else -rng.randrange(size)
    for top in range(first, height, round(size * rng.uniform(1.0, 1.6))):
        if rng.random() < BLANK:
            continue
        words = " ".join(
            "".join(rng.choices(string.ascii_letters + ",.;0123456789", k=rng.randint(1, 9))) for _ in range(20)
        )
        draw.text((-rng.randrange(4 * size) if margin is None else margin, top), words, fill=ink, font=font)
    return np.asarray(_scanned(page, paper, rng) if rng.random() < SCANNED else page)


def _scanned(page: Image.Image, paper: tuple[int, ...], rng: random.Random) -> Image.Image:
    tilted = page.rotate(rng.uniform(-TILT, TILT), Image.Resampling.BICUBIC, fillcolor=paper)
    return tilted.filter(ImageFilter.GaussianBlur(max(0.0, rng.uniform(*SOFTNESS))))


def shapes(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    """Draw flat shapes and lines on a plain ground, (height, width, 3) uint8, the size of `pixels`."""
    height, width = pixels.shape[:2]
    factor = rng.choice((1, 3))  # with hard edges, or soft ones
    page = Image.new("RGB", (factor * width, factor * height), _two_colours(rng)[0])
    draw = ImageDraw.Draw(page)
    for _ in range(rng.randint(3, 40)):
        left, right = sorted(rng.choices(range(page.width), k=2))
        top, bottom = sorted(rng.choices(range(page.height), k=2))
        colour = _two_colours(rng)[1]
        kind = rng.randrange(3)
        if kind == 0:
            draw.line((left, rng.choice((top, bottom)), right, bottom), fill=colour, width=factor * rng.randint(1, 4))
        elif kind == 1:
            draw.rectangle((left, top, right, bottom), outline=colour, fill=rng.choice((None, colour)))
        else:
            draw.ellipse((left, top, right, bottom), outline=colour, fill=rng.choice((None, colour)))
    return np.asarray(page.resize((width, height), Image.Resampling.BOX))


def leaves(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    """Draw leaves over leaves in the colours of `pixels`, from edge to edge, (height, width, 3) uint8.

    Their sizes follow a power law, as those of things in pictures do (Lee, Mumford & Huang 2001).
    """
    height, width = pixels.shape[:2]
    factor = rng.choice((1, 2))
    page = Image.fromarray(pixels).resize((factor * width, factor * height))
    draw = ImageDraw.Draw(page)
    for _ in range(LEAVES):
        x, y = rng.randrange(page.width), rng.randrange(page.height)
        colour = tuple(int(v) for v in pixels[rng.randrange(height), rng.randrange(width)])
        length = factor * min(1.2 / rng.random() ** 0.5, 20)
        slim = length * rng.uniform(0.2, 1)
        draw.ellipse((x - length, y - slim, x + length, y + slim), fill=colour)
    return np.asarray(page.resize((width, height), Image.Resampling.BOX))


def foliage(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    """Return `pixels` at half the size, four times, mirrored: with all the fine detail that this brings."""
    height, width = pixels.shape[:2]
    if rng.random() < 0.5:
        half = pixels[::2, ::2]
    else:
        half = np.asarray(Image.fromarray(pixels).resize((-(-width // 2), -(-height // 2)), Image.Resampling.BOX))
    wide = np.concatenate([half, half[:, ::-1]], axis=1)[:, :width]
    return np.concatenate([wide, wide[::-1]], axis=0)[:height]


def dithered(pixels: np.ndarray, rng: random.Random) -> np.ndarray:
    """Return `pixels` in a few colours, mixed by dots, (height, width, 3) uint8."""
    image = Image.fromarray(pixels)
    if rng.random() < 0.3:
        return np.asarray(image.convert("1").convert("RGB"))
    palette = image.quantize(rng.choice(PALETTES), kmeans=1)
    return np.asarray(image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).convert("RGB"))


KINDS: tuple[Drawing, ...] = (text, text, shapes, leaves, foliage, dithered)
DOCUMENTS: tuple[Drawing, ...] = (text, shapes)


def _two_colours(rng: random.Random) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw a ground and an ink, equally often black and white, the greys of paper and ink, faint, or any two colours.

    Of black and white, and of greys, the ground is mostly the lighter one.
    """
    kind = rng.randrange(4)
    if kind == 0:
        return tuple(rng.choices(range(256), k=3)), tuple(rng.choices(range(256), k=3))
    if kind == 1:
        ground, contrast = tuple(rng.choices(range(256), k=3)), rng.choice((-1, 1)) * rng.randint(*FAINT)
        return ground, tuple(min(max(level + contrast, 0), 255) for level in ground)
    paper, ink = (255, 0) if kind == 2 else (rng.randint(190, 255), rng.randint(0, 100))
    pair = (paper,) * 3, (ink,) * 3
    return pair if rng.random() < 0.8 else pair[::-1]
