"""Telling one class of MNIST or Fashion-MNIST from the nine others, after training on that class alone.

    python benchmarks/one_class.py --root FOLDER [--minutes 0.7] [--only MNIST] [--classes 0 1 ...] [--json FILE]

FOLDER is torchvision's, with MNIST and FashionMNIST in it. For each class, a small VAE is trained on its training
pictures for so many minutes; a thousand of them are set aside for calibration. All 10,000 test pictures are then
scored: AUROC of the other classes against this one, by the default score, the ELBO and the reconstruction, and by peers
from scikit-learn that are fitted to all training pictures of the class. No picture of another class is used in
training, and no setting is chosen by class. --json replaces the entries of the data sets that are measured.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
import torchvision.datasets
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.svm import OneClassSVM

import vaetool
from vaetool.scoring.measurement import measure
from vaetool.store import weights
from vaetool.training.config import read_recipe

DATA = ("MNIST", "FashionMNIST")
METHODS = ("typical", "elbo", "recon")
LATENT = 32
"""Numbers in a code of the VAE and of PCA."""

NETWORK = {
    "channels": 1,
    "size": 28,
    "latent": LATENT,
    "widths": [16, 32, 64],
    "blocks": [0, 1, 1],
    "decoder_widths": [32, 16, 8],
    "likelihood": "gaussian",  # a trial with the threes of MNIST found logistic to be worse
}
TRAINING = {"batch": 64, "optimizer": "muon", "lr": 2e-3, "warmup_steps": 200, "constant": 0.3}
SVM_VARIANCE, SVM_NU = 0.95, 0.1
"""Share of the variance that its PCA keeps, and of training pictures that may lie outside (as in Ruff et al. 2018)."""

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="torchvision's folder")
    parser.add_argument("--minutes", type=float, default=0.7, help="training minutes for each class")
    parser.add_argument("--only", nargs="+", choices=DATA, default=DATA)
    parser.add_argument("--classes", nargs="+", type=int, choices=range(10), default=range(10), metavar="CLASS")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    for name in arguments.only:
        start = time.perf_counter()
        training, test = (getattr(torchvision.datasets, name)(arguments.root, train=part) for part in (True, False))
        rows = [one_class(training, test, label, arguments.minutes) for label in arguments.classes]
        found = {"mean": mean_of(rows), "classes": rows, "minutes": arguments.minutes}
        found |= {"threads": torch.get_num_threads(), "seconds": round(time.perf_counter() - start, 1)}
        print_figures(name, found)
        if arguments.json:
            add_to(arguments.json, name, found)


def one_class(training: Any, test: Any, label: int, minutes: float) -> Row:
    """AUROC of test pictures of other classes against those of one, by every score."""
    good = training.data[training.targets == label].numpy()
    tested, others = test.data.numpy(), (test.targets != label).numpy()
    ours, about = vae_scores(good, tested, minutes)
    scores = {**ours, **peer_scores(rows_of(good), rows_of(tested))}
    auroc = {name: round(float(roc_auc_score(others, values)), 4) for name, values in scores.items()}
    print(f"{label} {training.classes[label]}: {auroc}", flush=True)
    return {"class": training.classes[label], "auroc": auroc, "training": about}


def vae_scores(good: np.ndarray, tested: np.ndarray, minutes: float) -> tuple[dict[str, np.ndarray], Row]:
    """Scores of test pictures by a VAE of the good ones, both (pictures, 28, 28) uint8; and how long it trained."""
    recipe = read_recipe(
        kind="vae", model=NETWORK, corruption={"warmup": 0.05}, training={**TRAINING, "minutes": minutes}
    )
    with TemporaryDirectory() as folder:
        pictures, path = Path(folder, "good"), Path(folder, "model.safetensors")
        pictures.mkdir()
        for number, picture in enumerate(good):
            Image.fromarray(picture).save(pictures / f"{number:05d}.png")
        vaetool.train(data=pictures, output=path, recipe=recipe)
        model, about = vaetool.load(path, kind="vae"), weights.read_header(path).training
    calibration = model.calibration
    assert calibration is not None
    table = np.concatenate([calibration.table(found) for found in measure(model, list(tested), "typical")])
    scores = {f"vaetool, {method}": calibration.scores(table, method) for method in METHODS}
    return scores, {name: about[name] for name in ("seconds", "steps", "images")}


def peer_scores(good: np.ndarray, tested: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of test pictures by peers fitted to the good ones, both as rows; higher for the more unusual."""
    pca = PCA(LATENT, svd_solver="covariance_eigh").fit(good)
    rest = tested - pca.inverse_transform(pca.transform(tested))
    forest = IsolationForest(random_state=0).fit(good)
    svm = make_pipeline(PCA(SVM_VARIANCE, svd_solver="covariance_eigh"), OneClassSVM(nu=SVM_NU)).fit(good)
    return {
        "PCA error": np.square(rest).mean(axis=1),
        "isolation forest": -forest.score_samples(tested),
        "one-class SVM": -svm.score_samples(tested),
    }


def rows_of(pictures: np.ndarray) -> np.ndarray:
    """Each picture as a row of numbers in 0..1."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255


def mean_of(rows: list[Row]) -> dict[str, float]:
    """AUROC by score, averaged over classes."""
    return {name: round(float(np.mean([row["auroc"][name] for row in rows])), 4) for name in rows[0]["auroc"]}


def print_figures(name: str, found: Row) -> None:
    """As in the documentation."""
    print(f"\n| {name} | " + " | ".join(found["mean"]) + " |")
    print("|---|" + "---|" * len(found["mean"]))
    for row in [{"class": "mean", "auroc": found["mean"]}, *found["classes"]]:
        print(f"| {row['class']} | " + " | ".join(f"{value:.3f}" for value in row["auroc"].values()) + " |")
    print(f"\n{found['seconds']:.0f} s on {found['threads']} threads\n", flush=True)


def add_to(path: Path, name: str, found: Row) -> None:
    """Keep what the file holds for the other data set."""
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.write_text(json.dumps({**results, name: found}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
