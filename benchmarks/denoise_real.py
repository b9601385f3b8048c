"""How well `vaetool denoise` cleans real noisy photos, compared with other methods.

    python benchmarks/denoise_real.py FOLDER [--model NAME|PATH] [--bm3d] [--json FILE] [--sheet FILE]

FOLDER holds `noisy/` and `clean/`, with pictures of the same names, as in data sets of real noise: the clean ones are
means of many shots. vaetool runs with its defaults. The others do not know how strong the noise is, and get the setting
that is best for the set as a whole: OpenCV's non-local means h of 3, 5, 7 or 10, the wavelets and BM3D a sigma, the
blur its own. BM3D takes most of a minute per picture, so it runs only when asked for, its sigma chosen on every fifth
picture. PSNR in dB over all three channels and SSIM are means over the pictures; `worst` is the largest loss of PSNR
against the noisy picture, `best` the largest gain. `pip install '.[benchmarks]'` has the other methods.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from vaetool import images, load
from vaetool.images.metrics import psnr, ssim

OURS, NOISY = "vaetool", "noisy"
SHEET = 8  # pictures
CROP = 320  # pixels a side of what the sheet shows of each
GAP = 18  # pixels between the pictures of the sheet, for a line of text

Method = Callable[[np.ndarray], np.ndarray]  # (height, width, 3) uint8 → the same
Pair = tuple[str, np.ndarray, np.ndarray]  # name, noisy, clean
Figures = dict[str, dict[str, float]]  # psnr and ssim, by the picture's name


def main() -> None:
    arguments = parse_arguments()
    model = load(arguments.model, kind="dae", device=arguments.device)
    pairs = read_pairs(arguments.folder)[:: arguments.every]
    rows: dict[str, Any] = {}
    figures = {NOISY: measure(lambda noisy: noisy, pairs), OURS: measure(model.denoise, pairs)}
    for name, methods in peers(arguments.bm3d).items():
        print(name, "...", flush=True)
        chosen = best(methods, pairs[::5] if name == "BM3D" else pairs)
        figures[f"{name}, {chosen}"] = measure(methods[chosen], pairs)
    rows = {name: summary(values, figures[NOISY]) for name, values in figures.items()}
    print_table(rows, len(pairs))
    print_pictures(figures)
    results = {"pictures": len(pairs), "model": arguments.model, "rows": rows, "each": figures}
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if arguments.sheet:
        draw_sheet(arguments.sheet, pairs, model.denoise, figures)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="photo-denoise")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--bm3d", action="store_true")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="write eight of the pictures before and after, and the clean ones")
    return parser.parse_args()


def read_pairs(folder: Path) -> list[Pair]:
    """All pictures that are there both noisy and clean."""
    noisy = {path.stem: path for path in sorted((folder / "noisy").iterdir())}
    clean = {path.stem: path for path in sorted((folder / "clean").iterdir())}
    return [(name, images.read(noisy[name]).pixels, images.read(clean[name]).pixels) for name in noisy if name in clean]


def peers(with_bm3d: bool) -> dict[str, dict[str, Method]]:
    """The other methods, each at several settings."""
    methods = {
        "OpenCV non-local means": {f"h {h}": partial(nl_means, h=h) for h in (3, 5, 7, 10)},
        "wavelets (BayesShrink)": {f"sigma {s}": partial(wavelets, sigma=s) for s in (3, 5, 7, 10)},
        "Gaussian blur": {f"{s} pixels": partial(blur, sigma=s) for s in (0.5, 0.7, 1.0)},
    }
    if with_bm3d:
        methods["BM3D"] = {f"sigma {s}": partial(block_matching, sigma=s) for s in (5, 8, 12, 16)}
    return methods


def nl_means(noisy: np.ndarray, h: float) -> np.ndarray:
    import cv2

    return cv2.fastNlMeansDenoisingColored(noisy, None, h, h, 7, 21)


def wavelets(noisy: np.ndarray, sigma: float) -> np.ndarray:
    from skimage.restoration import denoise_wavelet

    values = denoise_wavelet(noisy / 255, sigma=sigma / 255, channel_axis=2, convert2ycbcr=True, rescale_sigma=True)
    return in_eight_bits(values)


def blur(noisy: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(noisy, (0, 0), sigma)


def block_matching(noisy: np.ndarray, sigma: float) -> np.ndarray:
    import bm3d

    return in_eight_bits(bm3d.bm3d_rgb(noisy / 255, sigma / 255))


def in_eight_bits(values: np.ndarray) -> np.ndarray:
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8)


def best(methods: dict[str, Method], pairs: list[Pair]) -> str:
    """The setting with the best mean PSNR."""

    def mean(setting: str) -> float:
        return float(np.mean([psnr(methods[setting](noisy), clean, 255) for _, noisy, clean in pairs]))

    return max(methods, key=mean)


def measure(method: Method, pairs: list[Pair]) -> Figures:
    figures = {}
    for name, noisy, clean in pairs:
        start = time.perf_counter()
        result = method(noisy)
        seconds = time.perf_counter() - start
        figures[name] = {
            "psnr": round(psnr(result, clean, 255), 3),
            "ssim": round(ssim(result, clean, 255), 4),
            "seconds": round(seconds, 3),
        }
    return figures


def summary(figures: Figures, noisy: Figures) -> dict[str, float]:
    gains = [figures[name]["psnr"] - noisy[name]["psnr"] for name in figures]
    means = {key: float(np.mean([each[key] for each in figures.values()])) for key in ("psnr", "ssim")}
    seconds = float(np.median([each["seconds"] for each in figures.values()]))
    return {
        "psnr": round(means["psnr"], 2),
        "ssim": round(means["ssim"], 4),
        "worst": round(min(gains), 2),
        "best": round(max(gains), 2),
        "seconds": round(seconds, 2),
    }


def print_table(rows: dict[str, dict[str, float]], count: int) -> None:
    """As in docs/benchmarks.md."""
    print(f"\n{count} pictures\n")
    print("| method | PSNR, dB | SSIM | worst | best | seconds |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(str(row[key]) for key in ("psnr", "ssim", "worst", "best", "seconds")) + " |")


def print_pictures(figures: dict[str, Figures]) -> None:
    """Each picture's gain, the smallest first."""
    gains = {name: figures[OURS][name]["psnr"] - value["psnr"] for name, value in figures[NOISY].items()}
    print()
    for name, gain in sorted(gains.items(), key=lambda item: item[1]):
        print(f"{gain:+.2f} dB  {name}")


def draw_sheet(path: Path, pairs: list[Pair], method: Method, figures: dict[str, Figures]) -> None:
    """Eight of the pictures, spread over the set: the middle of each, noisy, cleaned and clean."""
    chosen = pairs[:: max(1, len(pairs) // SHEET)][:SHEET]
    sheet = Image.new("RGB", (3 * (CROP + 4), len(chosen) * (CROP + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (name, noisy, clean) in enumerate(chosen):
        top, left = (max(0, length - CROP) // 2 for length in noisy.shape[:2])
        place = (slice(top, top + CROP), slice(left, left + CROP))
        captions = [f"{name}  {figures[NOISY][name]['psnr']:.2f} dB", f"{figures[OURS][name]['psnr']:.2f} dB", "clean"]
        for column, (pixels, caption) in enumerate(zip((noisy, method(noisy), clean), captions, strict=True)):
            corner = (column * (CROP + 4), row * (CROP + GAP))
            draw.text((corner[0], corner[1] + 2), caption, fill="black")
            sheet.paste(Image.fromarray(pixels[place]), (corner[0], corner[1] + GAP))
    sheet.save(path)


if __name__ == "__main__":
    main()
