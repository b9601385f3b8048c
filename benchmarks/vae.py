"""What the bundled VAEs of MNIST (`digits`) and Fashion-MNIST (`fashion`) are worth, compared with simpler models.

    python benchmarks/vae.py --root FOLDER [--only SECTION ...] [--digits FILE] [--fashion FILE] [--json FILE]

The samples of the bundled GANs, `digits-gan` and `fashion-gan`, are judged with theirs.

FOLDER is torchvision's, with MNIST and FashionMNIST in it. Sections, each with a table of its own: likelihood, samples,
memory, morphs, codes, training. Test pictures are those of the data sets; models have seen training pictures alone.

Pictures of digits have grey levels, while the model only knows black and white. Likelihoods are of pixels drawn once,
white with their grey level as the probability, from a fixed seed: "dynamically binarised" MNIST. Samples are judged as
`vaetool sample` writes them, with probabilities as grey levels, against test pictures with their own grey levels.

The judge of samples is a small classifier that is trained here once (see judge.py). --cache keeps it, and also the
plain autoencoder that samples are compared with, which has the same trunk and trains for as long as the VAE did
(--ae-minutes for less, 0 to leave it out). --json adds the measured sections to the file.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import inspect
import json
import math
import time
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import torch
import torchvision.datasets
from judge import Judge, judge_for, nearest_distances, step_ratio
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vaetool
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.fidelity import frechet_distance, precision_and_recall
from vaetool.latents.interpolation import PATHS, chain
from vaetool.latents.likelihoods import bits_per_dim
from vaetool.latents.priors import fit_mixture
from vaetool.latents.sample import draw, sample
from vaetool.latents.trunk import TrunkConfig
from vaetool.store.weights import find, read_header, sha256
from vaetool.training.config import read_recipe

RECIPES = Path(__file__).resolve().parent.parent / "pretrained"
DATA = {"digits": "MNIST", "fashion": "FashionMNIST"}
SIZE = 28
SEED = 0
IMPORTANCE_SAMPLES = {"digits": 1000, "fashion": 100}
IMPORTANCE_BATCH = 128  # fastest on a CPU, whose caches it fits
SAMPLES = 10_000
RESAMPLES = 20
COMPARED = 5000  # samples and test pictures for precision and recall
MORPHS, FRAMES = 100, 24
Row = dict[str, Any]


def main() -> None:
    arguments = parse_arguments()
    subjects = [Subject(name, arguments) for name in arguments.models]
    results: dict[str, Any] = {}
    if arguments.json and arguments.json.exists():
        results = json.loads(arguments.json.read_text(encoding="utf-8"))
    for name in arguments.only:
        measured = {subject.name: measure(name, subject) for subject in subjects}
        print_section(name, measured)
        results.setdefault(name, {}).update(measured)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="torchvision's folder")
    parser.add_argument("--models", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    for name in DATA:
        parser.add_argument(f"--{name}", default=name, metavar="FILE", help="use this model instead of the bundled one")
        parser.add_argument(f"--gan-{name}", default=f"{name}-gan", metavar="FILE", help="the same for the GAN")
        parser.add_argument(f"--ae-{name}", type=Path, metavar="FILE", help="an autoencoder that is already trained")
    parser.add_argument("--ae-minutes", type=float, help="minutes for the autoencoder; by default the VAE's; 0: none")
    parser.add_argument("--samples", type=int, help=f"samples of the IWAE bound; by default {IMPORTANCE_SAMPLES}")
    parser.add_argument("--images", type=int, default=10_000, help="number of test pictures for likelihoods")
    parser.add_argument("--cache", type=Path, default=Path(platformdirs.user_cache_dir("vaetool")) / "benchmarks")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


class Subject:
    """A model, the pictures it knows and those it does not, and its judge."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name = name
        self.arguments = arguments
        self.path = find(getattr(arguments, name))
        self.header = read_header(self.path)
        self.model = vaetool.load(self.path, kind="vae", device=arguments.device)
        if (self.model.config.size, self.model.config.channels) != (SIZE, 1):
            raise SystemExit(f"{self.path}: is of other pictures than {SIZE} x {SIZE} greys")
        data = getattr(torchvision.datasets, DATA[name])
        self.training, self.test = (pictures_and_labels(data(arguments.root, train=part)) for part in (True, False))

    @functools.cached_property
    def judge(self) -> Judge:
        """See judge.py."""
        return judge_for(self.name, self.training, self.test, self.arguments.cache)

    @functools.cached_property
    def test_features(self) -> np.ndarray:
        """Features of the test pictures, by the judge."""
        return self.judge.features(self.test[0])

    @functools.cached_property
    def some_training_pictures(self) -> np.ndarray:
        """Random training pictures, as many as there are samples."""
        return np.random.default_rng(SEED).permutation(self.training[0])[:SAMPLES]

    @functools.cached_property
    def reconstructions(self) -> np.ndarray:
        """Test pictures, from codes drawn from their posteriors."""
        generator = torch.Generator(self.model.device).manual_seed(SEED)
        codes = [self.model.draw_codes(x, generator).cpu() for x in self.model.prepare_all(self.test[0])]
        return self.model.decode(torch.cat(codes).numpy())[..., 0]

    @functools.cached_property
    def samples(self) -> dict[str, np.ndarray]:
        """Pictures from each prior of the model, those of the default one first, and from the GAN."""
        priors = ["normal"] if self.model.mixture is None else ["normal", "gmm"]
        priors.sort(key=lambda prior: prior != draw(self.model, 1).prior)
        found = {f"vae, prior {prior}": sample(self.model, SAMPLES, prior=prior, seed=SEED) for prior in priors}
        gan = vaetool.load(getattr(self.arguments, f"gan_{self.name}"), kind="gan", device=self.arguments.device)
        found["gan"] = sample(gan, SAMPLES, seed=SEED)
        return {name: pictures[..., 0] for name, pictures in found.items()}

    @functools.cached_property
    def pca(self) -> PCA:
        """PCA with as many components as the model's codes have numbers."""
        return PCA(self.model.config.latent, svd_solver="covariance_eigh").fit(rows_of(self.training[0]))

    @functools.cached_property
    def autoencoder(self) -> Autoencoder | None:
        """The plain autoencoder for comparison, unless it is left out."""
        return trained_autoencoder(self)


