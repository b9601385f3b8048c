"""Figures in the README and on the page of measurements are those that the benchmarks stored."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
MEASUREMENTS = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def stored(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))


def row(text: str, beginning: str) -> list[str]:
    """Return the cells of the table row whose first cell begins so, without what makes them bold."""
    lines = text.replace("**", "").splitlines()
    [found] = [line for line in lines if line.startswith(f"| {beginning}")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def section(title: str) -> str:
    return re.split(r"(?m)^## ", MEASUREMENTS.split(f"## {title}\n")[1])[0]


def percents(cells: list[str]) -> list[float]:
    return [float(text.replace("−", "-")) for text in re.findall(r"([+−][\d.]+) %", " ".join(cells))]


ROUNDED = {"abs": 0.051}


@pytest.mark.parametrize(("name", "figures"), stored("denoise_real")["rows"].items())
def test_camera_noise(name, figures):
    psnr, ssim = (float(cell) for cell in row(section("Noise of cameras"), name)[1:3])
    assert psnr == figures["psnr"]
    assert ssim == pytest.approx(figures["ssim"], abs=0.00051)


@pytest.mark.parametrize(("name", "figures"), stored("denoise")["rows"].items())
def test_white_noise(name, figures):
    cells = row(section("White noise"), name)
    assert cells[1:4] == [f"{figures[f'sigma {sigma}']:.2f}" for sigma in (15, 25, 50)]


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        ("vaetool", "vaetool"),
        ("JPEG (", "JPEG"),
        ("WebP", "WebP"),
        ("JPEG XL", "JPEG XL"),
        ("AVIF (speed 4)", "AVIF"),
        ("AVIF (speed 4, 4:4:4)", "AVIF, 4:4:4"),
    ],
)
def test_rates(beginning, name):
    rates = stored("compress")["bd_rate"][name]
    wanted = [rates[peer][metric] for peer in ("WebP", "AVIF") if peer in rates for metric in ("psnr", "ms_ssim")]
    assert percents(row(section("Compression"), beginning)) == pytest.approx(wanted, **ROUNDED)


def test_key_figures_of_the_readme():
    real, white = stored("denoise_real")["rows"], stored("denoise")["rows"]
    rates = stored("compress")["bd_rate"]["vaetool"]
    cells = " ".join(row(README, "45 photos with real camera noise"))
    for name in ("vaetool", "noisy", "OpenCV non-local means, h 3", "BM3D, sigma 16"):
        assert f"{real[name]['psnr']:.2f} dB" in cells
    assert f"{white['photo-denoise-gaussian, blind']['sigma 25']:.2f} dB" in row(README, "white noise of sigma 25")[1]
    for metric, beginning in (("psnr", "bits at equal PSNR"), ("ms_ssim", "bits at equal MS-SSIM")):
        wanted = [rates[peer][metric] for peer in ("AVIF", "WebP", "JPEG")]
        assert percents(row(README, beginning)) == pytest.approx(wanted, **ROUNDED)
    for pack, beginning in (("casting", "defects on castings"), ("magnetic-tile", "defects on magnetic tiles")):
        by_score = {each["score"]: each["all"] for each in stored("defects")[f"features, {pack}, seed 0"]["rows"]}
        assert row(README, beginning)[1] == f"{by_score['vaetool, all']:.3f}".removeprefix("0")
    holes = stored("inpaint")["rows"]["all"]
    ours, best = zip(*(_holes(holes[kind]) for kind in ("thin", "medium", "thick")), strict=True)
    assert row(README, "holes")[1:] == [
        f"{', '.join(ours)} dB",
        f"the best of Telea, Navier-Stokes, biharmonic, push-pull: {', '.join(best)} dB",
    ]


def _holes(figures: dict[str, Any]) -> tuple[str, str]:
    """Return the PSNR of vaetool and of the best other method."""
    methods = figures["methods"]
    return f"{methods['vaetool']['psnr']:.2f}", f"{methods[figures['best other']]['psnr']:.2f}"


@pytest.mark.parametrize(("command", "figures"), stored("scale").items())
def test_what_a_million_and_a_billion_pictures_cost(command, figures):
    cells = row((ROOT / "docs/scale.md").read_text(encoding="utf-8"), f"`{command}`")
    hours = figures["seconds a file"] * 1e6 / 3600
    money = 0.04 * hours
    expected = [figures["seconds a file"], hours, hours / 8, money, hours / 24, 1000 * money]
    for cell, value, digits in zip(cells[1:], expected, (2, 0, 1, 0, 1, 0), strict=True):
        assert float(cell.removesuffix(" $").replace(",", "")) == pytest.approx(value, abs=0.51 * 10**-digits)


PAIRS = (ROOT / "docs/autoencoders.md").read_text(encoding="utf-8").split("## Pairs\n")[1]


@pytest.mark.parametrize(
    ("beginning", "modality", "name"),
    [
        ("labels of Fashion-MNIST, by", "labels", "vaetool"),
        ("the same, by a logistic", "labels", "logistic regression, same codes"),
        ("the same, on pixels", "labels", "logistic regression, pixels"),
        ("digits paired with clothes", "clothes", "vaetool"),
    ],
)
def test_wrong_labels_and_pairs(beginning, modality, name):
    figures = stored("pairs")[modality][name]
    wanted = [figures["auroc"], figures["precision_at_5_percent"]]
    assert [float(cell) for cell in row(PAIRS, beginning)[1:]] == pytest.approx(wanted, abs=0.00051)


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        ("a code for each", "vaetool"),
        ("one code for the picture", "one code for the picture"),
        ("the usual mask", "the usual mask"),
    ],
)
def test_masks_of_tiles(beginning, name):
    figures = stored("pairs")["tiles"][name]
    wanted = [figures[key] for key in ("iou", "mean_iou", "auroc_of_wrong_pairs") if key in figures]
    wanted += [figures["training"]["steps"]] if "training" in figures else []
    assert [float(cell) for cell in row(PAIRS, beginning)[1:] if cell] == pytest.approx(wanted, abs=0.00051)


def test_killed_workers_lose_nothing():
    found = stored("cluster")
    assert found["workers killed"] == 20
    assert found["the same bytes"] == found["results"] == found["files"] - 1  # one is damaged


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        ("reconstructions", "reconstructions"),
        ("vaetool, `gan`", "gan"),
        ("vaetool, `vae` (mixture", "vae, prior gmm"),
        ("vaetool, `vae`, N(0, I)", "vae, prior normal"),
        ("plain autoencoder, mixture", "autoencoder, mixture"),
        ("PCA of the same width, mixture", "PCA, mixture"),
    ],
)
def test_new_pictures(beginning, name):
    cells = row(section("New pictures"), beginning)[1:]
    for cell, samples in zip(cells, stored("vae")["samples"].values(), strict=True):
        [figures] = [each for each in samples["rows"] if each["pictures"] == name]
        distance, error, precision, recall = (figures[key] for key in ("distance", "±", "precision", "recall"))
        assert cell == f"{distance:.1f} ± {error:.1f}, {precision:.2f}, {recall:.2f}"


@pytest.mark.parametrize(
    ("beginning", "name"),
    [
        ("real pictures", "real pictures"),
        ("principal components, Gaussian", "PCA, Gaussian"),
        ("principal components, mixture", "PCA, mixture"),
        ("ae, mixture", "ae"),
        ("vae, bundled", "vae"),
        ("vae --adversarial", "adversary"),
        ("gan, bundled", "gan"),
    ],
)
def test_kinds_of_autoencoders_side_by_side(beginning, name):
    page = (ROOT / "docs/autoencoders.md").read_text(encoding="utf-8")
    cells = dict(zip(("digits", "fashion", "faces", "smiles"), row(page, beginning)[1:], strict=True))
    for data, cell in cells.items():
        rows = [each for each in stored("family")[data]["rows"] if each["samples of"] == name]
        wanted = ["{distance:.0f} / {precision:.2f} / {recall:.2f} / {detail:.2f}".format(**each) for each in rows]
        assert [cell] == (wanted or ["not measured"])
