"""How well `vaetool inpaint` fills holes in photos, compared with OpenCV, scikit-image and a push-pull pyramid.

    python benchmarks/inpaint.py FOLDER ... [--model NAME|PATH] [--masks FOLDER] [--json FILE] [--sheet FILE]

The central 256 x 256 pixels of every picture are taken, with one mask of each kind: thin, medium and thick strokes,
boxes, and an object's outline. Masks are drawn here, from the pictures' names alone and by code that training does not
know, and written to --masks/SET/KIND/NAME.png (default: inpaint-masks next to the first folder of pictures).

PSNR is that inside the hole, over all three channels, in dB, at most 50 for a picture, averaged over the pictures. SSIM
is that of the whole picture, with the hole filled. Energy is the sum of the squared differences of all pixels and their
right and lower neighbours, where at least one of the two lies in the hole, over all pictures and channels, divided by
the same sum of the true pictures: 1 is as much texture as there was, less is blur. Intervals hold 95 % of 10,000
bootstrap samples of the pictures. Guesses are holes of which the network says that it does not know what was there.

The other methods are slow and deterministic: their figures are kept next to the masks, and measured again only for
other pictures, masks or versions. `pip install '.[benchmarks]'` has them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from drawn_holes import KINDS, SIDE, draw_mask
from PIL import Image, ImageDraw
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from vaetool import images
from vaetool.images.filling import fill_hidden
from vaetool.images.metrics import mean_psnr, ssim
from vaetool.inpainting.holes import BLOCK, TOUCHING, blocks_of
from vaetool.inpainting.uncertainty import UNSURE

OURS, WITHOUT, TELEA = "vaetool", "vaetool --no-texture", "OpenCV Telea, radius 3"
SEED = 0
RESAMPLES = 10_000
PROCESSES = 2
WORST = 5
SMOOTH = 3.0  # pixels, sigma: errors of texture are no guesses
LARGE_ERRORS = (15, 25, 35)
GAP = 18  # pixels between the pictures of the sheet, for a line of text

Row = dict[str, Any]
Figures = list[dict[str, float]]  # psnr, ssim and energy of each case as one method fills it


@dataclass(frozen=True)
class Case:
    """A picture, (SIDE, SIDE, 3) uint8, and its hole, (SIDE, SIDE) bool."""

    folder: str
    picture: str
    kind: str
    pixels: np.ndarray
    hole: np.ndarray


def main() -> None:
    arguments = parse_arguments()
    from vaetool import load

    model = load(arguments.model, kind="mae", device=arguments.device)
    place = arguments.masks or arguments.folders[0].resolve().parent / "inpaint-masks"
    cases = find_cases(arguments.folders)
    write_masks(cases, place)
    theirs = others(cases, place)
    print(OURS, "...", flush=True)
    filled = [model.inpaint_pixels(case.pixels, case.hole)[0] for case in cases]
    smooth, spreads = zip(*(model.inpaint_pixels(case.pixels, case.hole, texture=False) for case in cases), strict=True)
    figures = {OURS: list(map(compare, filled, cases)), WITHOUT: list(map(compare, smooth, cases)), **theirs}
    names = [folder.name for folder in arguments.folders]
    results = {
        "pictures": {name: sum(case.folder == name for case in cases) // len(KINDS) for name in names},
        "masks": {name: masks_sha256(cases, name) for name in names},
        "hole share": hole_shares(cases),
        "seconds": seconds(model, cases),
        "guesses": guesses(cases, smooth, spreads),
        "rows": {"all": summary(cases, figures)} | {name: summary(cases, figures, name) for name in names},
    }
    print_tables(results)
    if arguments.sheet:
        draw_sheet(arguments.sheet, cases, filled, figures[OURS])
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--model", default="photo-inpaint")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--masks", type=Path, help="folder of masks and of the other methods' figures; created if missing"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="write the worst results, next to the truth, as a picture")
    return parser.parse_args()


# Pictures and masks


def find_cases(folders: list[Path]) -> list[Case]:
    """Every picture of the folders with every kind of mask."""
    return [
        Case(folder.name, path.stem, kind, pixels, draw_mask(kind, path.stem))
        for folder in folders
        for path in sorted(path for path in folder.iterdir() if path.is_file())
        for pixels in [middle(path)]
        for kind in KINDS
    ]


def middle(path: Path) -> np.ndarray:
    """The middle of a picture, (SIDE, SIDE, 3) uint8."""
    pixels = images.read(path).pixels
    if min(pixels.shape[:2]) < SIDE or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise SystemExit(f"{path}: must be an 8-bit picture in colour with at least {SIDE} pixels a side")
    top, left = ((size - SIDE) // 2 for size in pixels.shape[:2])
    return pixels[top : top + SIDE, left : left + SIDE]


def write_masks(cases: list[Case], place: Path) -> None:
    """White is the hole."""
    for case in cases:
        path = place / case.folder / case.kind / f"{case.picture}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(case.hole).save(path)


def masks_sha256(cases: list[Case], folder: str) -> str:
    """SHA-256 of a folder's masks, kind by kind and by name: a byte for a pixel, 255 in the hole, else 0."""
    chosen = sorted((c for c in cases if c.folder == folder), key=lambda c: (list(KINDS).index(c.kind), c.picture))
    return hashlib.sha256(b"".join(np.where(c.hole, 255, 0).astype(np.uint8).tobytes() for c in chosen)).hexdigest()


