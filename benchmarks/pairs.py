"""Wrong labels, wrong pairs, and masks told from photos, by multimodal VAEs that are trained here for some minutes.

    python benchmarks/pairs.py --data FOLDER --work FOLDER [--minutes 7] [--only labels] [--json FILE]

--data has MNIST and FashionMNIST, as torchvision lays them out, and magnetic-tile. In --work, pictures, tables and
models are written; a model that is there already is not trained again.

labels: Fashion-MNIST's 60,000 training pictures, one label in twenty replaced by another. The model is trained on all
of them, wrong ones included, and 6,000 of the same pictures are scored: AUROC of wrong labels, and the share of wrong
ones among the highest twentieth; beside the confidence, in the given label, of a logistic regression on the codes of
the same pictures, each by a fit to other ones, and of one on the pixels.
clothes: 6,000 digits of MNIST, each with a piece of clothing of Fashion-MNIST: class d for digit d. Of 2,000 pairs of
test pictures, one in twenty has clothes of another class.
tiles: 392 magnetic tiles with defects and 300 good ones, with their masks. A fifth of those with defects is held out:
intersection over union of masks told from photos (the middle square of each, 64 pixels a side) with the true ones, over
all pixels and as a mean over pictures; beside the mask that is usual in training, and a model with one code for the
picture instead of one for each of 8 x 8 places. Wrong pairs are the photos held out, each with the mask of another.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torchvision.datasets
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vaetool
from vaetool.latents.mmvae import MMVAE
from vaetool.latents.translate import translate_picture
from vaetool.store.weights import read_header

WRONG = 20
"""One in so many labels or pairs is wrong."""

SCORED = 6000
TRAINED_TILES = 300
SMALL = ["model.private=8", "model.widths=[24,48,96]", "training.batch=32"]
TILES = ["model.widths=[16,32,64,96]", "training.batch=16", "training.lr=0.001", "data.mirror=true"]
UNITS = {"vaetool": (24, ["model.private=8"]), "one code for the picture": (64, ["model.private=16", "model.places=1"])}
"""`latent` and settings of models for tiles."""

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=7.0, help="training minutes for each model")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for name in arguments.only:
        found = SECTIONS[name](arguments.data, arguments.work / name, arguments.minutes)
        print(json.dumps({name: found}, indent=2), flush=True)
        if arguments.json:
            results = json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json.exists() else {}
            arguments.json.write_text(json.dumps({**results, name: found}, indent=2) + "\n", encoding="utf-8")


def trained(path: Path, minutes: float, places: Sequence[Path | str], settings: list[str], **flags: Any) -> MMVAE:
    """The model of a file, which is trained if it is not there."""
    if not path.exists():
        vaetool.train("mmvae", places, output=path, minutes=minutes, settings=settings, **flags)
    return vaetool.load(path, kind="mmvae")


def about(path: Path) -> Row:
    """How a model was trained."""
    training = read_header(path).training
    return {name: training[name] for name in ("seconds", "steps", "images", "pairs_auroc")}


def found_wrong(scores: np.ndarray, wrong: np.ndarray) -> Row:
    """AUROC of what is wrong, and the share of it among the highest twentieth of the scores."""
    top = np.argsort(-scores)[: len(scores) // WRONG]
    return {
        "auroc": round(float(roc_auc_score(wrong, scores)), 4),
        "precision_at_5_percent": round(float(wrong[top].mean()), 4),
    }


# Labels


def labels(data: Path, work: Path, minutes: float) -> Row:
    work.mkdir(parents=True, exist_ok=True)
    fashion = torchvision.datasets.FashionMNIST(data)
    pictures, true, generator = fashion.data.numpy(), fashion.targets.numpy(), np.random.default_rng(0)
    wrong = generator.permutation(len(true)) < len(true) // WRONG
    given = np.where(wrong, (true + generator.integers(1, 10, len(true))) % 10, true)
    rows = [f"FashionMNIST/{number:07d},{label}" for number, label in enumerate(given)]
    (work / "labels.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    path = work / "labels.safetensors"
    flags = {"root": data, "labels": str(work / "labels.csv"), "size": 28, "latent": 32}
    model = trained(path, minutes, ["torchvision:FashionMNIST"], [*SMALL, "data.held_out=0.01"], **flags)
    chosen = generator.permutation(len(true))[:SCORED]
    pairs = [(pictures[index], str(given[index])) for index in chosen]
    codes = np.concatenate([codes_of_pictures(model, pairs[start : start + 200]) for start in range(0, SCORED, 200)])
    rows_of_pixels = pictures[chosen].reshape(SCORED, -1) / 255
    scores = {
        "vaetool": model.score(pairs),
        "logistic regression, same codes": doubt(codes, given[chosen]),
        "logistic regression, pixels": doubt(rows_of_pixels, given[chosen]),
    }
    figures = {name: found_wrong(values, wrong[chosen]) for name, values in scores.items()}
    return {"pictures": SCORED, "wrong": int(wrong[chosen].sum()), **figures, "training": about(path)}


def codes_of_pictures(model: MMVAE, pairs: Sequence[Any]) -> np.ndarray:
    """Means of the shared and the private units of pictures, told without their labels."""
    import torch

    with torch.inference_mode():
        x = torch.stack([model.prepare(pair) for pair in pairs])
        seen = torch.tensor([[True, False]]).expand(len(x), -1)
        shared, private = model.posteriors(x, seen)
        return torch.cat([shared.mean, private[0].mean], dim=1).numpy()


def doubt(rows: np.ndarray, given: np.ndarray) -> np.ndarray:
    """−log of the probability of given labels by a logistic regression that was fitted to other rows."""
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=200))
    shares = cross_val_predict(classifier, rows, given, cv=3, method="predict_proba")
    return -np.log(shares[np.arange(len(given)), given] + 1e-12)


# Clothes


def clothes(data: Path, work: Path, minutes: float) -> Row:
    generator = np.random.default_rng(0)
    write_outfits(data, work / "train", 6000, generator, wrong=0)
    wrong = write_outfits(data, work / "test", 2000, generator, wrong=2000 // WRONG)
    path = work / "clothes.safetensors"
    places = [work / "train/digits", work / "train/clothes"]
    model = trained(path, minutes, places, [*SMALL, "data.held_out=0.05"], size=28, latent=48)
    names = [f"{number:04}.png" for number in range(len(wrong))]
    pairs = [(work / "test/digits" / name, work / "test/clothes" / name) for name in names]
    return {
        "pairs": len(wrong),
        "wrong": int(wrong.sum()),
        "vaetool": found_wrong(model.score(pairs), wrong),
        "training": about(path),
    }


def write_outfits(data: Path, folder: Path, count: int, generator: np.random.Generator, wrong: int) -> np.ndarray:
    """Write pairs into folders `digits` and `clothes`; tell which do not belong together, (pairs,) bool."""
    digits, fashion = (
        cls(data, train=folder.name == "train")
        for cls in (torchvision.datasets.MNIST, torchvision.datasets.FashionMNIST)
    )
    is_wrong = generator.permutation(count) < wrong
    chosen = generator.permutation(len(digits.data))[:count]
    left = {label: list(generator.permutation(np.flatnonzero(fashion.targets == label))) for label in range(10)}
    for kind in ("digits", "clothes"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number, (index, bad) in enumerate(zip(chosen, is_wrong, strict=True)):
        label = (int(digits.targets[index]) + (generator.integers(1, 10) if bad else 0)) % 10
        Image.fromarray(digits.data[index].numpy()).save(folder / "digits" / f"{number:04}.png")
        Image.fromarray(fashion.data[left[label].pop()].numpy()).save(folder / "clothes" / f"{number:04}.png")
    return is_wrong


# Tiles


def tiles(data: Path, work: Path, minutes: float) -> Row:
    tested = write_tiles(data / "magnetic-tile", work)
    known = sorted((work / "masks").glob("[!g]*.png"))
    found: Row = {"pictures": len(tested)}
    for name, (latent, settings) in UNITS.items():
        path = work / f"{name.replace(' ', '-')}.safetensors"
        places = [work / "photos", work / "masks"]
        model = trained(path, minutes, places, [*TILES, *settings], size=64, latent=latent)
        pairs = [(work / "test-photos" / n, work / "test-masks" / n) for n in tested]
        truth = np.stack([model.prepare(pair)[1] > 0.5 for pair in pairs])
        told = [translate_picture(model, photo, to="masks").pixels for photo, _ in pairs]
        masks = np.stack([pixels[:, :, 0] for pixels in told if pixels is not None]) > 127
        wrong = [(photo, mask) for (photo, _), (_, mask) in zip(pairs, [*pairs[1:], pairs[0]], strict=True)]
        scores = model.score([*pairs, *wrong])
        auroc = float(roc_auc_score(np.arange(len(scores)) >= len(pairs), scores))
        found[name] = {**overlap(masks, truth), "auroc_of_wrong_pairs": round(auroc, 4), "training": about(path)}
    usual = np.mean([model.prepare((mask, mask))[1].numpy() for mask in known], axis=0)
    return {
        **found,
        "the usual mask": overlap(np.broadcast_to(usual > np.quantile(usual, 0.9), truth.shape), truth),
    }


def write_tiles(source: Path, work: Path) -> list[str]:
    """Write tiles and masks to train on and to test with; return the names of the latter, all with defects."""
    choice = random.Random(0)
    defects, good = sorted(source.glob("defect/*/*")), sorted((source / "good").iterdir())
    choice.shuffle(defects)
    tested = defects[round(0.8 * len(defects)) :]
    for kind in ("photos", "masks", "test-photos", "test-masks"):
        (work / kind).mkdir(parents=True, exist_ok=True)
    for path in [*defects, *choice.sample(good, TRAINED_TILES)]:
        test, name = "test-" if path in tested else "", f"{path.parent.name}-{path.stem}.png"
        tile = Image.open(path).convert("L")
        mask = source / "mask" / path.parent.name / f"{path.stem}.png"
        tile.save(work / f"{test}photos" / name)
        (Image.open(mask).convert("L") if mask.exists() else Image.new("L", tile.size)).save(
            work / f"{test}masks" / name
        )
    return [f"{path.parent.name}-{path.stem}.png" for path in tested]


def overlap(masks: np.ndarray, truth: np.ndarray) -> Row:
    """Intersection over union, over all pixels and as a mean over pictures that show a defect."""
    shown = truth.any(axis=(1, 2))
    both, either = ((masks & truth).sum(axis=(1, 2)), (masks | truth).sum(axis=(1, 2)))
    return {
        "iou": round(float(both.sum() / either.sum()), 4),
        "mean_iou": round(float((both[shown] / either[shown]).mean()), 4),
    }


SECTIONS: dict[str, Callable[[Path, Path, float], Row]] = {"labels": labels, "clothes": clothes, "tiles": tiles}


if __name__ == "__main__":
    main()
