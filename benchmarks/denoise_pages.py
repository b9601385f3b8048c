"""What `vaetool denoise` makes of scanned pages of text: a table, and a sheet to look at.

    python benchmarks/denoise_pages.py [--models NAME|PATH ...] [--json FILE] [--sheet FILE]

Pages of 640 x 640 pixels are drawn in two typefaces that no training saw, at the sizes that ten points have in scans of
96, 150 and 300 dpi; grey paper, dark grey ink, slightly soft. They get white noise, are rounded to 8 bits, and are
cleaned. PSNR in dB, means over the typefaces. The models find the noise themselves; OpenCV's non-local means and BM3D
are given its sigma. The sheet shows the middle of each page: with noise, cleaned by each method, clean.
"""

from __future__ import annotations

import argparse
import io
import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from denoise_kinds import draw_sheet
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from vaetool import load
from vaetool.images.metrics import psnr

SIDE, MARGIN = 640, 80
PAPER, INK, SOFTNESS = 225, 40, 0.5
FONTS = ("DejaVuSerif.ttf", "DejaVuSansMono.ttf")
POINTS = 10 / 72  # inches
RESOLUTIONS = (96, 150, 300)
SIGMAS = (0, 4, 8, 14)
WORDS = "Pages are kept in order, and whoever opens the box in a hundred years will read 1,024 lines of them. "

Method = Callable[[np.ndarray, float], np.ndarray]


def page(font: str, size: int) -> Image.Image:
    image = Image.new("L", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(image)
    face = ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf" / font, size)
    letters = int((SIDE - 2 * MARGIN) / face.getlength("n"))
    for number, line in enumerate(textwrap.wrap(WORDS * 60, letters)):
        top = MARGIN + round(1.4 * size * number)
        if top + size > SIDE - MARGIN:
            break
        draw.text((MARGIN, top), line, fill=INK, font=face)
    return image.filter(ImageFilter.GaussianBlur(SOFTNESS))


def pages(resolution: int) -> list[np.ndarray]:
    """Return a page of each typeface, (height, width, 1) uint8."""
    return [np.asarray(page(font, round(POINTS * resolution)))[..., None] for font in FONTS]


def white(clean: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return np.rint((clean + rng.normal(0, sigma, clean.shape)).clip(0, 255)).astype(np.uint8)


def white_in_colour(clean: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    return white(np.repeat(clean, 3, axis=2), sigma, rng)


def white_then_jpeg(clean: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(white(clean, sigma, rng)[..., 0]).save(file, "JPEG", quality=75)
    return np.asarray(Image.open(file))[..., None]


def nl_means(noisy: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    if noisy.shape[2] == 3:
        return cv2.fastNlMeansDenoisingColored(noisy, None, sigma, sigma, 7, 21)
    return cv2.fastNlMeansDenoising(noisy, None, sigma, 7, 21)[..., None]


def block_matching(noisy: np.ndarray, sigma: float) -> np.ndarray:
    import bm3d

    clean = bm3d.bm3d_rgb(noisy / 255, sigma / 255) if noisy.shape[2] == 3 else bm3d.bm3d(noisy / 255, sigma / 255)
    return np.rint(255 * clean.reshape(noisy.shape).clip(0, 1)).astype(np.uint8)


OTHERS: dict[str, Method] = {"non-local means": nl_means, "BM3D": block_matching}


def cases() -> list[tuple[str, int, float, Callable[..., np.ndarray]]]:
    """Return the name, resolution, sigma and noise of every row."""
    plain = [(f"{dpi} dpi, sigma {sigma}", dpi, sigma, white) for dpi in RESOLUTIONS for sigma in SIGMAS]
    return [
        *plain,
        ("150 dpi, colour, sigma 8", 150, 8, white_in_colour),
        ("150 dpi, sigma 8, JPEG of quality 75", 150, 8, white_then_jpeg),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["photo-denoise"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    models = {Path(name).stem: load(name, kind="dae").denoise for name in arguments.models}
    methods: dict[str, Method] = {name: lambda noisy, _, run=run: run(noisy) for name, run in models.items()}
    rows: dict[str, dict[str, float | None]] = {}
    shown = []
    for name, dpi, sigma, add in cases():
        figures: dict[str, list[float]] = {}
        for number, clean in enumerate(pages(dpi)):
            noisy = add(clean, sigma, np.random.default_rng(number))
            others = {key: run(noisy, sigma) for key, run in OTHERS.items()} if sigma else {}
            results = {"noisy": noisy} | {key: run(noisy, sigma) for key, run in methods.items()} | others
            for key, result in results.items():
                figures.setdefault(key, []).append(psnr(result, np.broadcast_to(clean, result.shape), 255))
        shown.append((name, [*results.items(), ("clean", clean)]))
        rows[name] = {key: _mean(values) for key, values in figures.items()}
        print(name, rows[name], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")
    if arguments.sheet:
        draw_sheet(arguments.sheet, shown)


def _mean(values: list[float]) -> float | None:
    """Return the mean of PSNRs; None if all pages are as they should be, to the bit."""
    return None if np.isinf(values).all() else round(float(np.mean(values)), 2)


if __name__ == "__main__":
    main()
