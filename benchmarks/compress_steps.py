"""How even the steps of `vaetool compress -q` are: size and both qualities at 5, 10, ..., 95, and what a step adds.

    python benchmarks/compress_steps.py FOLDER [--model NAME|PATH] [--json FILE]

Means over the pictures; MS-SSIM is averaged in dB. `smallest` and `largest` are the extremes among the pictures of what
the step from the quality above adds to MS-SSIM.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from compress import Row, measure, ours, pictures_in
from rates import ms_ssim_db

QUALITIES = tuple(range(5, 100, 5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="photo-codec")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    paths = pictures_in(arguments.folder)
    rows = steps(measure(replace(ours(arguments.model, arguments.device), qualities=QUALITIES), paths))
    print_table(rows, len(paths))
    if arguments.json:
        results = {"pictures": len(paths), "model": arguments.model, "rows": rows}
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def steps(measured: Row) -> list[dict[str, Any]]:
    """Return for each quality the means, and what each figure gained since the quality before it."""
    pictures = measured["pictures"].values()
    bpp, psnr = (np.array([figures[key] for figures in pictures]) for key in ("bpp", "psnr"))
    ms_ssim = np.array([[ms_ssim_db(value) for value in figures["ms_ssim"]] for figures in pictures])
    rows: list[dict[str, Any]] = []
    for place, quality in enumerate(measured["qualities"]):
        means = {key: float(values[:, place].mean()) for key, values in (("psnr", psnr), ("ms_ssim_db", ms_ssim))}
        row = {"quality": quality, "bpp": round(float(bpp[:, place].mean()), 4)}
        row |= {key: round(value, 2) for key, value in means.items()}
        if place:
            gained = np.diff(ms_ssim[:, place - 1 : place + 1])
            row["step"] = {
                "bpp_percent": round(100 * float(bpp[:, place].mean() / bpp[:, place - 1].mean() - 1), 1),
                "psnr": round(float(np.diff(psnr[:, place - 1 : place + 1]).mean()), 2),
                "ms_ssim_db": round(float(gained.mean()), 2),
                "smallest": round(float(gained.min()), 2),
                "largest": round(float(gained.max()), 2),
            }
        rows.append(row)
    return rows


def print_table(rows: list[dict[str, Any]], count: int) -> None:
    """Print the table of docs/compression.md."""
    print(f"\nMeans of {count} pictures\n")
    print("| quality | bits per pixel | PSNR, dB | MS-SSIM, dB | step: bits | PSNR | MS-SSIM | smallest | largest |")
    print("|" + 9 * "---|")
    for row in rows:
        shown = f"| {row['quality']} | {row['bpp']:.3f} | {row['psnr']:.2f} | {row['ms_ssim_db']:.2f} |"
        if step := row.get("step"):
            shown += f" {step['bpp_percent']:+.0f} % |"
            shown += "".join(f" {step[key]:+.2f} |" for key in ("psnr", "ms_ssim_db", "smallest", "largest"))
        else:
            shown += 5 * " |"
        print(shown)


if __name__ == "__main__":
    main()
