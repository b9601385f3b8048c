"""Finding defects: by a model fitted or trained here to good pictures alone, and by other methods, on the same split.

    python benchmarks/defects.py SET [--kind features] [--good N] [--model part.safetensors] [--json defects.json]

SET is a folder with good/ and, for every type of defect, a folder defect/TYPE and masks of the same names in mask/TYPE
(magnetic tiles, Huang et al. 2020): four fifths of the good ones, drawn with --seed, are for training and calibration,
the others and all defects for tests. Or it has good/, test-good/ and test-defect/ (castings), split as they are. --good
takes fewer of the good ones. The set's figures replace those of the same kind and set in the JSON file.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

import vaetool
from vaetool import images
from vaetool.images.conversion import whole_picture
from vaetool.scoring.deep import extract
from vaetool.scoring.energies import PARTS
from vaetool.scoring.evaluation import PixelTally
from vaetool.scoring.features import Features, FeaturesConfig
from vaetool.scoring.heatmaps import resized
from vaetool.scoring.labelled import learn
from vaetool.scoring.measurement import measure
from vaetool.scoring.scorer import Scorer
from vaetool.store import weights
from vaetool.training.splits import split

PCA_SIZE, PCA_COMPONENTS = 64, 64
SPEED_SIZE, SPEED_IMAGES = 256, 40
FEW_BAD, DRAWS = (8, 10, 20, 50), 20

Row = dict[str, Any]


@dataclass(frozen=True)
class Parts:
    """Paths of good pictures to train and to test with, and of defective ones, with masks if there are any, by type."""

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
    parser.add_argument("set", type=Path)
    parser.add_argument("--kind", choices=("features", "defect"), default="features")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training, for a defect finder")
    parser.add_argument("--good", type=int, help="good pictures to train with, instead of all")
    parser.add_argument("--seed", type=int, default=0, help="of the split")
    parser.add_argument("--model", type=Path, help="the model; it is trained and saved there if missing")
    parser.add_argument("--only", action="store_true", help="without the other methods and the speed")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    parts = find_parts(options.set, options.seed, options.good)
    with TemporaryDirectory() as folder:
        path = options.model or Path(folder) / "part.safetensors"
        start = time.perf_counter()
        if not path.exists():
            train(options.kind, parts.training, path, options.minutes, Path(folder))
        fitted = round(time.perf_counter() - start, 1)
        model = weights.load(path)
        size = path.stat().st_size
    table = component_table(model, parts)
    scores = model_scores(model, table)
    if not options.only:
        scores |= {"PCA of 64 x 64 pixels": pca_scores(parts), "isolation forest on deep features": forest(parts)}
    found = {
        "good": len(parts.training),
        "tested": [len(parts.good), len(parts.tested) - len(parts.good)],
        "rows": [{"score": name, **by_type(parts, values)} for name, values in scores.items()],
        "learnt_from_bad": learnt_figures(model, parts, table) if isinstance(model, Features) else {},
        "pixels": pixel_figures(model, parts),
        "seconds_of_training": fitted,
        "megabytes": round(size / 1e6, 1),
        "threads": torch.get_num_threads(),
    }
    if not options.only:
        found["images_per_second"] = round(speed(model), 1)
    print_figures(found)
    if options.json:
        kept = json.loads(options.json.read_text(encoding="utf-8")) if options.json.exists() else {}
        few = "" if options.good is None else f", {options.good} good"
        kept[f"{options.kind}, {options.set.name}{few}, seed {options.seed}"] = found
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def find_parts(root: Path, seed: int, count: int | None) -> Parts:
    """The pictures of a set, split."""
    if (root / "test-good").is_dir():
        training, good = (sorted((root / place).iterdir()) for place in ("good", "test-good"))
        defective, masks = {"defect": sorted((root / "test-defect").iterdir())}, {}
    else:
        training, good = split(sorted((root / "good").iterdir()), 0.2, seed)
        types = sorted(path.name for path in (root / "defect").iterdir())
        defective, masks = (
            {kind: sorted((root / place / kind).iterdir()) for kind in types} for place in ("defect", "mask")
        )
    if count is not None:
        training = random.Random(seed).sample(training, count)
    return Parts(training, good, defective, masks)


def train(kind: str, paths: list[Path], output: Path, minutes: float, folder: Path) -> None:
    """As `vaetool train` does."""
    place = folder / "good"
    place.mkdir()
    for path in paths:
        (place / path.name).symlink_to(path.resolve())
    flags = {"minutes": minutes} if kind == "defect" else {}
    vaetool.train(kind, place, output=output, **flags)


def read(path: Path) -> np.ndarray:
    """Pixels, (height, width, 1 or 3)."""
    return images.read(path).visible_pixels()


def component_table(model: Scorer, parts: Parts) -> dict[str, np.ndarray]:
    """The components of the test pictures."""
    batches = list(measure(model, map(read, parts.tested), model.default_method))
    return {name: np.concatenate([found[name] for found in batches]) for name in batches[0]}


def model_scores(model: Scorer, table: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Scores of the test pictures, by every method."""
    calibration = model.calibration
    if calibration is None:  # too few good pictures for p-values; scores need none
        return {f"vaetool, {model.default_method}": table[model.default_method]}
    return {f"vaetool, {method}": calibration.scores(calibration.table(table), method) for method in model.methods}


