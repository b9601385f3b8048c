"""PSNR of blind denoising on a folder of clean images, compared with other methods and published figures.

    python benchmarks/denoise.py CBSD68_FOLDER [--models NAME|PATH ...] [--every 4] [--bm3d] [--json FILE]

The published protocol: white Gaussian noise added in floating point, not clipped, from a fixed seed; the result clipped
to 0..1; the mean of the images' PSNR over all three channels. The peers are given sigma, vaetool is not (`blind`);
`given sigma` is vaetool with it. Peers come from opencv-python-headless, scikit-image (with PyWavelets) and bm3d:
`pip install '.[benchmarks]'`; one that is not installed is left out. BM3D takes most of a minute per image, so it runs
only when asked for. Published rows are in published_denoise.json, with their source.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from vaetool import images, load
from vaetool.denoising.dae import DAE
from vaetool.images.metrics import psnr

SIGMAS = (15, 25, 50)
SEED = 0
SPEED_SIZE = (512, 768)
Method = Callable[[np.ndarray, int], np.ndarray]


def main() -> None:
    arguments = parse_arguments()
    methods: dict[str, Method] = {}
    for name in arguments.models:
        methods |= ours(Path(name).stem, load(name, kind="dae", device=arguments.device))
    methods |= peers(arguments.bm3d)
    paths = sorted(path for path in arguments.folder.iterdir() if path.is_file())[:: arguments.every]
    rows = {}
    for name, method in methods.items():
        print(name, "...", flush=True)
        rows[name] = measure(method, paths)
    print_table(rows, len(paths))
    if arguments.json:
        arguments.json.write_text(json.dumps({"images": len(paths), "rows": rows}, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="+", default=["photo-denoise-gaussian", "photo-denoise"])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    parser.add_argument("--bm3d", action="store_true")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def ours(name: str, model: DAE) -> dict[str, Method]:
    """A model with its own estimate, and with sigma given."""
    return {
        f"{name}, blind": lambda noisy, _: model.denoise(noisy),
        f"{name}, given sigma": lambda noisy, sigma: model.denoise(noisy, sigma=sigma),
    }


def peers(with_bm3d: bool) -> dict[str, Method]:
    """The other methods that are installed, each given sigma."""
    found: dict[str, Method] = {}
    if importlib.util.find_spec("cv2"):
        found["OpenCV non-local means"] = nl_means
    if importlib.util.find_spec("skimage") and importlib.util.find_spec("pywt"):
        found["wavelets (BayesShrink)"] = wavelets
    if with_bm3d and importlib.util.find_spec("bm3d"):
        found["BM3D"] = block_matching
    return found


def nl_means(noisy: np.ndarray, sigma: int) -> np.ndarray:
    """Works on 8 bits only. Of 0.4, 0.6, 0.8 and 1 sigma as strength, 0.6 or 0.8 was best on every ninth image."""
    import cv2

    eight_bits = np.rint(noisy.clip(0, 1) * 255).astype(np.uint8)
    return cv2.fastNlMeansDenoisingColored(eight_bits, None, 0.7 * sigma, 0.7 * sigma, 5, 21).astype(np.float32) / 255


def wavelets(noisy: np.ndarray, sigma: int) -> np.ndarray:
    from skimage.restoration import denoise_wavelet

    return denoise_wavelet(noisy, sigma=sigma / 255, channel_axis=2, convert2ycbcr=True, rescale_sigma=True)


def block_matching(noisy: np.ndarray, sigma: int) -> np.ndarray:
    import bm3d

    return bm3d.bm3d_rgb(noisy, sigma / 255)


def measure(method: Method, paths: list[Path]) -> dict[str, float]:
    """Mean PSNR at each sigma, and seconds for 768x512."""
    figures = {}
    for sigma in SIGMAS:
        generator = np.random.default_rng(SEED)
        values = []
        for path in paths:
            clean = images.read(path).pixels.astype(np.float32) / 255
            noisy = clean + generator.normal(0, sigma / 255, clean.shape).astype(np.float32)
            values.append(psnr(method(noisy, sigma).clip(0, 1), clean))
        figures[f"sigma {sigma}"] = round(float(np.mean(values)), 3)
    figures["seconds"] = round(seconds_per_picture(method), 2)
    return figures


def seconds_per_picture(method: Method) -> float:
    """The best of three (the first one warms up), on 768x512."""
    noisy = np.random.default_rng(SEED).normal(0.5, 0.1, (*SPEED_SIZE, 3)).astype(np.float32)
    times = []
    while len(times) < 3 and sum(times) < 30:
        start = time.perf_counter()
        method(noisy, 25)
        times.append(time.perf_counter() - start)
    return min(times)


def print_table(rows: dict[str, dict[str, float]], count: int) -> None:
    """As in docs/benchmarks.md."""
    published = json.loads((Path(__file__).parent / "published_denoise.json").read_text(encoding="utf-8"))
    print(f"\nPSNR in dB, mean of {count} images\n")
    print("| method | sigma 15 | sigma 25 | sigma 50 | seconds, 768x512 |")
    print("|---|---|---|---|---|")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[f'sigma {s}']:.2f}" for s in SIGMAS) + f" | {row['seconds']:.2f} |")
    for row in published["rows"]:
        print(f"| {row['method']} (published) | " + " | ".join(f"{value:.2f}" for value in row["psnr"]) + " | |")


if __name__ == "__main__":
    main()
