"""Seconds and memory of denoisers, each in a process of its own.

    python benchmarks/denoise_cost.py [--only NAME ...] [--json FILE]

Seconds are the best of three after loading (of one, where that takes more than ten); memory is the largest resident
set of the whole process, Python and libraries included. `DRUNet's size` is a network with the layers of DRUNet (Zhang
et al. 2021: 32.6 million weights) that was never trained, for its time alone. 12 megapixels are too many for the
slowest.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

SMALL, LARGE = (512, 768), (3000, 4000)
SIGMA = 20

Method = Callable[[np.ndarray], Any]


def ours(name: str, precision: str) -> Method:
    from vaetool import load

    return load(name, precision=precision).denoise


def nl_means() -> Method:
    import cv2

    return lambda noisy: cv2.fastNlMeansDenoisingColored(noisy, None, 0.7 * SIGMA, 0.7 * SIGMA, 5, 21)


def wavelets() -> Method:
    from skimage.restoration import denoise_wavelet

    return lambda noisy: denoise_wavelet(noisy / 255, channel_axis=2, convert2ycbcr=True, rescale_sigma=True)


def block_matching() -> Method:
    import bm3d

    return lambda noisy: bm3d.bm3d_rgb(noisy / 255, SIGMA / 255)


def large_network() -> Method:
    import torch

    from vaetool.nn.blocks import UNet

    network = UNet(4, 3, (64, 128, 256, 512), 4, bias=False).requires_grad_(False).eval()
    network = network.to(memory_format=torch.channels_last)

    def denoise(noisy: np.ndarray) -> None:
        x = torch.from_numpy(noisy).permute(2, 0, 1)[None] / 255
        network(torch.cat([x, x[:, :1]], dim=1))

    return denoise


METHODS: dict[str, tuple[Callable[[], Method], bool]] = {  # and whether it takes 12 megapixels
    "photo-denoise, auto": (partial(ours, "photo-denoise", "auto"), True),
    "photo-denoise, float32": (partial(ours, "photo-denoise", "float32"), True),
    "OpenCV non-local means": (nl_means, True),
    "wavelets (BayesShrink)": (wavelets, True),
    "BM3D": (block_matching, False),
    "DRUNet's size": (large_network, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--large", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, LARGE if arguments.large else SMALL)))
        return
    print("| method | 768 x 512, s | MiB | 4000 x 3000, s | MiB |")
    print("|---|---|---|---|---|")
    table = {}
    for name in arguments.only:
        row = {"small": in_a_process(name)} | ({"large": in_a_process(name, "--large")} if METHODS[name][1] else {})
        table[name] = row
        cells = [row[size][key] if size in row else "" for size in ("small", "large") for key in ("seconds", "mib")]
        print(f"| {name} | {' | '.join(map(str, cells))} |", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


def in_a_process(name: str, *flags: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", name, *flags]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(name: str, shape: tuple[int, int]) -> dict[str, float]:
    method = METHODS[name][0]()
    rng = np.random.default_rng(0)
    wedge = np.linspace(40, 215, shape[1])[None, :, None]
    noisy = np.rint(wedge + rng.normal(0, SIGMA, (*shape, 3))).clip(0, 255).astype(np.uint8)
    times: list[float] = []
    while len(times) < 3 and sum(times) < 10:
        start = time.perf_counter()
        method(noisy)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": round(min(times), 3), "mib": round(peak / 2**20)}


if __name__ == "__main__":
    main()
