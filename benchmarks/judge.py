"""An independent judge of pictures: a small classifier's features, and nearest neighbours in them.

The classifier is trained here, on labelled training pictures alone, and knows nothing of any model it judges. Pictures
are (pictures, 28, 28) uint8.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

FEATURES = 128
EPOCHS = 6
BATCH = 128
CHUNK = 1000  # pictures that are computed at once
SEED = 0


class Classifier(nn.Module):
    """Two convolutions, a layer of features, ten classes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 7 * 7, FEATURES), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(FEATURES, 10)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, 28, 28) in 0..1 → (batch, 10) log-odds."""
        return self.head(F.dropout(self.body(x), 0.3, self.training))


class Judge:
    """A trained classifier; `about` has its test accuracy and its training seconds."""

    def __init__(self, classifier: Classifier, about: dict[str, Any]) -> None:
        self.classifier = classifier.eval()
        self.about = about

    @torch.inference_mode()
    def features(self, pictures: np.ndarray) -> np.ndarray:
        """The last but one layer, (pictures, FEATURES) float32."""
        parts = [self.classifier.body(as_batch(part)) for part in chunks(pictures)]
        return torch.cat(parts).numpy()


def judge_for(name: str, training: Any, test: Any, cache: Path) -> Judge:
    """The judge of a data set, (pictures, labels) twice: from the cache, or trained for some minutes and kept there."""
    path = cache / f"judge-{name}.safetensors"
    classifier = Classifier()
    if path.exists():
        with safe_open(path, "pt") as file:
            classifier.load_state_dict({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
            return Judge(classifier, json.loads(file.metadata()["about"]))
    start = time.perf_counter()
    train(classifier, *training)
    about = {"test accuracy": accuracy(classifier, *test), "seconds": round(time.perf_counter() - start, 1)}
    cache.mkdir(parents=True, exist_ok=True)
    save_file(classifier.state_dict(), path, {"about": json.dumps(about)})
    return Judge(classifier, about)


def train(classifier: Classifier, pictures: np.ndarray, labels: np.ndarray) -> None:
    """Cross-entropy, Adam, with the learning rate falling to zero; deterministic."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        for layer in classifier.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.reset_parameters()
        steps = EPOCHS * (len(pictures) // BATCH)
        optimizer = torch.optim.Adam(classifier.parameters(), 2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        classifier.train()
        for _ in range(EPOCHS):
            order = torch.randperm(len(pictures)).numpy()
            for start in range(0, len(order) - BATCH + 1, BATCH):
                chosen = order[start : start + BATCH]
                loss = F.cross_entropy(classifier(as_batch(pictures[chosen])), torch.from_numpy(labels[chosen]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        classifier.eval()


@torch.inference_mode()
def accuracy(classifier: Classifier, pictures: np.ndarray, labels: np.ndarray) -> float:
    """Share of the pictures whose class is recognised."""
    found = torch.cat([classifier(as_batch(part)).argmax(dim=1) for part in chunks(pictures)])
    return round(float((found.numpy() == labels).mean()), 4)


def as_batch(pictures: np.ndarray) -> Tensor:
    return torch.from_numpy(pictures)[:, None].float() / 255


def chunks(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)]


@torch.inference_mode()
def nearest_distances(queries: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Euclidean distance of each row to the nearest of the others, (queries,); rows of any shape, as floats.

    >>> nearest_distances(np.array([[0, 0], [9, 5]]), np.array([[3, 4], [9, 6]])).tolist()
    [5.0, 1.0]
    """
    rows = torch.from_numpy(others.reshape(len(others), -1)).float()
    found = []
    for part in chunks(queries):
        rest = torch.from_numpy(part.reshape(len(part), -1)).float()
        nearest = torch.cdist(rest, rows).argmin(dim=1)  # by matrix products, which round; the distance itself is exact
        found.append((rest - rows[nearest]).norm(dim=1))
    return torch.cat(found).numpy()


def step_ratio(features: np.ndarray) -> float:
    """The largest step of a path, (frames, features), over its mean step; 1 is a uniform walk, 1 / share a jump.

    >>> step_ratio(np.array([[0.0], [1.0], [2.0], [5.0], [6.0]]))
    2.0
    """
    steps = np.array([np.linalg.norm(after - before) for before, after in pairwise(features)])
    return float(steps.max() / steps.mean())
