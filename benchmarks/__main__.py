"""Run the benchmarks one after another, and say which figures of the documentation are no longer theirs.

    python -m benchmarks DATA [--only NAME ...]

DATA holds the unpacked sets: photos-valid (lossless photographs), cbsd68, real-noise, magnetic-tile, casting, faces,
and torchvision's MNIST and FashionMNIST; a benchmark whose sets are not there is left out, and named. All of them
take most of a day on two cores. Results replace `benchmarks/NAME.json`. `family` and `specialise`, which need models
of their own, are not among them.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent

ARGUMENTS = {
    "denoise_real": "{real-noise}",
    "denoise": "{cbsd68}",
    "denoise_kinds": "{photos-valid}",
    "denoise_pages": "",
    "denoise_cost": "",
    "noisy_only": "{photos-valid} {cbsd68}",
    "compress": "{photos-valid}",
    "compress_speed": "{photos-valid}",
    "compress_steps": "{photos-valid}",
    "drafts": "{photos-valid}",
    "inpaint": "{cbsd68} {photos-valid}",
    "flaws": "{photos-valid}",
    "vae": "--root {MNIST}/.. --samples 100 --ae-minutes 6",
    "score": "--root {MNIST}/.. --slow 100",
    "one_class": "--root {MNIST}/..",
    "outliers": "--faces {faces} --photos {photos-valid} --fashion {FashionMNIST}/..",
    "pairs": "--data {MNIST}/.. --work {magnetic-tile}/../pairs --minutes 6.5",
    "defects-tiles": "{magnetic-tile}",
    "defects-castings": "{casting}",
    "scale": "",
    "cluster": "--kills 20",
}
"""What each benchmark is called with; {SET} is the folder of a set, what follows a hyphen in a name its variant."""


def run(name: str, data: Path) -> bool:
    """Run a benchmark and tell whether it went well; one without its sets is named."""
    sets = re.findall(r"{(.*?)}", ARGUMENTS[name])
    if missing := [each for each in sets if not (data / each).is_dir()]:
        print(f"{name}: left out, {data} has no {' and no '.join(missing)}", flush=True)
        return True
    words = re.sub(r"{(.*?)}", lambda found: str(data / found[1]), ARGUMENTS[name]).split()
    script = name.partition("-")[0]
    start = time.monotonic()
    call = [sys.executable, HERE / f"{script}.py", *words, "--json", HERE / f"{script}.json"]
    code = subprocess.run(call, check=False).returncode
    print(f"{name}: {'done' if code == 0 else f'failed with {code}'}, {time.monotonic() - start:.0f} s", flush=True)
    return code == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=ARGUMENTS, default=list(ARGUMENTS), metavar="NAME")
    options = parser.parse_args()
    results = [run(name, options.data) for name in options.only]
    check = subprocess.run([sys.executable, "-m", "pytest", HERE.parent / "tests" / "test_figures.py"], check=False)
    return 0 if all(results) and check.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
