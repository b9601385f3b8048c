"""AE, VAE, VAE with an adversary, and GAN side by side: how real their samples look, and how much of what is real.

    python benchmarks/family.py --data FOLDER [--models FOLDER] [--sets SET ...] [--sheets FOLDER] [--json FILE]

Data: the folders MNIST and FashionMNIST of torchvision (the sets digits and fashion), `faces` and `smiles`. Models:
SET-KIND.safetensors, where KIND is ae, vae, adversary or gan, or else the bundled one; where there is neither, the kind
is left out. Each set has a floor, real pictures beside other real ones, and two simpler models, principal components of
as many numbers as the VAE's code has, with one Gaussian and with a mixture as the density.

Fréchet distance, precision and recall (Kynkäänniemi et al. 2019, 3 neighbours) are of samples against test pictures, of
faces and smiles against half of all, which models have seen. Features are of EfficientNet-Lite0 (see
`vaetool.latents.fidelity`): no model was trained on them, but of a GAN's weights the best by them were kept, on other
pictures. `detail` is the mean squared difference of neighbouring pixels over that of real pictures: below 1 for blur.
--sheets writes samples of each as a picture. --json adds the sets to the file.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision.datasets
from PIL import Image
from sklearn.decomposition import PCA

import vaetool
from vaetool.images import sources
from vaetool.latents.fidelity import features, frechet_distance, precision_and_recall
from vaetool.latents.priors import fit_mixture
from vaetool.latents.sample import sample, sheet
from vaetool.store.catalogue import bundled_folder
from vaetool.store.weights import read_header, sha256

DATA = {"digits": "MNIST", "fashion": "FashionMNIST"}
FACES = ("faces", "smiles")
KINDS = ("ae", "vae", "adversary", "gan")
SAMPLES = 5000
SHOWN = 64
SEED = 0
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--sets", nargs="+", choices=[*DATA, *FACES], default=[*DATA, *FACES])
    parser.add_argument("--temperature", type=float, default=1.0, help="of the samples of the models")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    results = (
        json.loads(arguments.json.read_text(encoding="utf-8")) if arguments.json and arguments.json.exists() else {}
    )
    for name in arguments.sets:
        results[name] = measure(name, arguments)
        show(name, results[name])
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def read(name: str, arguments: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Pictures to learn from and to compare with, (pictures, size, size, channels) uint8."""
    if name in DATA:
        data = [getattr(torchvision.datasets, DATA[name])(arguments.data, train=part) for part in (True, False)]
        training, test = (part.data.numpy()[..., None] for part in data)
        return training, test[:SAMPLES]
    faces = np.stack([source.read() for source in sources.find_sources([arguments.data / name])])
    faces = faces[np.random.default_rng(SEED).permutation(len(faces))]
    return faces, faces[::2]


def measure(name: str, arguments: argparse.Namespace) -> Row:
    """The rows of a set, with the model files they were measured with."""
    start = time.perf_counter()
    training, test = read(name, arguments)
    count = len(test)
    models = {kind: path for kind in KINDS if (path := model_file(name, kind, arguments.models))}
    others = training[1::2][:count]  # of faces, the other half
    latent = vaetool.load(models["vae"], device="cpu").config.latent if "vae" in models else 64
    drawn = {"real pictures": others, **simpler(training, latent, count)}
    for kind, path in models.items():
        drawn[kind] = sample(vaetool.load(path, device="cpu"), count, temperature=arguments.temperature, seed=SEED)
    real, detail = judged(test), energy(test)
    rows = []
    for what, pictures in drawn.items():
        found = judged(pictures)
        precision, recall = precision_and_recall(real, found)
        rows.append(
            {
                "samples of": what,
                "distance": round(frechet_distance(real, found), 2),
                "precision": round(precision, 3),
                "recall": round(recall, 3),
                "detail": round(energy(pictures) / detail, 3),
            }
        )
        if arguments.sheets:
            picture = sheet(pictures[:SHOWN])
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            path = arguments.sheets / f"{name}-{what.replace(' ', '-').replace(',', '')}.png"
            Image.fromarray(picture if picture.shape[2] == 3 else picture[..., 0]).save(path)
    about = {kind: model_facts(path) for kind, path in models.items()}
    return {"pictures": count, "seconds": round(time.perf_counter() - start, 1), "models": about, "rows": rows}


def model_file(name: str, kind: str, folder: Path | None) -> Path | None:
    """The model of a kind and a set: in the folder, or bundled."""
    if folder and (path := folder / f"{name}-{kind}.safetensors").exists():
        return path
    bundled = name if kind == "vae" else f"{name}-{kind}"
    path = bundled_folder() / f"{bundled}.safetensors"
    return path if path.exists() else None


def judged(pictures: np.ndarray) -> np.ndarray:
    """Features of pictures."""
    return features(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)


def model_facts(path: Path) -> Row:
    """What a model file is, and what it took."""
    header = read_header(path)
    facts = {key: header.training[key] for key in ("seconds", "steps", "init") if header.training.get(key)}
    return {"sha256": sha256(path)[:16], "weights": header.parameters(), "latent": header.config["latent"], **facts}


def simpler(training: np.ndarray, latent: int, count: int) -> dict[str, np.ndarray]:
    """Pictures of principal components, drawn from one Gaussian and from a mixture."""
    rows = training.reshape(len(training), -1).astype(np.float32) / 255
    pca = PCA(latent, svd_solver="randomized", random_state=SEED).fit(rows)
    normal = np.random.default_rng(SEED).standard_normal((count, latent)) * np.sqrt(pca.explained_variance_)
    codes = pca.transform(rows[:SAMPLES])
    mixed = fit_mixture(codes, codes, SEED).sample(count, 1.0, np.random.default_rng(SEED))

    def pictures(codes: np.ndarray) -> np.ndarray:
        back = pca.inverse_transform(codes).reshape(-1, *training.shape[1:])
        return np.rint(back * 255).clip(0, 255).astype(np.uint8)

    return {"PCA, Gaussian": pictures(normal), "PCA, mixture": pictures(mixed)}


def energy(pictures: np.ndarray) -> float:
    """The mean squared difference of neighbouring pixels."""
    x = pictures[:SAMPLES].astype(np.float32)
    return float(sum(np.square(np.diff(x, axis=axis)).mean() for axis in (1, 2)))


def show(name: str, result: Row) -> None:
    columns = list(result["rows"][0])
    print(f"\n{name}, {result['pictures']} pictures, {result['seconds']:.0f} s\n")
    print("| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in result["rows"]:
        print("| " + " | ".join(str(row[column]) for column in columns) + " |", flush=True)


if __name__ == "__main__":
    main()
