"""Megapixels per second of vaetool's codec and its peers at equal quality, and of its command on a folder.

    python benchmarks/compress_speed.py FOLDER [--psnr 38] [--json FILE]

Each codec packs one mosaic of the folder's lossless photos at the lowest quality that reaches the PSNR; seconds are
medians of five, in this process. The peers are Pillow's, with the settings of the programs that people use: WebP with
method 4 as in cwebp, AVIF with speed 6 as in avifenc, and the slower settings of benchmarks/compress.py. The command
runs on the whole folder, in a process of its own, its start included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from compress import Codec, median_seconds, mosaic, ours, pictures_in, pillow, read
from PIL import Image, features

from vaetool.images.metrics import psnr

SIZE = (1536, 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--psnr", type=float, default=38.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    paths = pictures_in(arguments.folder)
    image = mosaic(paths, SIZE)
    rows = {name: measure(codec, image, arguments.psnr) for name, codec in codecs().items()}
    print(
        "| codec | quality | PSNR, dB | bits per pixel | packing, MP/s | unpacking, MP/s |\n|---|---|---|---|---|---|"
    )
    for name, row in rows.items():
        print(f"| {name} | {row['quality']} | {row['psnr']} | {row['bpp']} | {row['packing']} | {row['unpacking']} |")
    folder = command(paths)
    print(f"\nthe folder, {folder['megapixels']} megapixels: {folder['compress']} s, back {folder['decompress']} s")
    if arguments.json:
        results = {"threads": torch.get_num_threads(), "psnr": arguments.psnr, "codecs": rows, "folder": folder}
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def codecs() -> dict[str, Codec]:
    all_qualities = tuple(range(1, 101))
    jpeg, webp, avif = (features.version(name) for name in ("libjpeg_turbo", "webp", "avif"))
    return {
        "vaetool": ours("photo-codec", "cpu"),
        "JPEG": pillow("JPEG", jpeg, all_qualities, optimize=True),
        "WebP, method 4": pillow("WEBP", webp, all_qualities, method=4),
        "WebP, method 6": pillow("WEBP", webp, all_qualities, method=6),
        "AVIF, speed 6": pillow("AVIF", avif, all_qualities, speed=6, subsampling="4:2:0"),
        "AVIF, speed 4": pillow("AVIF", avif, all_qualities, speed=4, subsampling="4:2:0"),
    }


def measure(codec: Codec, image: Image.Image, wanted: float) -> dict[str, Any]:
    def closeness(quality: int) -> float:
        decoded = codec.decode(codec.encode(image, quality)).convert("RGB")
        return psnr(np.asarray(decoded), np.asarray(image), peak=255)

    low, quality = 0, 100
    while quality - low > 1:
        middle = (low + quality) // 2
        low, quality = (middle, quality) if closeness(middle) < wanted else (low, middle)
    megapixels, data = image.width * image.height / 1e6, codec.encode(image, quality)
    packing, unpacking = (round(megapixels / each, 2) for each in median_seconds(codec, image, quality))
    return {
        "quality": quality,
        "psnr": round(closeness(quality), 2),
        "bpp": round(8 * len(data) / (image.width * image.height), 3),
        "packing": packing,
        "unpacking": unpacking,
    }


def command(paths: list[Path]) -> dict[str, float]:
    """Return the seconds of `vaetool compress` and `decompress` on a folder of the pictures, and their megapixels."""
    with tempfile.TemporaryDirectory() as place:
        photos, packed, back = (Path(place, name) for name in ("photos", "packed", "back"))
        photos.mkdir()
        megapixels = 0.0
        for path in paths:
            image = read(path)
            image.save(photos / f"{path.stem}.png", compress_level=1)
            megapixels += image.width * image.height / 1e6
        return {
            "megapixels": round(megapixels, 1),
            "compress": seconds("compress", photos, "-o", packed),
            "decompress": seconds("decompress", packed, "-o", back),
        }


def seconds(*words: str | Path) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "vaetool", *map(str, words), "--quiet"], check=True)
    return round(time.perf_counter() - start, 1)


if __name__ == "__main__":
    main()
