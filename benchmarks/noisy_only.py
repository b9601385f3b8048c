"""What `vaetool train dae` learns from noisy pictures alone, beside what it learns from the same with clean ones.

    python benchmarks/noisy_only.py TRAINING_FOLDER TEST_FOLDER [--minutes 2] [--json FILE]

Both folders hold clean pictures, of which the middle 384 x 384 pixels of 60 and 12 are used. They get noise, are
clipped and rounded to 8 bits. Three models clean those of the test: photo-denoise; the same trained further with
`--noisy-only` on the noisy pictures alone; and with `--pairs` on these and the clean ones. All are blind. PSNR in dB,
means.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from vaetool import images, load, train
from vaetool.images.metrics import psnr

SIDE, TRAINING, TEST = 384, 60, 12
START = "photo-denoise"

Add = Callable[[np.ndarray, np.random.Generator], np.ndarray]  # a picture in 0..1 and a generator → with noise


def shot(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.poisson(20 * clean) / 20


def correlated(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    noise = gaussian_filter(rng.normal(size=clean.shape), (1, 1, 0))
    return clean + noise / noise.std() * 20 / 255


def rows(clean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return clean + rng.normal(0, 8 / 255, clean.shape) + rng.normal(0, 14 / 255, (len(clean), 1, 1))


KINDS: dict[str, Add] = {
    "shot noise, 20 photons at white": shot,
    "blotches, sigma 20, of one pixel": correlated,
    "white of sigma 8, and rows of sigma 14": rows,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    table = {name: measure(add, arguments) for name, add in KINDS.items()}
    print("| noise | noisy | photo-denoise | noisy pictures alone | with clean ones | share of the gain |")
    print("|---|---|---|---|---|---|")
    for name, row in table.items():
        print(
            f"| {name} | "
            + " | ".join(f"{value:.2f}" for value in list(row.values())[:-1])
            + f" | {row['share']:.0%} |"
        )
    if arguments.json:
        results = {"minutes": arguments.minutes, "rows": table}
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure(add: Add, arguments: argparse.Namespace) -> dict[str, float]:
    """Train on one kind of noise both ways; return PSNR by model, and the share of the gain."""
    test = pictures(arguments.test, TEST)
    noisy = [noisy_version(clean, add, 1000 + number) for number, clean in enumerate(test)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, clean in enumerate(pictures(arguments.training, TRAINING)):
            save(folder / "clean" / f"{number}.png", clean)
            save(folder / "noisy" / f"{number}.png", noisy_version(clean, add, number))
        how = {"init": START, "minutes": arguments.minutes}
        train("dae", folder / "noisy", output=folder / "alone.safetensors", noisy_only=True, **how)
        both = [folder / "noisy", folder / "clean"]
        train("dae", both, output=folder / "pairs.safetensors", pairs=True, **how)
        row = {"noisy": mean_psnr(noisy, test)}
        for model in (START, folder / "alone.safetensors", folder / "pairs.safetensors"):
            denoiser = load(model, kind="dae")
            row[Path(model).stem] = mean_psnr([denoiser.denoise(picture) for picture in noisy], test)
            print(Path(model).stem, row, flush=True)
    gain = {key: row[key] - row[START] for key in ("alone", "pairs")}
    return row | {"share": round(gain["alone"] / gain["pairs"], 3)}


def pictures(folder: Path, count: int) -> list[np.ndarray]:
    """Return the middle of evenly spread pictures of a folder, (SIDE, SIDE, 3) uint8."""
    found = [images.read(path).pixels for path in sorted(folder.iterdir())]
    found = [picture for picture in found if min(picture.shape[:2]) >= SIDE]
    found = [found[number * len(found) // count] for number in range(count)]
    corners = [((len(picture) - SIDE) // 2, (picture.shape[1] - SIDE) // 2) for picture in found]
    return [picture[top : top + SIDE, left : left + SIDE] for picture, (top, left) in zip(found, corners, strict=True)]


def noisy_version(clean: np.ndarray, add: Add, seed: int) -> np.ndarray:
    values = add(clean / 255, np.random.default_rng(seed))
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def mean_psnr(results: list[np.ndarray], clean: list[np.ndarray]) -> float:
    return round(float(np.mean([psnr(a, b, 255) for a, b in zip(results, clean, strict=True)])), 3)


if __name__ == "__main__":
    main()
