"""Whether a Ray cluster, workers of which are killed, gives what a single process gives, byte for byte.

    python benchmarks/cluster.py [COMMAND] [--files 500] [--kills 0] [--workers 2] [--model NAME] [--json FILE]

COMMAND is denoise, compress or inpaint. The files are small photographs with noise, and one that is damaged.
Workers are killed (SIGKILL) while they work, at equal distances in the progress of the run; needs Linux.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

OPTIONS = {"denoise": ["--sigma", 6], "compress": [], "inpaint": ["--box", "20,20,16,16"]}
HEIGHT, WIDTH = 64, 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", default="denoise", choices=OPTIONS)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        draw(folder / "in", arguments.files - 1)
        (folder / "in" / "damaged.png").write_bytes(b"\x89PNG not really")
        command = [arguments.command, folder / "in", *OPTIONS[arguments.command]]
        command += ["-m", arguments.model] if arguments.model else []
        seconds, killed = {}, 0
        for engine in ("local", "ray"):
            begun = time.monotonic()
            options = ["--engine", "ray", "--workers", arguments.workers] if engine == "ray" else []
            process = start(*command, "-o", f"{folder / engine}/", "--device", "cpu", *options)
            if engine == "ray":
                killed = kill(process, folder / engine, arguments.files, arguments.kills)
            words = process.communicate()[1].decode()
            seconds[engine] = round(time.monotonic() - begun, 1)
            if process.returncode != 1 or not words.endswith(f"{arguments.files - 1} done, 1 failed\n"):
                sys.exit(f"{engine}: exit code {process.returncode}: {words}")
        here, there = (digests(folder / engine) for engine in ("local", "ray"))
    found = {
        "command": arguments.command,
        "files": arguments.files,
        "results": len(there),
        "the same bytes": sum(there.get(name) == digest for name, digest in here.items()),
        "workers": arguments.workers,
        "workers killed": killed,
        "seconds": seconds,
    }
    print(json.dumps(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    sys.exit(here != there or killed != arguments.kills)


def draw(folder: Path, count: int) -> None:
    """Write small photographs with noise."""
    folder.mkdir()
    generator, images = np.random.default_rng(0), load_sample_images().images
    for number in range(count):
        left, top = int(generator.integers(0, 640 - WIDTH)), int(generator.integers(0, 427 - HEIGHT))
        pixels = images[number % 2][top : top + HEIGHT, left : left + WIDTH]
        noisy = pixels + generator.normal(0, 6, (HEIGHT, WIDTH, 3))
        Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8)).save(folder / f"{number:04}.png")


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start a command."""
    return subprocess.Popen([sys.executable, "-m", "vaetool", *map(str, arguments)], stderr=subprocess.PIPE)


def kill(process: subprocess.Popen[bytes], results: Path, files: int, kills: int) -> int:
    """Kill a worker of a process whenever another part of its results is there; return how many were killed."""
    killed = 0
    while killed < kills and process.poll() is None:
        done = len(list(results.iterdir())) if results.is_dir() else 0
        working = workers_of(process.pid) if done >= killed * (files - 1) // (kills + 1) else []
        if working:
            os.kill(working[killed % len(working)], signal.SIGKILL)
            killed += 1
        time.sleep(0.05)
    return killed


def workers_of(pid: int) -> list[int]:
    """Return the workers, among the descendants of a process, that have files in hand."""
    parents, titles = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            titles[int(folder.name)] = (folder / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue

    def is_below(child: int) -> bool:
        return child == pid or (child in parents and is_below(parents[child]))

    return [each for each, title in sorted(titles.items()) if title.startswith(b"ray::_Worker.work") and is_below(each)]


def digests(folder: Path) -> dict[str, str]:
    """Return what tells the bytes of the files in a folder, by their names."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


if __name__ == "__main__":
    main()