def pictures_and_labels(data: Any) -> tuple[np.ndarray, np.ndarray]:
    return data.data.numpy(), data.targets.numpy()


def rows_of(pictures: np.ndarray) -> np.ndarray:
    """Each picture as a row of numbers in 0..1."""
    return pictures.reshape(len(pictures), -1).astype(np.float32) / 255


def pictures_of(rows: np.ndarray) -> np.ndarray:
    return np.rint(rows.reshape(-1, SIZE, SIZE) * 255).clip(0, 255).astype(np.uint8)


def rng() -> np.random.Generator:
    return np.random.default_rng(SEED)


# Likelihood


def likelihood(subject: Subject) -> list[Row]:
    """Log-likelihood of test pictures per picture, higher is better, and bits per dim; ± is one standard error."""
    model, name = subject.model, subject.name
    if model.config.likelihood == "gaussian" or (name == "digits") != (model.config.likelihood == "bernoulli"):
        raise SystemExit(f"{subject.path}: its likelihood, {model.config.likelihood}, is none of {DATA[name]}'s levels")
    x = torch.from_numpy(subject.test[0][: subject.arguments.images])[:, None].float() / 255
    if name == "digits":
        x = torch.bernoulli(x, generator=torch.Generator().manual_seed(SEED))
    count = subject.arguments.samples or IMPORTANCE_SAMPLES[name]
    elbo, bound = (importance_bound(model, x, samples) for samples in (1, count))
    bits = [bits_per_dim(torch.tensor(values.mean()), model.dims, False).item() for values in (elbo, bound)]
    return [
        {
            "pixels": "drawn, on or off" if name == "digits" else "256 levels",
            "pictures": len(x),
            "ELBO, nats": round(float(elbo.mean()), 3),
            "IWAE bound, nats": round(float(bound.mean()), 3),
            "±": round(float(bound.std() / math.sqrt(len(bound))), 3),
            "samples k": count,
            "ELBO, bits/dim": round(bits[0], 4),
            "IWAE, bits/dim": round(bits[1], 4),
        }
    ]


def importance_bound(model: Any, x: torch.Tensor, samples: int) -> np.ndarray:
    """The bound for every picture, in nats; says how long it will take."""
    generator = torch.Generator(model.device).manual_seed(SEED)
    found: list[np.ndarray] = []
    start = time.perf_counter()
    for part in x.split(IMPORTANCE_BATCH):
        found.append(model.iwae(part.to(model.device), samples, generator).cpu().numpy())
        minutes = (time.perf_counter() - start) * (len(x) / len(part) - 1) / 60
        if len(found) == 1 and minutes > 1:
            print(f"{samples} samples of {len(x)} pictures: about {minutes:.0f} minutes", flush=True)
    return np.concatenate(found)


# Samples


