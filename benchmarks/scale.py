"""Seconds of a processor, in one thread, to start commands and for each file: what docs/scale.md reckons with.

    python benchmarks/scale.py [--json FILE]

The files are photographs of a megapixel, JPEG, made of the two that scikit-learn brings, with noise. Seconds are those
that the process of the command spends computing, with several files less those with one, so that other work on the
machine counts little.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

WIDTH, HEIGHT = 1224, 817
SIGMA = 4  # of the noise, in 8-bit units
FILES = {"denoise": 4, "compress": 4, "decompress": 4, "inpaint": 4, "score": 40}
GOOD = 48


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = {}
    print("| command | seconds to start | seconds a file | files a core and hour | bytes in | bytes out |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = [photo(folder / "photos" / f"{number}.jpg", number) for number in range(max(FILES.values()))]
        compressed = [folder / "compressed" / path.with_suffix(".vae").name for path in photos]
        good(folder / "good")
        run(folder, "score", photos[0], "--good", folder / "good", "--save", folder / "good.safetensors")
        options = {
            "denoise": ["--sigma", SIGMA],
            "inpaint": ["--box", "500,300,100,100"],
            "score": ["-m", folder / "good.safetensors"],
        }
        for command, most in FILES.items():
            files = (compressed if command == "decompress" else photos)[:most]
            output = [] if command == "score" else ["-o", folder / f"{command}ed", "--force"]
            output = ["-o", folder / "compressed", "--force"] if command == "compress" else output
            seconds = {}
            for count in (1, len(files)):
                place = [*output[:1], f"{output[1]}/", *output[2:]] if output else []
                seconds[count] = run(folder, command, *files[:count], *options.get(command, []), *place)
            each = (seconds[len(files)] - seconds[1]) / (len(files) - 1)
            written = list(Path(output[1]).iterdir()) if output else []
            results[command] = {
                "seconds to start": round(seconds[1] - each, 2),
                "seconds a file": round(each, 3),
                "bytes in": round(float(np.mean([path.stat().st_size for path in files]))),
                "bytes out": round(float(np.mean([path.stat().st_size for path in written]))) if written else 0,
            }
            row = results[command]
            print(
                f"| {command} | {row['seconds to start']:.1f} | {each:.2f} | {3600 / each:,.0f} "
                f"| {row['bytes in']:,} | {row['bytes out']:,} |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def photo(path: Path, number: int) -> Path:
    """Write a noisy photograph, another one for every number."""
    path.parent.mkdir(exist_ok=True)
    image = Image.fromarray(load_sample_images().images[number % 2]).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    generator = np.random.default_rng(number)
    noisy = np.asarray(image) + generator.normal(0, SIGMA, (HEIGHT, WIDTH, 3))
    Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(path, quality=92)
    return path


def good(folder: Path) -> None:
    """Write small pictures, no two of which look alike, for the model that scores."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number, (left, top) in enumerate(generator.integers(0, (440, 227), (GOOD, 2)).tolist()):
        image = Image.fromarray(load_sample_images().images[number % 2])
        image.crop((left, top, left + 200, top + 200)).save(folder / f"{number}.png")


def run(folder: Path, *arguments: object) -> float:
    """Run a command; return the seconds of the processor that it took."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "vaetool", *map(str, arguments), "--device", "cpu", "--quiet"]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