# The other methods


def others(cases: list[Case], place: Path) -> dict[str, Figures]:
    """Figures of the other methods, by name: read if they are kept, else measured and kept."""
    try:
        import cv2
        import skimage
    except ImportError as error:
        raise SystemExit(
            f"{error.name} is needed for the methods to compare with: pip install '.[benchmarks]'"
        ) from None
    key = hashlib.sha256(f"OpenCV {cv2.__version__}, scikit-image {skimage.__version__}".encode())
    for case in cases:
        key.update(case.pixels.tobytes() + case.hole.tobytes())
    path = place / f"others-{key.hexdigest()[:16]}.json"
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        for name in METHODS:
            if name not in kept:
                print(name, "...", flush=True)
                kept[name] = list(pool.map(partial(measure, name), cases, chunksize=5))
                path.write_text(json.dumps(kept) + "\n", encoding="utf-8")
    return {name: kept[name] for name in METHODS}


def measure(name: str, case: Case) -> dict[str, float]:
    return compare(METHODS[name](case.pixels, case.hole), case)


def opencv(pixels: np.ndarray, hole: np.ndarray, method: str, radius: int) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    return cv2.inpaint(np.ascontiguousarray(pixels), hole.astype(np.uint8), radius, getattr(cv2, method))


def biharmonic(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    from skimage.restoration import inpaint_biharmonic

    return np.rint(inpaint_biharmonic(pixels, hole, channel_axis=2) * 255).clip(0, 255).astype(np.uint8)


def push_pull(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return fill_hidden(pixels, ~hole)


METHODS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    TELEA: partial(opencv, method="INPAINT_TELEA", radius=3),
    "OpenCV Telea, radius 5": partial(opencv, method="INPAINT_TELEA", radius=5),
    "OpenCV Navier-Stokes, radius 3": partial(opencv, method="INPAINT_NS", radius=3),
    "OpenCV Navier-Stokes, radius 5": partial(opencv, method="INPAINT_NS", radius=5),
    "scikit-image biharmonic": biharmonic,
    "push-pull": push_pull,
}


# Measuring


def hole_shares(cases: list[Case]) -> dict[str, float]:
    """Mean share of the picture in the hole, by kind of mask."""
    return {kind: round(float(np.mean([case.hole.mean() for case in cases if case.kind == kind])), 3) for kind in KINDS}


def compare(filled: np.ndarray, case: Case) -> dict[str, float]:
    """PSNR in the hole, in dB; SSIM of the picture; energy, and that of the true picture."""
    if not np.array_equal(filled[~case.hole], case.pixels[~case.hole]):
        raise SystemExit(f"{case.folder}/{case.picture}, {case.kind}: pixels outside the hole have changed")
    error = np.subtract(filled[case.hole], case.pixels[case.hole], dtype=np.float64) / 255
    return {
        "psnr": mean_psnr(np.square(error).mean(keepdims=True)),
        "ssim": ssim(filled, case.pixels, peak=255),
        "energy": gradient_energy(filled, case.hole),
        "true energy": gradient_energy(case.pixels, case.hole),
    }


def gradient_energy(pixels: np.ndarray, hole: np.ndarray) -> float:
    """Sum of the squared differences of right and lower neighbours, of which at least one is in the hole.

    >>> gradient_energy(np.array([[[1], [3], [7], [9]]]), np.array([[False, True, False, False]]))
    20.0
    """
    total = 0.0
    for axis in (0, 1):
        differences = np.square(np.diff(pixels.astype(np.float64), axis=axis)).sum(axis=2)
        beside = np.moveaxis(hole, axis, 0)
        total += differences[np.moveaxis(beside[1:] | beside[:-1], 0, axis)].sum()
    return float(total)


def guesses(cases: list[Case], smooth: Sequence[np.ndarray], spreads: Sequence[np.ndarray]) -> Row:
    """Whether holes that are called guesses are those with large errors; both in 8-bit units, of smoothed colours."""
    found = [pair for parts in zip(cases, smooth, spreads, strict=True) for pair in errors_and_spreads(*parts)]
    errors, spread = np.array(found).T
    named = spread > UNSURE
    return {
        "holes": len(errors),
        "auroc": {
            f"error above {least}": round(float(roc_auc_score(errors > least, spread)), 3) for least in LARGE_ERRORS
        },
        "named": round(float(named.mean()), 3),
        "median error of named": round(float(np.median(errors[named])), 1),
        "median error of others": round(float(np.median(errors[~named])), 1),
    }


def errors_and_spreads(case: Case, smooth: np.ndarray, spread: np.ndarray) -> Iterator[tuple[float, float]]:
    """For each hole with blocks that lie in it entirely: the mean error, and the mean spread, over these."""
    labels, _ = ndimage.label(case.hole, TOUCHING)
    labels *= blocks_of(case.hole, np.logical_and, False).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
    inside = case.hole[..., None].astype(np.float64)
    blur = partial(ndimage.gaussian_filter, sigma=(SMOOTH, SMOOTH, 0))
    error = blur((smooth - case.pixels.astype(np.float64)) * inside) / np.maximum(blur(inside), 1e-6)
    size = np.sqrt(np.square(error).mean(axis=2))
    for number in np.unique(labels[labels > 0]):
        yield float(size[labels == number].mean()), 255 * float(spread[labels == number].mean())


def summary(cases: list[Case], figures: dict[str, Figures], folder: str | None = None) -> dict[str, Row]:
    """By kind of mask: each method's means, with intervals, and how far ours is above the best of the others."""
    found = {}
    for kind in KINDS:
        chosen = [i for i, case in enumerate(cases) if case.kind == kind and folder in (None, case.folder)]
        columns = {
            name: {key: np.array([rows[i][key] for i in chosen]) for key in rows[0]} for name, rows in figures.items()
        }
        draws = np.random.default_rng(SEED).integers(0, len(chosen), (RESAMPLES, len(chosen)))
        best = max(METHODS, key=lambda name: columns[name]["psnr"].mean())
        gain = columns[OURS]["psnr"] - columns[best]["psnr"]
        found[kind] = {
            "methods": {name: describe(values, draws) for name, values in columns.items()},
            "best other": best,
            "gain": round(float(gain.mean()), 2),
            "gain interval": interval(gain[draws].mean(axis=1)),
        }
    return found


def describe(values: dict[str, np.ndarray], draws: np.ndarray) -> Row:
    """One method on one kind of mask."""
    psnr, energy, truth = values["psnr"], values["energy"], values["true energy"]
    return {
        "psnr": round(float(psnr.mean()), 2),
        "psnr interval": interval(psnr[draws].mean(axis=1)),
        "ssim": round(float(values["ssim"].mean()), 4),
        "energy": round(float(energy.sum() / truth.sum()), 3),
        "energy interval": interval(energy[draws].sum(axis=1) / truth[draws].sum(axis=1)),
    }


def interval(samples: np.ndarray) -> list[float]:
    """The interval in which 95 % of them lie."""
    return [round(float(bound), 2) for bound in np.quantile(samples, (0.025, 0.975))]


def seconds(model: Any, cases: list[Case]) -> Row:
    """Medians of five: a thick hole in SIDE x SIDE pixels, and a hole of that size in the middle of twice the side."""
    import torch

    small = next(case for case in cases if case.kind == "thick")
    large = np.tile(small.pixels, (2, 2, 1))
    square = np.pad(np.ones((SIDE, SIDE), bool), SIDE // 2)
    work = {f"picture of {SIDE}x{SIDE}": (small.pixels, small.hole), f"hole of {SIDE}x{SIDE}": (large, square)}
    return {name: round(median_seconds(model, *parts), 3) for name, parts in work.items()} | {
        "threads": torch.get_num_threads()
    }


def median_seconds(model: Any, pixels: np.ndarray, hole: np.ndarray) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        model.inpaint_pixels(pixels, hole)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


# What is shown


def print_tables(results: Row) -> None:
    """As in docs/benchmarks.md."""
    rows = results["rows"]["all"]
    print(f"\n{sum(results['pictures'].values())} pictures, intervals of 95 %\n")
    print("| mask | method | PSNR in the hole, dB | SSIM | energy |\n|---|---|---|---|---|")
    for kind, row in rows.items():
        for name, found in row["methods"].items():
            psnr = f"{found['psnr']:.2f} ({span(found['psnr interval'])})"
            energy = f"{found['energy']:.2f} ({span(found['energy interval'])})"
            print(f"| {kind} | {name} | {psnr} | {found['ssim']:.3f} | {energy} |")
    print(f"\n| mask | hole | {OURS} | best other | above it, dB | energy |\n|---|---|---|---|---|---|")
    for kind, row in rows.items():
        ours, best = row["methods"][OURS], row["methods"][row["best other"]]
        cells = [kind, f"{results['hole share'][kind]:.0%}", f"{ours['psnr']:.2f}"]
        cells += [f"{best['psnr']:.2f}, {row['best other']}", f"{row['gain']:+.2f} ({span(row['gain interval'])})"]
        print(f"| {' | '.join(cells)} | {ours['energy']:.2f} |")
    print(f"\nguesses: {results['guesses']}\nseconds: {results['seconds']}\nsha256 of the masks: {results['masks']}")


def span(bounds: list[float]) -> str:
    return " to ".join(f"{bound:.2f}" for bound in bounds)


def draw_sheet(path: Path, cases: list[Case], filled: list[np.ndarray], figures: Figures) -> None:
    """The pictures with the lowest PSNR in the hole, each with its worst mask: the hole, the truth, ours, Telea's."""
    worst: dict[tuple[str, str], int] = {}
    for index in sorted(range(len(cases)), key=lambda index: figures[index]["psnr"]):
        worst.setdefault((cases[index].folder, cases[index].picture), index)
    chosen = list(worst.values())[:WORST]
    sheet = Image.new("RGB", (4 * (SIDE + 4), len(chosen) * (SIDE + GAP)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, index in enumerate(chosen):
        case, top = cases[index], row * (SIDE + GAP)
        telea = METHODS[TELEA](case.pixels, case.hole)
        ours, theirs = figures[index]["psnr"], compare(telea, case)["psnr"]
        cells = {
            f"{case.folder}/{case.picture}, {case.kind}": np.where(case.hole[..., None], np.uint8(255), case.pixels),
            "truth": case.pixels,
            f"{OURS}, {ours:.1f} dB": filled[index],
            f"{TELEA}, {theirs:.1f} dB": telea,
        }
        for column, (title, pixels) in enumerate(cells.items()):
            left = column * (SIDE + 4)
            draw.text((left + 2, top + 3), title, "black")
            sheet.paste(Image.fromarray(pixels), (left, top + GAP))
    sheet.save(path)


if __name__ == "__main__":
    main()
