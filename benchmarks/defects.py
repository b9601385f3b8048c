"""Finding defects on magnetic tiles (Huang et al. 2020): by a model trained here on good tiles alone, and by PCA.

    python benchmarks/defects.py TILES --minutes 15 [--model tiles.safetensors] [--json defects.json]

TILES holds good/, and for every type of defect a folder defect/TYPE and masks of the same names in mask/TYPE. Four
fifths of the good tiles, drawn with seed 0, are for training and calibration; the others and all defects are for tests.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

import vaetool
from vaetool import images
from vaetool.images.conversion import whole_picture
from vaetool.scoring.defect import Defect
from vaetool.scoring.evaluation import PixelTally
from vaetool.scoring.measurement import measure
from vaetool.store import weights
from vaetool.training.data import split

PCA_SIZE, PCA_COMPONENTS = 64, 64
SPEED_SIZE, SPEED_IMAGES = 256, 40

Row = dict[str, Any]


@dataclass(frozen=True)
class Tiles:
    """Paths of good tiles to train and to test with, and of defective ones by type."""

    training: list[Path]
    good: list[Path]
    defective: dict[str, list[Path]]
    masks: dict[str, list[Path]]

    @property
    def tested(self) -> list[Path]:
        """The good ones, then all defective ones, type by type."""
        return [*self.good, *(path for paths in self.defective.values() for path in paths)]


def main() -> None:
    """Train unless there is a model, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tiles", type=Path)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--model", type=Path, help="the model; it is trained and saved there if missing")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tiles = find_tiles(options.tiles)
    with TemporaryDirectory() as folder:
        path = options.model or Path(folder) / "tiles.safetensors"
        if not path.exists():
            train(tiles.training, path, options.minutes, Path(folder))
        model = weights.load(path)
        about = weights.read_header(path).training
    scores = {"PCA of 64 x 64 pixels": pca_scores(tiles), **model_scores(model, tiles)}
    rows = [{"score": name, **by_type(tiles, values)} for name, values in scores.items()]
    found = {
        "rows": rows,
        "pixels": pixel_figures(model, tiles),
        "images_per_second": round(speed(model), 1),
        "threads": torch.get_num_threads(),
        "training": {name: about[name] for name in ("seconds", "steps", "images")},
        "default": model.default_method,
    }
    print_figures(found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def find_tiles(root: Path) -> Tiles:
    """The tiles of a folder, split."""
    training, good = split(sorted((root / "good").iterdir()), 0.2, 0)
    types = sorted(path.name for path in (root / "defect").iterdir())
    defective, masks = (
        {kind: sorted((root / place / kind).iterdir()) for kind in types} for place in ("defect", "mask")
    )
    return Tiles(training, good, defective, masks)


def train(paths: list[Path], output: Path, minutes: float, folder: Path) -> None:
    """As `vaetool train defect` does."""
    place = folder / "good"
    place.mkdir()
    for path in paths:
        (place / path.name).symlink_to(path.resolve())
    vaetool.train("defect", place, output=output, minutes=minutes)


def read(path: Path) -> np.ndarray:
    """Pixels, (height, width, 1 or 3)."""
    return images.read(path).visible_pixels()


def model_scores(model: Defect, tiles: Tiles) -> dict[str, np.ndarray]:
    """Scores of the test tiles, by every method."""
    calibration = model.calibration
    assert calibration is not None
    parts = [calibration.table(found) for found in measure(model, map(read, tiles.tested), model.default_method)]
    table = np.concatenate(parts)
    return {f"vaetool, {method}": calibration.scores(table, method) for method in model.methods}


def pca_scores(tiles: Tiles) -> np.ndarray:
    """Mean squared error of the test tiles, reconstructed from principal components of good ones."""

    def rows(paths: list[Path]) -> np.ndarray:
        return np.stack([whole_picture(read(path), PCA_SIZE, 1).ravel() / 255 for path in paths])

    pca = PCA(PCA_COMPONENTS, random_state=0).fit(rows(tiles.training))
    tested = rows(tiles.tested)
    return np.square(tested - pca.inverse_transform(pca.transform(tested))).mean(axis=1)


def by_type(tiles: Tiles, scores: np.ndarray) -> Row:
    """AUROC of all defective tiles against the good ones, and of each type."""
    good, rest = np.split(scores, [len(tiles.good)])
    found = {"all": auroc(good, rest)}
    for kind, paths in tiles.defective.items():
        these, rest = np.split(rest, [len(paths)])
        found[kind] = auroc(good, these)
    return found


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    """The share of pairs in which the bad one has the higher score."""
    labels = np.repeat([0, 1], [len(good), len(bad)])
    return round(float(roc_auc_score(labels, np.concatenate([good, bad]))), 4)


def pixel_figures(model: Defect, tiles: Tiles) -> Row:
    """AUROC of pixels and per-region overlap up to 30 % false positives, over all tested tiles."""
    tally = PixelTally()
    masks = [path for paths in tiles.masks.values() for path in paths]
    for number, path in enumerate(tiles.tested):
        heat = model.maps(model.prepare(read(path))[None].to(model.device))[0].cpu().numpy()
        marked = read(masks[number - len(tiles.good)])[:, :, 0] > 127 if number >= len(tiles.good) else None
        tally.add(heat, np.zeros(heat.shape, bool) if marked is None else marked)
    return {"auroc": round(tally.auroc() or 0.0, 4), "per_region_overlap": round(tally.per_region_overlap() or 0.0, 4)}


def speed(model: Defect) -> float:
    """Images of 256 x 256 per second, without decoding."""
    pictures = list(np.random.default_rng(0).integers(0, 256, (SPEED_IMAGES, SPEED_SIZE, SPEED_SIZE), np.uint8))
    return SPEED_IMAGES / min(seconds(lambda: model.score(pictures)) for _ in range(3))


def seconds(work: Callable[[], Any]) -> float:
    """How long it takes, in seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def print_figures(found: Row) -> None:
    """As in the documentation."""
    columns = list(found["rows"][0])
    print(f"| {' | '.join(columns)} |")
    print("|---|" + "---|" * (len(columns) - 1))
    for row in found["rows"]:
        print(f"| {' | '.join(str(row[column]) for column in columns)} |")
    pixels = found["pixels"]
    print(f"\npixels: AUROC {pixels['auroc']}, per-region overlap {pixels['per_region_overlap']}")
    print(f"{found['images_per_second']} images/s of 256 x 256 on {found['threads']} threads")
    print(f"training: {found['training']}")


if __name__ == "__main__":
    main()