def samples(subject: Subject) -> list[Row]:
    """Fréchet distance of 10,000 pictures to the test pictures in the judge's features, lower is better.

    ± is one standard error, over resamples of both. Precision is the share of samples among the test pictures, recall
    that of test pictures among the samples, of half of both.

    The first two rows are floors: real pictures, and what the model makes of test pictures, which no density of its
    codes can be expected to better. Then vaetool's samples, those a VAE draws by default first, and its peers, whose
    codes are as wide as the VAE's and whose mixtures are fitted alike. `of the best peer` is relative to the best one's
    distance.
    """
    print(f"{subject.name}: the judge finds {subject.judge.about['test accuracy']:.2%} of the test pictures' classes")
    judged = {
        name: subject.judge.features(pictures)
        for name, pictures in {
            **floors(subject),
            **subject.samples,
            **peers(subject),
        }.items()
    }
    distances = {name: frechet_distance(found, subject.test_features) for name, found in judged.items()}
    shares = {
        name: precision_and_recall(subject.test_features[:COMPARED], found[:COMPARED]) for name, found in judged.items()
    }
    errors = {name: standard_error(found, subject.test_features) for name, found in judged.items()}
    best = min(distances[name] for name in distances if name not in {*floors(subject), *subject.samples})
    return [
        {
            "pictures": name,
            "distance": round(value, 2),
            "±": round(errors[name], 2),
            "of the best peer": round(value / best, 3),
            "precision": round(shares[name][0], 3),
            "recall": round(shares[name][1], 3),
        }
        for name, value in distances.items()
    ]


def standard_error(a: np.ndarray, b: np.ndarray) -> float:
    """Of the Fréchet distance of features, by the bootstrap."""
    generator = rng()

    def resampled(rows: np.ndarray) -> np.ndarray:
        return rows[generator.integers(len(rows), size=len(rows))]

    return float(np.std([frechet_distance(resampled(a), resampled(b)) for _ in range(RESAMPLES)], ddof=1))


def floors(subject: Subject) -> dict[str, np.ndarray]:
    """Pictures that samples can hardly be closer to the test pictures than."""
    return {"training pictures": subject.some_training_pictures, "reconstructions": subject.reconstructions}


def peers(subject: Subject) -> dict[str, np.ndarray]:
    """Pictures of simpler models with codes of the same width."""
    pca, pictures = subject.pca, subject.training[0]
    gaussian = rng().standard_normal((SAMPLES, pca.n_components_)) * np.sqrt(pca.explained_variance_)
    found = {
        "PCA, Gaussian": pictures_of(pca.inverse_transform(gaussian)),
        "PCA, mixture": pictures_of(pca.inverse_transform(drawn_like(pca.transform(rows_of(pictures))))),
    }
    if subject.autoencoder is not None:
        autoencoder = subject.autoencoder
        found["autoencoder, mixture"] = autoencoder.decode(drawn_like(autoencoder.encode(pictures)))[..., 0]
    return found


def drawn_like(codes: np.ndarray) -> np.ndarray:
    """New codes, from a mixture fitted to codes as vaetool fits its own."""
    return fit_mixture(codes, codes[:1], SEED).sample(SAMPLES, 1.0, rng())


def trained_autoencoder(subject: Subject) -> Autoencoder | None:
    """A plain autoencoder with the trunk of the VAE and its recipe: given, from the cache, or trained now."""
    arguments, header = subject.arguments, subject.header
    path = getattr(arguments, f"ae_{subject.name}")
    minutes = header.training["seconds"] / 60 if arguments.ae_minutes is None else arguments.ae_minutes
    if path is None and minutes:
        trunk = {field.name: header.config[field.name] for field in fields(TrunkConfig)} | {"mixture": 0}
        budget = {"minutes": float(minutes), "epochs": 0.0, "steps": 0}
        training = tomllib.loads((RECIPES / f"{subject.name}.toml").read_text(encoding="utf-8"))["training"] | budget
        recipe = read_recipe(kind="ae", model=trunk | {"directions": []}, training=training)
        path = arguments.cache / f"ae-{subject.name}-{fingerprint(recipe.as_dict())}.safetensors"
        if not path.exists():
            print(f"{subject.name}: training an autoencoder for {minutes:.1f} minutes", flush=True)
            place = f"torchvision:{DATA[subject.name]}"
            vaetool.train("ae", place, output=path, recipe=recipe, root=arguments.root, device=arguments.device)
    return path and vaetool.load(path, kind="ae", device=arguments.device)


def fingerprint(values: Row) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


# Memory


