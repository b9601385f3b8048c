"""What the benchmarks measure with: a figure in docs/benchmarks.md is worth no more than that."""

from __future__ import annotations

import doctest
import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from vaetool import images

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture(scope="module")
def benchmarks():
    """Their folder, from which they import each other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(BENCHMARKS)
        yield BENCHMARKS


@pytest.fixture(scope="module")
def judge(benchmarks):
    return importlib.import_module("judge")


@pytest.fixture(scope="module")
def inpaint(benchmarks):
    return importlib.import_module("inpaint")


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's, enlarged to 28 x 28."""
    rows, labels = load_digits(return_X_y=True)
    pictures = np.rint(rows.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    return np.pad(pictures.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2))), labels


def test_the_examples_are_right(judge, inpaint):
    assert doctest.testmod(judge).failed == 0
    assert doctest.testmod(inpaint).failed == 0


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


def test_holes_take_the_share_they_may_and_depend_on_the_name_alone(inpaint):
    for kind, (_, least, most) in inpaint.KINDS.items():
        hole = inpaint.draw_mask(kind, "0001")
        assert least <= hole.mean() <= most
        assert np.array_equal(hole, inpaint.draw_mask(kind, "0001"))
        assert not np.array_equal(hole, inpaint.draw_mask(kind, "0002"))


def test_the_true_picture_has_all_the_energy_and_a_flat_hole_only_that_of_its_border(inpaint):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    hole = np.zeros((16, 16), bool)
    hole[4:12, 5:13] = True
    flat = np.where(hole[..., None], np.uint8(128), pixels)
    border = np.concatenate([pixels[[3, 12], 5:13].ravel(), pixels[4:12, [4, 13]].ravel()]).astype(float)
    assert inpaint.gradient_energy(flat, hole) == np.square(border - 128).sum()
    pairs = [pixels[3:13, 5:13], pixels[4:12, 4:14].transpose(1, 0, 2)]
    expected = sum(np.square(np.diff(pair.astype(float), axis=0)).sum() for pair in pairs)
    assert inpaint.gradient_energy(pixels, hole) == expected


def test_a_method_is_judged_inside_the_hole_and_refused_where_it_changes_anything_else(inpaint):
    pixels, hole = np.full((256, 256, 3), 100, np.uint8), inpaint.draw_mask("object", "0001")
    case = inpaint.Case("folder", "0001", "object", pixels, hole)
    found = inpaint.compare(np.where(hole[..., None], np.uint8(151), pixels), case)
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / 51))
    assert found["true energy"] == 0 < found["energy"]
    with pytest.raises(SystemExit, match="outside the hole"):
        inpaint.compare(pixels + np.uint8(1), case)


def test_a_gain_is_over_the_best_other_method_and_its_interval_is_of_pictures(inpaint):
    rng, cases, figures = np.random.default_rng(0), [], {name: [] for name in (inpaint.OURS, *inpaint.METHODS)}
    for picture in range(40):
        hard = rng.normal(20, 5)
        for kind in inpaint.KINDS:
            cases.append(
                inpaint.Case("folder", str(picture), kind, np.zeros((1, 1, 3), np.uint8), np.ones((1, 1), bool))
            )
            for name, rows in figures.items():
                psnr = hard + {inpaint.OURS: 2 + rng.normal(0, 0.1), "push-pull": 0}.get(name, -1)
                rows.append({"psnr": psnr, "ssim": 0.5, "energy": 1.0 + picture, "true energy": 2.0 + 2 * picture})
    found = inpaint.summary(cases, figures)["thick"]
    assert found["best other"] == "push-pull"
    assert found["gain"] == pytest.approx(2, abs=0.05)
    assert 0.02 <= found["gain interval"][1] - found["gain interval"][0] <= 0.12  # pictures differ by far more
    ours = found["methods"][inpaint.OURS]
    assert ours["psnr interval"][0] < ours["psnr"] < ours["psnr interval"][1]
    assert (ours["energy"], ours["energy interval"]) == (0.5, [0.5, 0.5])  # of sums, not of pictures