def learnt_figures(model: Features, parts: Parts, table: dict[str, np.ndarray]) -> dict[str, Row]:
    """The AUROC of what is learnt from a few bad pictures, beside that of `all`, on the others: means over draws."""
    if model.calibration is None:
        return {}
    known, usual = np.log(model.calibration.columns(PARTS)), np.array(list(PARTS.values()))
    good, bad = np.split(np.log(np.stack([table[name] for name in PARTS], axis=1)), [len(parts.good)])
    found = {}
    for count in FEW_BAD:
        figures = []
        for seed in range(DRAWS):
            chosen = np.random.default_rng(seed).permutation(len(bad))
            weighing, others = learn(known, bad[chosen[:count]], usual).weighing, bad[chosen[count:]]
            figures.append((auroc(weighing(good), weighing(others)), auroc(good @ usual, others @ usual)))
        learnt, plain = np.array(figures).T
        found[str(count)] = {
            "learnt": round(float(learnt.mean()), 4),
            "all": round(float(plain.mean()), 4),
            "worst_change": round(float((learnt - plain).min()), 4),
        }
    return found


def forest(parts: Parts) -> np.ndarray:
    """Scores of the test pictures by an isolation forest on the coarse features that vaetool sees as well."""

    def rows(paths: list[Path]) -> np.ndarray:
        model = Features(FeaturesConfig())
        return np.concatenate([extract(x).glance.numpy() for x in model.prepare_all(map(read, paths))])

    fitted = IsolationForest(n_estimators=500, random_state=0).fit(rows(parts.training))
    return -fitted.score_samples(rows(parts.tested))


def pca_scores(parts: Parts) -> np.ndarray:
    """Mean squared error of the test pictures, reconstructed from principal components of good ones."""

    def rows(paths: list[Path]) -> np.ndarray:
        return np.stack([whole_picture(read(path), PCA_SIZE, 1).ravel() / 255 for path in paths])

    pca = PCA(PCA_COMPONENTS, random_state=0).fit(rows(parts.training))
    tested = rows(parts.tested)
    return np.square(tested - pca.inverse_transform(pca.transform(tested))).mean(axis=1)


def by_type(parts: Parts, scores: np.ndarray) -> Row:
    """AUROC of all defective pictures against the good ones, and of each type."""
    good, rest = np.split(scores, [len(parts.good)])
    found = {"all": auroc(good, rest)}
    for kind, paths in parts.defective.items():
        these, rest = np.split(rest, [len(paths)])
        found[kind] = auroc(good, these)
    return found


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    """The share of pairs in which the bad one has the higher score."""
    labels = np.repeat([0, 1], [len(good), len(bad)])
    return round(float(roc_auc_score(labels, np.concatenate([good, bad]))), 4)


def pixel_figures(model: Scorer, parts: Parts) -> Row:
    """AUROC of pixels and per-region overlap up to 30 % false positives, over all tested parts."""
    if not parts.masks:
        return {}
    tally = PixelTally()
    masks = [path for paths in parts.masks.values() for path in paths]
    for number, path in enumerate(parts.tested):
        pixels = read(path)
        heat = model.maps(model.prepare(pixels)[None].to(model.device))[0].cpu().numpy()
        heat = resized(heat, *pixels.shape[:2])
        marked = read(masks[number - len(parts.good)])[:, :, 0] > 127 if number >= len(parts.good) else None
        tally.add(heat, np.zeros(heat.shape, bool) if marked is None else marked)
    return {"auroc": round(tally.auroc() or 0.0, 4), "per_region_overlap": round(tally.per_region_overlap() or 0.0, 4)}


def speed(model: Scorer) -> float:
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
    print()
    for name in found.keys() - {"rows"}:
        print(f"{name.replace('_', ' ')}: {found[name]}")


if __name__ == "__main__":
    main()