def memory(subject: Subject) -> list[Row]:
    """How far samples are from the nearest training picture, compared with test pictures: no less, if all is well.

    `closer` is the share of samples that are closer to one than 99 % of the test pictures are; by chance it is 1 %.
    """
    default = next(iter(subject.samples))
    spaces = {"pixels": rows_of, "the judge's features": subject.judge.features}
    rows = []
    for space, place in spaces.items():
        training = place(subject.training[0])
        theirs = nearest_distances(place(subject.test[0]), training)
        for name in (default, "gan"):
            ours = nearest_distances(place(subject.samples[name]), training)
            medians = [round(float(np.median(distances)), 3) for distances in (ours, theirs)]
            rows.append(
                {
                    "samples of": name,
                    "distance in": space,
                    "samples, median": medians[0],
                    "test pictures, median": medians[1],
                    "ratio": round(medians[0] / medians[1], 3),
                    "closer": round(float((ours < np.percentile(theirs, 1)).mean()), 4),
                }
            )
    return rows


# Morphs


def morphs(subject: Subject) -> list[Row]:
    """Largest over mean step in the judge's features, on 100 paths of 24 frames between test pictures; 1 is uniform.

    Slerp is what `vaetool morph` does; cross-fading mixes the pixels of the same two pictures.
    """
    model = subject.model
    pairs = rng().choice(len(subject.test[0]), (MORPHS, 2), replace=False)
    ends = subject.test[0][pairs]
    codes = model.encode(ends.reshape(-1, SIZE, SIZE)).reshape(MORPHS, 2, -1)
    mean, sigma = model.code_mean.cpu().numpy(), model.code_sigma.cpu().numpy()
    share = np.linspace(0, 1, FRAMES)[:, None, None]
    films = {
        name: [model.decode(chain(pair, FRAMES, way, mean, sigma))[..., 0] for pair in codes]
        for name, way in PATHS.items()
    }
    films["cross-fading"] = [pictures_of(((1 - share) * first + share * last) / 255) for first, last in ends]
    rows = []
    for name, pictures in films.items():
        ratios = [step_ratio(subject.judge.features(frames)) for frames in pictures]
        median, high = (round(float(np.percentile(ratios, percent)), 2) for percent in (50, 95))
        rows.append({"way": name, "median": median, "95th percentile": high})
    return rows


# Codes


def codes(subject: Subject) -> list[Row]:
    """Test accuracy of a linear classifier (logistic regression) on codes, all of the same width."""
    encoders: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "vaetool": subject.model.encode,
        "PCA": lambda pictures: subject.pca.transform(rows_of(pictures)),
    }
    if subject.autoencoder is not None:
        encoders["autoencoder"] = subject.autoencoder.encode
    rows = []
    for name, encode in encoders.items():
        classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        classifier.fit(encode(subject.training[0]), subject.training[1])
        accuracy = classifier.score(encode(subject.test[0]), subject.test[1])
        rows.append({"codes": name, "numbers": subject.model.config.latent, "accuracy": round(accuracy, 4)})
    return rows


# Training


def training(subject: Subject) -> list[Row]:
    """Cost of the training, according to the model file."""
    about = subject.header.training
    return [
        {
            "seconds": about["seconds"],
            "steps": about["steps"],
            "pictures": about["images"],
            "began with": about["init"] or "nothing",
            "parameters": subject.header.parameters(),
            "megabytes": round(subject.header.bytes / 1e6, 2),
        }
    ]


SECTIONS: dict[str, Callable[[Subject], list[Row]]] = {
    section.__name__: section for section in (likelihood, samples, memory, morphs, codes, training)
}


def measure(name: str, subject: Subject) -> Row:
    """The rows of a section, with the model file they were measured with."""
    start = time.perf_counter()
    rows = SECTIONS[name](subject)
    weights = {"model": subject.path.name, "sha256": sha256(subject.path)[:16]}
    return {**weights, "seconds": round(time.perf_counter() - start, 1), "rows": rows}


def print_section(name: str, measured: dict[str, Row]) -> None:
    """As in docs/benchmarks.md."""
    columns = list(next(iter(measured.values()))["rows"][0])
    print(f"\n## {name}\n\n{inspect.getdoc(SECTIONS[name])}\n")
    print("| model | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for model, result in measured.items():
        for row in result["rows"]:
            print(f"| {model} | " + " | ".join(str(row[column]) for column in columns) + " |")
    print("\n" + ", ".join(f"{model}: {result['seconds']:.0f} s" for model, result in measured.items()), flush=True)


if __name__ == "__main__":
    main()