def test_a_codec_that_is_a_decibel_better_is_so_at_every_rate_that_both_reach(benchmarks):
    compress = importlib.import_module("compress")
    bpp, psnr = [0.1, 0.2, 0.5, 1.0], [28.0, 31.0, 35.0, 38.0]
    row = {"pictures": {name: {"bpp": bpp, "psnr": psnr} for name in "ab"}}
    better = {"pictures": {name: {"bpp": bpp[1:], "psnr": [value + 1 for value in psnr[1:]]} for name in "ab"}}
    assert list(compress.differences(row, row, "psnr", 0.1)) == [0, 0]
    assert list(compress.differences(row, better, "psnr", 0.1)) == []
    for rate in (0.2, 0.5, 1.0):
        assert list(compress.differences(row, better, "psnr", rate)) == pytest.approx([1, 1])


def test_steps_of_quality_are_means_in_decibels_and_their_extremes(benchmarks):
    compress_steps = importlib.import_module("compress_steps")
    pictures = {
        "a": {"bpp": [0.1, 0.2], "psnr": [30.0, 31.0], "ms_ssim": [0.9, 0.99]},
        "b": {"bpp": [0.3, 0.4], "psnr": [32.0, 35.0], "ms_ssim": [0.99, 0.999]},
    }
    first, second = compress_steps.steps({"qualities": [5, 10], "pictures": pictures})
    assert first == {"quality": 5, "bpp": 0.2, "psnr": 31.0, "ms_ssim_db": 15.0}
    step = second["step"]
    assert step["bpp_percent"] == 50
    assert step["psnr"] == 2
    assert step["ms_ssim_db"] == step["smallest"] == step["largest"] == 10


def test_the_sheet_shows_the_square_where_codecs_do_worst_at_no_more_bytes_than_asked_for(benchmarks, photographs):
    pytest.importorskip("skimage")
    compress_sheet = importlib.import_module("compress_sheet")
    values = np.random.default_rng(0).random((70, 90))
    values[30:40, 50:70] -= 3
    squares = np.lib.stride_tricks.sliding_window_view(values, (25, 25)).mean(axis=(2, 3))
    rows, columns = compress_sheet.worst_place(values, 25)
    assert (rows.start, columns.start) == np.unravel_index(squares.argmin(), squares.shape)
    assert compress_sheet.worst_place(values) == (slice(0, 70), slice(0, 90))

    larger, smaller = (compress_sheet.avif_within(photographs["china"], limit) for limit in (9000, 5000))
    assert 4500 < len(smaller) <= 5000
    assert 8000 < len(larger) <= 9000


