"""What a codec trained on one kind of picture saves on it: bits at equal PSNR, compared with the codec it began as.

    python benchmarks/specialise.py FOLDER special.safetensors [--general photo-codec] [--every 4] [--json FILE]

FOLDER holds pictures of that kind that the special codec was not trained on. Whole files are counted, and BD-rate is a
mean over the pictures, without those that either codec would store losslessly at one of the qualities.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rates import bd_rate

import vaetool
from vaetool import images
from vaetool.images.metrics import psnr

QUALITIES = (10, 30, 50, 70, 90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("special")
    parser.add_argument("--general", default="photo-codec")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    pictures = [images.read(path) for path in sorted(arguments.folder.iterdir())[:: arguments.every]]
    names = {"general": arguments.general, "special": arguments.special}
    points = {name: measure(model, pictures) for name, model in names.items()}
    lossy = np.all([np.isfinite(values).all(axis=(1, 2)) for values in points.values()], axis=0)
    points = {name: values[lossy] for name, values in points.items()}
    saved = [
        bd_rate(general.tolist(), special.tolist())
        for general, special in zip(points["general"], points["special"], strict=True)
    ]
    results: dict[str, Any] = {
        "pictures": len(saved),
        "left out": len(pictures) - len(saved),
        "curves": {name: np.mean(values, axis=0).round(4).tolist() for name, values in points.items()},
        "bd_rate": round(float(np.mean(saved)), 2),
    }
    print("| codec | " + " | ".join(f"q {quality}: bpp, dB" for quality in QUALITIES) + " |")
    print("|---|" + "---|" * len(QUALITIES))
    for name, curve in results["curves"].items():
        print(f"| {name} | " + " | ".join(f"{bpp:.3f}, {decibels:.2f}" for bpp, decibels in curve) + " |")
    counted = f"mean over {len(saved)} pictures; {results['left out']} left out"
    print(f"\nbits at equal PSNR: {results['bd_rate']:+.1f} %, {counted}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def measure(model: str, pictures: list[images.Picture]) -> np.ndarray:
    """Bits per pixel and PSNR, (pictures, qualities, 2)."""
    codec = vaetool.load(model, kind="codec")
    found = []
    for picture in pictures:
        pixels = picture.visible_pixels()
        files = [vaetool.compress(picture, codec, quality=quality) for quality in QUALITIES]
        decoded = [np.asarray(vaetool.decompress(data, codec)).reshape(pixels.shape) for data in files]
        count = pixels.shape[0] * pixels.shape[1]
        rows = zip(files, decoded, strict=True)
        found.append([(8 * len(data) / count, psnr(back, pixels, 255)) for data, back in rows])
    return np.array(found)


if __name__ == "__main__":
    main()
