"""How well `vaetool score` finds outliers with the bundled VAEs of MNIST (`digits`) and Fashion-MNIST (`fashion`).

    python benchmarks/score.py --root FOLDER [--pictures 1000] [--slow 200] [--json FILE] [--picture docs/elbo.png]

FOLDER is torchvision's, with MNIST and FashionMNIST in it. Models have seen training pictures alone. The first test
pictures are scored; the last thousand are for calibration. Outliers are the test pictures of the other set, the same
pictures inverted, turned, mirrored or blurred, and synthetic ones. --slow: number of pictures for the slow methods.

False alarms: all components of 3,000 test pictures are computed once, and divided at random 200 times into 1,000 for
calibration and 2,000 that are scored. --picture: a plot of the ELBO and of the default score of both sets.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torchvision.datasets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter
from sklearn.metrics import roc_auc_score

import vaetool
from vaetool.scoring import detection
from vaetool.scoring.calibration import Calibration, false_alarm_bound, false_alarm_rate
from vaetool.scoring.measurement import measure

DATA = {"fashion": "FashionMNIST", "digits": "MNIST"}
CALIBRATING = slice(-1000, None)
SPLITS, KNOWN, NEW = 200, 1000, 2000
ALPHAS = (0.01, 0.05, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=200)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    sets = {name: test_pictures(arguments.root, data) for name, data in DATA.items()}
    results: dict[str, Any] = {}
    for name, other in (("fashion", "digits"), ("digits", "fashion")):
        print(f"\n## {name}", flush=True)
        model = vaetool.load(name, device=arguments.device)
        detection.calibrate(model, list(sets[name][CALIBRATING]))
        usual = sets[name][: arguments.pictures]
        strange = {DATA[other]: sets[other][: arguments.pictures], **changed(usual), **drawn(len(usual))}
        results[name] = {
            "auroc": areas(model, usual, strange, arguments.slow),
            "false alarms": false_alarms(model, sets[name][: KNOWN + NEW]),
            "pictures per second": round(speed(model, usual), 1),
        }
        if arguments.picture and name == "fashion":
            draw(arguments.picture, model, {DATA[name]: usual, DATA[other]: strange[DATA[other]]})
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


def test_pictures(root: Path, name: str) -> np.ndarray:
    """(10000, 28, 28) uint8."""
    return getattr(torchvision.datasets, name)(root=str(root), train=False).data.numpy()


def changed(pictures: np.ndarray) -> dict[str, np.ndarray]:
    """The same pictures, transformed."""

    def blurred(sigma: float) -> np.ndarray:
        return np.rint(gaussian_filter(pictures.astype(float), (0, sigma, sigma))).astype(np.uint8)

    turned = {f"turned by {90 * turns}°": np.rot90(pictures, turns, (1, 2)).copy() for turns in (1, 2)}
    mirrored = {"mirrored": pictures[:, :, ::-1].copy(), "upside down": pictures[:, ::-1].copy()}
    soft = {"blurred, 1 pixel": blurred(1), "blurred, 2 pixels": blurred(2)}
    return {"inverted": 255 - pictures, **turned, **mirrored, **soft}


def drawn(count: int) -> dict[str, np.ndarray]:
    """Plain pictures of any grey, and noise."""
    rng = np.random.default_rng(0)
    plain = rng.integers(0, 256, (count, 1, 1), np.uint8) * np.ones((1, 28, 28), np.uint8)
    return {"constant": plain, "noise": rng.integers(0, 256, (count, 28, 28), np.uint8)}


def areas(model: Any, usual: np.ndarray, strange: dict[str, np.ndarray], slow: int) -> dict[str, dict[str, float]]:
    """Area under the ROC curve, by method, for each kind of outlier."""
    calibration = model.calibration
    sets = {"usual": usual, **strange}
    quick = {name: calibration.table(components(model, pictures)) for name, pictures in sets.items()}
    found: dict[str, dict[str, float]] = {name: {} for name in strange}
    for by in model.methods:
        tables = quick
        if by in model.slow_methods:
            tables = {name: calibration.table(components(model, part[:slow], by)) for name, part in sets.items()}
        scores = {name: calibration.scores(table, by) for name, table in tables.items()}
        for name in strange:
            labels = np.repeat([0, 1], [len(scores["usual"]), len(scores[name])])
            found[name][by] = round(float(roc_auc_score(labels, np.append(scores["usual"], scores[name]))), 4)
    print_table("AUROC by method", found)
    return found


def components(model: Any, pictures: np.ndarray, by: str = "typical") -> dict[str, np.ndarray]:
    """Components by name, (pictures,) each."""
    parts = list(measure(model, list(pictures), by))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def false_alarms(model: Any, pictures: np.ndarray) -> dict[str, dict[str, float]]:
    """The share of good pictures that is called outliers, over random splits, and its theoretical distribution."""
    found = components(model, pictures)
    table = np.stack(list(found.values()), axis=1).astype(np.float64)
    rates, rng = [], np.random.default_rng(0)
    for _ in range(SPLITS):
        order = rng.permutation(len(table))
        known = Calibration(tuple(found), table[order[:KNOWN]])
        p = known.p_values(known.scores(table[order[KNOWN:]], "typical"), "typical")
        rates.append([np.mean(p <= alpha) for alpha in ALPHAS])
    count = known.count("typical")
    summary = {
        f"alpha {alpha:g}": {
            "mean": round(float(np.mean(values)), 4),
            "mean by law": round(false_alarm_rate(alpha, count), 4),
            "95 % under": round(float(np.quantile(values, 0.95)), 4),
            "95 % under, by law": round(false_alarm_bound(alpha, count), 4),
        }
        for alpha, values in zip(ALPHAS, np.transpose(rates), strict=True)
    }
    print_table("false alarms over 200 splits", summary)
    return summary


def speed(model: Any, pictures: np.ndarray) -> float:
    """Pictures per second, with the default score."""
    start = time.perf_counter()
    for _ in detection.score(model, list(pictures)):
        pass
    rate = len(pictures) / (time.perf_counter() - start)
    print(f"\n{rate:.0f} pictures per second", flush=True)
    return rate


def print_table(title: str, rows: dict[str, dict[str, float]]) -> None:
    """As in docs/benchmarks.md."""
    columns = list(next(iter(rows.values())))
    print(f"\n| {title} | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{row[column]:.3f}" for column in columns) + " |", flush=True)


def draw(path: Path, model: Any, sets: dict[str, Iterable[np.ndarray]]) -> None:
    """Histograms: the ELBO, the length in a lossless code, and the default score."""
    found = {name: list(detection.score(model, pictures)) for name, pictures in sets.items()}
    figure = Figure((11, 3), layout="constrained")
    FigureCanvasAgg(figure)
    panels = {
        "ELBO, nats": [[one.components["elbo"] for one in scores] for scores in found.values()],
        "lossless code, bits per pixel": [[one.components["bits"] for one in scores] for scores in found.values()],
        "score by default, nats": [[min(one.score, 60) for one in scores] for scores in found.values()],
    }
    for axes, (title, values) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        axes.hist(values, bins=50, histtype="stepfilled", alpha=0.6, label=list(found), density=True)
        axes.set(xlabel=title, yticks=[])
        axes.locator_params(axis="x", nbins=6)
    figure.axes[0].legend()
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