@pytest.mark.slow
def test_the_benchmark_of_holes_fills_them_by_every_method_and_the_others_only_once(
    inpaint, tiny_mae, tmp_path, monkeypatch, capsys
):
    pytest.importorskip("cv2")
    pytest.importorskip("skimage")
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        pixels = np.random.default_rng(0).integers(0, 256, (260, 300, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    results, sheet, masks = tmp_path / "results.json", tmp_path / "sheet.png", tmp_path / "inpaint-masks"
    line = f"inpaint.py {tmp_path / 'photos'} --model {tiny_mae} --device cpu --json {results} --sheet {sheet}"
    monkeypatch.setattr(sys, "argv", line.split())
    inpaint.main()
    stored = json.loads(results.read_text())
    assert list(stored["rows"]["all"]) == list(inpaint.KINDS)
    assert all(list(row["methods"]) == [inpaint.OURS, *inpaint.METHODS] for row in stored["rows"]["all"].values())
    mask = images.read(masks / "photos" / "box" / "a.png").pixels
    assert np.array_equal(mask[:, :, 0], 255 * inpaint.draw_mask("box", "a"))
    assert images.read(sheet).pixels.shape == (2 * 274, 4 * 260, 3)
    assert "push-pull ..." in capsys.readouterr().out
    inpaint.main()
    assert json.loads(results.read_text())["rows"] == stored["rows"]
    assert "push-pull ..." not in capsys.readouterr().out


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
    gan, settings = tmp_path / "gan.safetensors", [*settings[:4], "training.steps=5"]
    train("gan", "torchvision:MNIST", output=gan, size=28, latent=8, settings=settings, root=tmp_path, device="cpu")
    vae = importlib.import_module("vae")
    for name, value in {"SAMPLES": 300, "MORPHS": 5}.items():
        monkeypatch.setattr(vae, name, value)
    monkeypatch.setattr(judge, "EPOCHS", 1)
    line = f"vae.py --root {tmp_path} --models digits --digits {model} --gan-digits {gan} --ae-minutes 0.02 --samples 3"
    line += " --images 50"
    monkeypatch.setattr(sys, "argv", [*line.split(), "--cache", str(tmp_path), "--json", str(results)])
    torch.manual_seed(0)
    vae.main()
    stored = json.loads(results.read_text())
    assert list(stored) == list(vae.SECTIONS)
    assert all(section["digits"]["rows"] for section in stored.values())
    assert stored["likelihood"]["digits"]["rows"][0]["IWAE bound, nats"] < 0
    assert "autoencoder, mixture" in capsys.readouterr().out


def test_flaws_are_drawn_from_the_name_and_cover_what_changes(benchmarks):
    draw = importlib.import_module("flaws").draw
    clean = np.full((96, 96, 3), 128, np.uint8)
    for kind in ("scratches", "dust", "date"):
        flawed, covered = draw(kind, "a", clean)
        assert np.array_equal(flawed, draw(kind, "a", clean)[0])
        assert not np.array_equal(flawed, draw(kind, "b", clean)[0])
        assert np.array_equal(flawed[covered == 0], clean[covered == 0])
        assert 0 < (covered > 0.5).mean() < 0.5


def test_the_family_is_measured_side_by_side(benchmarks, digits, write_mnist, tmp_path, monkeypatch, capsys):
    from vaetool import train

    pictures, labels = digits
    parts = {"train": slice(1500), "t10k": slice(1500, None)}
    write_mnist(tmp_path, "MNIST", {part: (pictures[rows], labels[rows]) for part, rows in parts.items()})
    settings = ["model.channels=1", "model.widths=[8,16]", "model.blocks=[0,0]", "model.size=28", "model.latent=8"]
    settings += ["training.steps=5", "training.batch=16", "training.validations=1"]
    for kind in ("vae", "gan"):
        path = tmp_path / f"digits-{kind}.safetensors"
        train(kind, "torchvision:MNIST", output=path, settings=settings, root=tmp_path, device="cpu")
    family = importlib.import_module("family")
    monkeypatch.setattr(family, "SAMPLES", 200)
    results = tmp_path / "results.json"
    line = f"family.py --data {tmp_path} --models {tmp_path} --sets digits --json {results}"
    monkeypatch.setattr(sys, "argv", [*line.split(), "--sheets", str(tmp_path / "sheets")])
    family.main()
    rows = {row["samples of"]: row for row in json.loads(results.read_text())["digits"]["rows"]}
    assert list(rows) == ["real pictures", "PCA, Gaussian", "PCA, mixture", "vae", "gan"]
    assert rows["real pictures"]["distance"] == min(row["distance"] for row in rows.values())
    assert min(rows["real pictures"][name] for name in ("precision", "recall")) > 0.5
    assert rows["real pictures"]["detail"] == pytest.approx(1, abs=0.1)
    assert len(list((tmp_path / "sheets").iterdir())) == 5
    assert "| gan |" in capsys.readouterr().out


def test_all_are_run_by_one_command(tmp_path):
    from benchmarks.__main__ import ARGUMENTS

    others = {"family", "specialise", "published_compress", "published_denoise"}
    stored = {path.stem for path in BENCHMARKS.glob("*.json")} - others
    assert {name.partition("-")[0] for name in ARGUMENTS} >= stored
    assert all((BENCHMARKS / f"{name.partition('-')[0]}.py").is_file() for name in ARGUMENTS)
    (tmp_path / "cbsd68").mkdir()
    call = [sys.executable, "-m", "benchmarks", tmp_path, "--only", "noisy_only"]
    result = subprocess.run(call, cwd=BENCHMARKS.parent, capture_output=True, text=True, timeout=120)
    assert result.stdout.startswith(f"noisy_only: left out, {tmp_path} has no photos-valid\n")
    assert result.returncode == 0
