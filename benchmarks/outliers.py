"""Outliers among photographs: models of deep features beside VAEs of pixels, on the same pictures.

    python benchmarks/outliers.py --faces FOLDER --photos FOLDER --fashion FOLDER [--json outliers.json]

FOLDERs: faces of 64 x 64 pixels, of which 400 are good and 200 are for tests; photographs of anything; torchvision's,
with FashionMNIST. Faces are told from photographs and from faces that something was done to, beside the bundled VAE
`faces`, which has seen most of them and is calibrated with the good ones. Each class of clothes, 400 pictures, is told
from 100 of each other class; the VAEs are those of `benchmarks/one_class.json`, which scored all test pictures.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torchvision.datasets
from PIL import Image, ImageFilter, ImageOps
from sklearn.metrics import roc_auc_score

import vaetool
from vaetool.scoring.measurement import measure
from vaetool.scoring.scorer import Scorer
from vaetool.store import weights

GOOD, TESTED, OTHERS = 400, 200, 100
METHODS = ("all", "whole")
FACES = "faces"
CHANGES = {
    "turned by 90°": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "inverted": ImageOps.invert,
    "blurred, sigma 1": lambda image: image.filter(ImageFilter.GaussianBlur(1)),
    "noise, sigma 25": lambda image: noisy(np.asarray(image)),
}

Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("faces", "photos", "fashion"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    published = json.loads(Path(__file__).with_name("one_class.json").read_text(encoding="utf-8"))["FashionMNIST"]
    found = {
        f"{FACES} against others": face_rows(options.faces, options.photos),
        "a class of Fashion-MNIST against the others": class_rows(options.fashion, published["classes"]),
    }
    for title, rows in found.items():
        print_rows(title, rows)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def face_rows(faces: Path, photos: Path) -> dict[str, Row]:
    """The AUROC of other pictures against faces, by what they are and by method."""
    paths = sorted(faces.iterdir())
    random.Random(0).shuffle(paths)
    good, tested = ([read(path) for path in part] for part in (paths[:GOOD], paths[GOOD : GOOD + TESTED]))
    others = {"photographs": [read(path) for path in sorted(photos.iterdir())]}
    others |= {name: [change(image) for image in tested] for name, change in CHANGES.items()}
    vae = weights.load(FACES)
    vae.calibrate(map(np.asarray, good))
    models = {"": fitted(good), f"VAE {FACES}, ": vae}
    usual = scores(models, tested)
    return {
        name: {by: auroc(usual[by], values) for by, values in scores(models, images).items()}
        for name, images in others.items()
    }


def class_rows(root: Path, published: list[dict]) -> dict[str, Row]:
    """The AUROC of nine classes against the tenth, by class and by method."""
    training, test = (torchvision.datasets.FashionMNIST(str(root), train=train) for train in (True, False))
    found = {}
    for number, vae in enumerate(published):
        model = fitted(pictures(training, number)[:GOOD])
        by_class = [scores({"": model}, pictures(test, other)[:OTHERS]) for other in range(10)]
        rest = {
            by: np.concatenate([part[by] for other, part in enumerate(by_class) if other != number]) for by in METHODS
        }
        row = {by: auroc(by_class[number][by], rest[by]) for by in METHODS}
        found[vae["class"]] = row | {"VAE, typical": vae["auroc"]["vaetool, typical"]}
        print(vae["class"], found[vae["class"]], flush=True)
    names = next(iter(found.values()))
    return found | {"mean": {name: round(float(np.mean([row[name] for row in found.values()])), 4) for name in names}}


def pictures(data: torchvision.datasets.FashionMNIST, number: int) -> list[Image.Image]:
    """The pictures of a class."""
    return [Image.fromarray(data.data[index].numpy()) for index in np.flatnonzero(data.targets.numpy() == number)]


def fitted(images: Iterable[Image.Image]) -> Scorer:
    """A model of features of good pictures, as `vaetool train features` fits it."""
    with TemporaryDirectory() as folder:
        good = Path(folder) / "good"
        good.mkdir()
        for number, image in enumerate(images):
            image.save(good / f"{number:04}.png")
        output = Path(folder) / "model.safetensors"
        vaetool.train("features", good, output=output)
        return weights.load(output)


def scores(models: dict[str, Scorer], images: list[Image.Image]) -> dict[str, np.ndarray]:
    """The scores of pictures by the methods of each model, with the model's name before them."""
    found = {}
    for name, model in models.items():
        batches = list(measure(model, map(np.asarray, images), ""))
        table = {key: np.concatenate([batch[key] for batch in batches]) for key in batches[0]}
        for by in METHODS if not name else [model.default_method]:
            found[name + by] = model.calibration.scores(model.calibration.table(table), by)
    return found


def read(path: Path) -> Image.Image:
    """A picture in colour."""
    return Image.open(path).convert("RGB")


def noisy(pixels: np.ndarray) -> Image.Image:
    """A picture with white noise."""
    noise = np.random.default_rng(0).normal(0, 25, pixels.shape)
    return Image.fromarray((pixels + noise).round().clip(0, 255).astype(np.uint8))


def auroc(good: np.ndarray, bad: np.ndarray) -> float:
    """The share of pairs in which the bad one has the higher score."""
    labels = np.repeat([0, 1], [len(good), len(bad)])
    return round(float(roc_auc_score(labels, np.concatenate([good, bad]))), 4)


def print_rows(title: str, rows: dict[str, Row]) -> None:
    """A table in Markdown."""
    names = list(next(iter(rows.values())))
    print(f"\n| {title} | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{row[key]:.3f}' for key in names)} |")


if __name__ == "__main__":
    main()
