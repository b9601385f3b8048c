"""What drafts of .vae files save, and how near they are to the whole picture, made smaller by means over squares.

    python benchmarks/drafts.py FOLDER [--model photo-codec] [--json FILE]

FOLDER holds photographs. Seconds are those of the processor, in one thread, with the codec loaded: the best of three.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import vaetool
import vaetool.pillow
from vaetool.images.metrics import psnr

QUALITIES = (20, 50, 80)
REDUCTIONS = (2, 4, 8)
RUNS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="photo-codec")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    codec = vaetool.load(arguments.model, kind="codec", device="cpu")
    photographs = [Image.open(path).convert("RGB") for path in sorted(arguments.folder.iterdir())]
    results = {}
    print("| quality | size | share of the seconds | PSNR in dB, mean | least |\n|---|---|---|---|---|")
    for quality in QUALITIES:
        files = [vaetool.compress(photograph, codec, quality=quality) for photograph in photographs]
        whole = [timed(data, 1) for data in files]
        for reduction in REDUCTIONS:
            drafts = [timed(data, reduction) for data in files]
            seconds, all_seconds = (sum(each for _, each in found) for found in (drafts, whole))
            near = [
                psnr(np.asarray(draft), np.asarray(image.reduce(reduction)), 255)
                for (draft, _), (image, _) in zip(drafts, whole, strict=True)
            ]
            found = {
                "seconds": round(seconds / len(files), 3),
                "seconds of the whole": round(all_seconds / len(files), 3),
                "psnr": round(float(np.mean(near)), 2),
                "least psnr": round(min(near), 2),
            }
            results[f"quality {quality}, 1/{reduction}"] = found
            share = seconds / all_seconds
            print(f"| {quality} | 1/{reduction} | {share:.0%} | {found['psnr']:.1f} | {found['least psnr']:.1f} |")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def timed(data: bytes, reduction: int) -> tuple[Image.Image, float]:
    """The picture in a file, that many times smaller, and the seconds that it took."""
    seconds = []
    for _ in range(RUNS):
        start = time.process_time()
        image = Image.open(io.BytesIO(data))
        image.draft(None, (image.width // reduction, image.height // reduction))
        image.load()
        seconds.append(time.process_time() - start)
    return image, min(seconds)


if __name__ == "__main__":
    main()
