"""What the benchmarks measure with: a figure in the README is worth no more than that."""

from __future__ import annotations

import doctest
import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def judge():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield importlib.import_module("judge")


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's, enlarged to 28 x 28."""
    rows, labels = load_digits(return_X_y=True)
    pictures = np.rint(rows.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return np.pad(pictures.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2))), labels


def normal(mean, covariance, count=4000, seed=0) -> np.ndarray:
    """Samples with exactly these moments."""
    samples = np.random.default_rng(seed).normal(size=(count, len(mean)))
    samples -= samples.mean(axis=0)
    samples = np.linalg.solve(np.linalg.cholesky(np.cov(samples, rowvar=False)), samples.T).T
    values, vectors = np.linalg.eigh(covariance)
    return samples @ (vectors * np.sqrt(values.clip(0))).T + mean


def test_the_examples_are_right(judge):
    assert doctest.testmod(judge).failed == 0


def test_frechet_distance_of_gaussians_that_share_axes_is_that_of_their_spreads(judge):
    a, b = normal([0, 0, 0], np.diag([1.0, 4.0, 9.0])), normal([1, 2, 2], np.diag([4.0, 4.0, 1.0]), seed=1)
    assert judge.frechet_distance(a, b) == pytest.approx(9 + 1 + 0 + 4)


def test_frechet_distance_is_that_of_the_root_of_the_product_of_covariances(judge):
    from scipy.linalg import sqrtm

    factors = np.random.default_rng(2).normal(size=(2, 5, 5))
    first, second = (factor @ factor.T for factor in factors)
    expected = np.trace(first) + np.trace(second) - 2 * np.trace(sqrtm(first @ second)).real
    assert judge.frechet_distance(normal(np.zeros(5), first), normal(np.zeros(5), second)) == pytest.approx(expected)


def test_frechet_distance_does_not_depend_on_the_order_and_is_zero_for_the_same(judge):
    a, b = (np.random.default_rng(seed).exponential(size=(300, 20)) for seed in (0, 1))
    assert judge.frechet_distance(a, b) == pytest.approx(judge.frechet_distance(b, a))
    assert judge.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_is_finite_where_covariances_have_no_full_rank(judge):
    rows = np.random.default_rng(0).normal(size=(50, 100)).astype(np.float32)  # fewer samples than features
    rows[:, :30] = 0  # features that are always off
    assert 0 <= judge.frechet_distance(rows, rows) < 1e-4
    assert judge.frechet_distance(rows, rows + 1) == pytest.approx(100, rel=1e-4)


def test_the_nearest_picture_is_found_and_a_copy_is_at_no_distance(judge):
    pictures = np.random.default_rng(0).integers(0, 256, (2500, 9, 9), np.uint8)
    queries = np.concatenate([pictures[[2400, 7]], pictures[:1100] ^ 1])
    found = judge.nearest_distances(queries, pictures)
    assert found[:2].tolist() == [0, 0]
    assert found[2:] == pytest.approx(9)  # each of 81 pixels is off by one


def test_a_judge_learns_digits_and_is_kept(judge, digits, tmp_path, monkeypatch):
    pictures, labels = digits
    training, test = (pictures[:1500], labels[:1500]), (pictures[1500:], labels[1500:])
    monkeypatch.setattr(judge, "EPOCHS", 4)
    first = judge.judge_for("digits", training, test, tmp_path)
    assert first.about["test accuracy"] > 0.6
    features = first.features(pictures[:5])
    assert features.shape == (5, judge.FEATURES)
    again = judge.judge_for("digits", None, None, tmp_path)
    assert np.array_equal(again.features(pictures[:5]), features)
    assert again.about == first.about


@pytest.mark.slow
def test_the_benchmark_of_vaes_fills_every_section(judge, digits, write_mnist, tmp_path, monkeypatch, capsys):
    import torch

    from vaetool import train

    pictures, labels = digits
    parts = {"train": slice(1500), "t10k": slice(1500, None)}
    write_mnist(tmp_path, "MNIST", {part: (pictures[rows], labels[rows]) for part, rows in parts.items()})
    model, results = tmp_path / "model.safetensors", tmp_path / "results.json"
    settings = ["model.channels=1", "model.widths=[8,16]", "model.blocks=[0,0]", "model.decoder_widths=[16,8]"]
    settings += ["model.likelihood=bernoulli", "corruption.binarise=true", "training.steps=20"]
    train("vae", "torchvision:MNIST", output=model, size=28, latent=8, settings=settings, root=tmp_path, device="cpu")
    vae = importlib.import_module("vae")
    for name, value in {"SAMPLES": 300, "MORPHS": 5}.items():
        monkeypatch.setattr(vae, name, value)
    monkeypatch.setattr(judge, "EPOCHS", 1)
    line = f"vae.py --root {tmp_path} --models digits --digits {model} --ae-minutes 0.02 --samples 3 --images 50"
    monkeypatch.setattr(sys, "argv", [*line.split(), "--cache", str(tmp_path), "--json", str(results)])
    torch.manual_seed(0)
    vae.main()
    stored = json.loads(results.read_text())
    assert list(stored) == list(vae.SECTIONS)
    assert all(section["digits"]["rows"] for section in stored.values())
    assert stored["likelihood"]["digits"]["rows"][0]["IWAE bound, nats"] < 0
    assert "autoencoder, mixture" in capsys.readouterr().out
