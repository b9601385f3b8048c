"""What `vaetool denoise` makes of many kinds of noise: a table, and a sheet to look at.

    python benchmarks/denoise_kinds.py FOLDER [--models NAME|PATH ...] [--json FILE] [--sheet FILE]

FOLDER holds clean pictures, of which the middle 384 x 384 pixels are used. They get noise from a fixed seed, are
clipped and rounded (a scan to 16 bits, all else to 8), and are cleaned with the defaults. PSNR in dB over all channels,
means over the pictures. The sheet shows one picture of every kind: with noise, cleaned by each model, clean.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from vaetool import images, load
from vaetool.images.metrics import psnr

SIDE, CROP, GAP = 384, 240, 16
NOISY = "noisy"

Noise = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # (height, width, 3) in 0..1 → the same with noise


def white(sigma: float) -> Noise:
    return lambda clean, rng: clean + rng.normal(0, sigma / 255, clean.shape)


def photons(count: float) -> Noise:
    return lambda clean, rng: rng.poisson(count * clean) / count


def salt_and_pepper(share: float) -> Noise:
    def add(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        draw = rng.random((*clean.shape[:2], 1))
        return np.where(draw < share / 2, 0.0, np.where(draw > 1 - share / 2, 1.0, clean))

    return add


def film(sigma: float) -> Noise:
    """Grain: soft, the same in all colours, strongest in the middle greys."""

    def add(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        grain = gaussian_filter(rng.normal(size=clean.shape[:2]), 0.8)[..., None]
        light = clean.mean(axis=2, keepdims=True)
        return clean + sigma / 255 * (0.3 + 2.8 * light * (1 - light)) * grain / grain.std()

    return add


def jpeg(quality: int) -> Noise:
    def save(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        file = io.BytesIO()
        Image.fromarray(np.rint(clean * 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file)) / 255

    return save


KINDS: dict[str, Noise] = {
    "white, sigma 25": white(25),
    "white, sigma 60": white(60),
    "white, sigma 75": white(75),
    "shot noise, 30 photons at white": photons(30),
    "salt and pepper, 1 %": salt_and_pepper(0.01),
    "salt and pepper, 5 %": salt_and_pepper(0.05),
    "film grain, sigma 12": film(12),
    "film grain in grey, sigma 12": film(12),
    "a scan: grey, 16 bits, sigma 8": white(8),
    **{f"JPEG, quality {quality}": jpeg(quality) for quality in (10, 20, 30, 40, 50, 60)},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["photo-denoise"])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path)
    arguments = parser.parse_args()
    models = {Path(name).stem: load(name, kind="dae").denoise for name in arguments.models}
    pictures = [middle(images.read(path).pixels) for path in sorted(arguments.folder.iterdir())]
    rows, shown = {}, []
    for number, (name, add) in enumerate(KINDS.items()):
        figures: dict[str, list[float]] = {}
        for index, picture in enumerate(pictures):
            noisy, clean = pair(name, add, picture, index)
            results = {NOISY: noisy} | {model: denoise(noisy) for model, denoise in models.items()}
            for key, result in results.items():
                figures.setdefault(key, []).append(psnr(result, clean, np.iinfo(clean.dtype).max))
            if index == number % len(pictures):
                shown.append((name, [*results.items(), ("clean", clean)]))
        rows[name] = {key: round(float(np.mean(values)), 2) for key, values in figures.items()}
        print(name, rows[name], flush=True)
    print_table(rows)
    if arguments.json:
        results = {"pictures": len(pictures), "rows": rows}
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if arguments.sheet:
        draw_sheet(arguments.sheet, shown)


def middle(pixels: np.ndarray) -> np.ndarray:
    top, left = (max(0, (length - SIDE) // 2) for length in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def pair(name: str, add: Noise, picture: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a picture with noise, as it would be stored, and without."""
    clean = picture / 255
    if "grey" in name:
        clean = clean.mean(axis=2, keepdims=True)
    kind = np.uint16 if "16 bits" in name else np.uint8
    top = np.iinfo(kind).max
    stored = [
        np.rint(values.clip(0, 1) * top).astype(kind) for values in (add(clean, np.random.default_rng(seed)), clean)
    ]
    return stored[0], stored[1]


def print_table(rows: dict[str, dict[str, float]]) -> None:
    names = list(next(iter(rows.values())))
    print("|".join(["", " noise ", *(f" {name} " for name in names), ""]))
    print("|---" * (len(names) + 1) + "|")
    for kind, row in rows.items():
        print("|".join(["", f" {kind} ", *(f" {row[name]:.2f} " for name in names), ""]))


def draw_sheet(path: Path, shown: list[tuple[str, list[tuple[str, np.ndarray]]]]) -> None:
    columns = max(len(results) for _, results in shown)
    sheet = Image.new("RGB", (columns * CROP, len(shown) * (CROP + GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, (name, results) in enumerate(shown):
        for column, (title, pixels) in enumerate(results):
            corner = column * CROP, row * (CROP + GAP)
            top, left = ((length - CROP) // 2 for length in pixels.shape[:2])
            part = pixels[top : top + CROP, left : left + CROP]
            part = part if part.dtype == np.uint8 else (part >> 8).astype(np.uint8)
            sheet.paste(
                Image.fromarray(np.broadcast_to(part, (*part.shape[:2], 3)).copy()), (corner[0], corner[1] + GAP)
            )
            pen.text((corner[0] + 4, corner[1] + 2), f"{name}: {title}" if column == 0 else title, fill="black")
    sheet.save(path)


if __name__ == "__main__":
    main()
