"""Defects by deep features, fitted to good pictures in closed form."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vaetool
from vaetool.errors import UsageError
from vaetool.images.conversion import squeezed
from vaetool.images.sources import Contents, find_sources
from vaetool.scoring.detection import learn
from vaetool.scoring.drawn import Defects
from vaetool.scoring.features import Features, FeaturesConfig
from vaetool.scoring.places import NOISE, PRIOR_IMAGES, fit_code, fit_places
from vaetool.store import weights
from vaetool.training import cache
from vaetool.training.data import DataConfig, PixelStore, load_store

SIZE = 128


def part(rng: np.random.Generator) -> np.ndarray:
    """A grey plate with a bright ring, which lies in about the same place every time: (80, 96, 3)."""
    y, x = np.mgrid[:80, :96]
    radius = np.hypot(y - 40 + rng.normal(), x - 48 + rng.normal())
    pixels = 100 + 90 * np.exp(-(((radius - 22) / 5) ** 2)) + rng.normal(0, 3, radius.shape) + rng.normal(0, 4)
    return np.repeat(pixels.clip(0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def broken(pixels: np.ndarray) -> np.ndarray:
    """The same with a gap in the ring."""
    changed = pixels.copy()
    changed[10:26, 40:56] = 100
    return changed


def parts(count: int, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [part(rng) for _ in range(count)]


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for number, pixels in enumerate(parts(60, 0)):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def few(good, tmp_path_factory) -> Path:
    """Some of the good parts: a fit to them takes little time."""
    folder = tmp_path_factory.mktemp("few")
    for path in sorted(good.iterdir())[:24]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def file(good, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("model") / "part.safetensors"
    vaetool.train("features", good, output=path, settings=(f"model.size={SIZE}",), device="cpu")
    return path


@pytest.fixture(scope="module")
def model(file) -> Features:
    return weights.load(file, device="cpu")


def test_defects_are_outliers_and_good_pictures_are_not(model):
    new, bad = parts(30, 1), [broken(pixels) for pixels in parts(30, 2)]
    verdicts = [[score.outlier for score in vaetool.score(images, model=model)] for images in (new, bad)]
    assert sum(verdicts[0]) <= 5
    assert sum(verdicts[1]) >= 28


def test_a_heatmap_is_hot_where_the_defect_is(model):
    (score,) = vaetool.score([broken(parts(1, 3)[0])], model=model, maps=True)
    assert score.heat.shape == (SIZE, SIZE)
    rows, columns = (
        slice(start * SIZE // length, end * SIZE // length) for start, end, length in ((10, 26, 80), (40, 56, 96))
    )
    assert score.heat[rows, columns].mean() > 2 * np.median(score.heat) + 1


def test_one_pass_gives_scores_and_maps(model):
    x = torch.stack([model.prepare(pixels) for pixels in parts(3, 4)])
    components, maps = model.components_and_maps(x)
    assert torch.equal(maps, model.maps(x))
    assert all(torch.equal(values, components[name]) for name, values in model.components(x, torch.Generator()).items())


def test_a_score_does_not_depend_on_the_batch(model):
    images = parts(5, 5)
    together = [score.score for score in vaetool.score(images, model=model)]
    assert together == pytest.approx([vaetool.score([image], model=model)[0].score for image in images], abs=1e-4)


def test_what_is_saved_scores_as_before(file, good, tmp_path):
    model = Features(FeaturesConfig(size=SIZE))
    model.fit(stored(good, SIZE))
    weights.save(tmp_path / "again.safetensors", model, {})
    loaded = weights.load(tmp_path / "again.safetensors", device="cpu")
    x = torch.stack([model.prepare(pixels) for pixels in parts(3, 6)])
    assert torch.equal(model.components(x, torch.Generator())["all"], loaded.components(x, torch.Generator())["all"])
    assert (tmp_path / "again.safetensors").stat().st_size < 20e6


def stored(folder: Path, size: int) -> PixelStore:
    return load_store(find_sources([folder]), DataConfig(), size, whole=lambda source: squeezed(source.read(), size, 3))


def test_the_energy_of_a_place_is_that_of_its_gaussian(good):
    """Against the formula: the squared Mahalanobis distance per feature, by a plain inverse of the covariance."""
    x = torch.randn((200, 4, 6), generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7) / 6
    fitted = fit_places(x, torch.zeros(200, 0), 200)
    covariances = torch.stack([torch.cov(x[:, place].T) for place in range(4)])
    weight = PRIOR_IMAGES / (PRIOR_IMAGES + 200)
    covariances = (1 - weight) * covariances + weight * covariances.mean(dim=0) + NOISE * torch.eye(6)
    energy = fitted.energy(x[:9], torch.zeros(9, 0))
    for place in range(4):
        away = x[:9, place] - x[:, place].mean(dim=0)
        expected = (away @ torch.linalg.inv(covariances[place]) * away).sum(dim=1) / 6
        assert torch.allclose(energy[:, place], expected, rtol=1e-3)


def test_what_all_places_have_in_common_is_explained_by_the_code():
    generator = torch.Generator().manual_seed(0)
    light = torch.randn((300, 1), generator=generator)
    x = light[:, :, None] + 0.1 * torch.randn((300, 7, 5), generator=generator)
    code = fit_code(torch.cat([light, light], dim=1) + 0.01 * torch.randn((300, 2), generator=generator), 1)
    codes = code(torch.cat([light, light], dim=1))
    assert codes.std().item() == pytest.approx(1, abs=0.05)
    brighter = x[:5] + 1
    with_code = fit_places(x, codes, 300).energy(brighter, codes[:5])
    without = fit_places(x, codes[:, :0], 300).energy(brighter, codes[:5, :0])
    assert with_code.mean() > 5 * without.mean()


def test_textures_are_told_from_parts(few, photographs, tmp_path):
    rng = np.random.default_rng(0)
    photo = np.asarray(photographs["flower"].resize((640, 427)))
    for number in range(24):
        top, left = rng.integers(0, photo.shape[0] - 256), rng.integers(0, photo.shape[1] - 256)
        Image.fromarray(photo[top : top + 256, left : left + 256]).save(tmp_path / f"{number}.png")
    for folder, found in ((few, "differ"), (tmp_path, "alike")):
        model = Features(FeaturesConfig(copies=()))
        words = model.fit(stored(folder, 256))
        assert model.config.places == found, words
        assert ("depends on the place" in words) == (found == "differ")


def test_what_you_say_of_places_counts(good):
    model = Features(FeaturesConfig(size=SIZE, places="alike", copies=()))
    model.fit(stored(good, SIZE))
    assert (model.config.places, model.config.copies, len(model.whitening_0)) == ("alike", (), 1)


@pytest.mark.parametrize("count", [12, 40])
def test_few_pictures_are_calibrated_in_folds(count, tmp_path):
    folder = tmp_path / "good"
    folder.mkdir()
    for number, pixels in enumerate(parts(count + 1, 0)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    path = tmp_path / "part.safetensors"
    vaetool.train("features", folder, output=path, settings=(f"model.size={SIZE}",), device="cpu")
    model = weights.load(path, device="cpu")
    assert model.calibration.count("all") == count
    p = [score.p_value for score in vaetool.score(parts(20, 1), model=model, alpha=0.1)]
    assert min(p) >= 1 / (count + 1)
    assert np.median(p) > 0.2


def few_parts(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number, pixels in enumerate(parts(count, 0)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_two_pictures_give_scores_but_no_p_values(tmp_path, vaetool_process):
    path = tmp_path / "part.safetensors"
    result = vaetool_process(
        "train", "features", few_parts(tmp_path / "good", 3), "-o", path, "--set", f"model.size={SIZE}"
    )
    assert (result.exit_code, "these 2 are fewer, or copies" in result.stderr) == (0, True)
    model = weights.load(path, device="cpu")
    x = torch.stack([model.prepare(pixels) for pixels in (parts(1, 1)[0], broken(parts(1, 1)[0]))])
    whole, defective = model.components(x, torch.Generator())["all"]
    assert defective > whole


def test_five_pictures_give_p_values_that_are_called_rough(tmp_path, vaetool_process, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    good = few_parts(tmp_path / "good", 5)
    new = tmp_path / "new.png"
    Image.fromarray(broken(parts(1, 9)[0])).save(new)
    result = vaetool_process("score", new, "--good", good, "--alpha", "0.2", "--json")
    assert result.exit_code == 0, result.stderr
    assert "p-values are rough, and none is below 1/6" in result.stderr
    assert json.loads(result.stdout)["p_value"] == 1 / 6
    usual = vaetool_process("score", new, "--good", good, "--json")
    assert "of 100 good pictures, about 17 are called outliers" in usual.stderr
    assert json.loads(usual.stdout)["outlier"] is True
    refused = vaetool_process("score", new, "--good", good, "--alpha", "0.05")
    assert (refused.exit_code, "alpha 0.05 is too small" in refused.stderr) == (2, True)


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_good_pictures_are_refused_before_a_fit(tmp_path, vaetool_process, count):
    good = few_parts(tmp_path / "good", count)
    result = vaetool_process("score", good, "--good", good)
    assert (result.exit_code, result.stderr[:33]) == (2, f"error: too few good pictures, {count}: ")


def test_without_a_place_for_the_cache_a_model_is_fitted_all_the_same(tmp_path, vaetool_process, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    result = vaetool_process("score", few_parts(tmp_path / "good", 5), "--good", tmp_path / "good")
    assert result.exit_code == 0, result.stderr
    assert "cannot be written" in result.stderr
    assert len(result.stdout.splitlines()) == 5
    assert "the model was fitted to 5 of these 5 pictures" in result.stderr


def test_p_values_in_folds_are_rarely_too_small(good):
    """Of good pictures about one in ten has a p-value up to .1, as it would with a calibration on others."""
    shares = []
    for seed in range(3):
        model = Features(FeaturesConfig(size=SIZE))
        x = torch.stack([model.prepare(pixels) for pixels in parts(60, 100 + seed)])
        model = fitted_to(model, x)
        shares += [score.p_value <= 0.1 for score in vaetool.score(parts(40, 200 + seed), model=model)]
    assert 0.02 <= np.mean(shares) <= 0.16


def fitted_to(model: Features, x: torch.Tensor) -> Features:
    store = PixelStore(list((x * 255).round().byte().permute(0, 2, 3, 1).numpy()))

    class Images:
        training = store
        unseen = ()

    model.fit(store)
    model.complete(Images(), {}, Defects(), torch.Generator())
    return model


def test_a_folder_is_fitted_to_once(few, vaetool_process, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    new = tmp_path / "new.png"
    Image.fromarray(broken(parts(1, 9)[0])).save(new)
    saved = tmp_path / "part.safetensors"
    first = vaetool_process("score", new, "--good", few, "--save", saved, "--json")
    assert first.exit_code == 0, first.stderr
    assert "fitted to" in first.stderr
    assert "far from" not in first.stderr
    second = vaetool_process("score", new, "--good", few, "--json")
    assert (second.stdout, "fitted to" in second.stderr) == (first.stdout, False)
    third = vaetool_process("score", new, "-m", saved, "--json")
    assert third.stdout == first.stdout


def test_a_photograph_among_good_parts_is_named(few, photographs, vaetool_process, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(few, tmp_path / "good"))
    photographs["flower"].save(folder / "flower.png")
    saved = tmp_path / "part.safetensors"
    fitted = vaetool_process("score", folder / "00.png", "--good", folder, "--save", saved)
    words = "flower.png is far from all other good pictures: is it good?"
    assert (fitted.exit_code, fitted.stderr.count(words)) == (0, 1), fitted.stderr
    assert vaetool_process("score", folder / "00.png", "-m", saved).stderr.count(words) == 1


def test_the_package_fits_to_a_folder_as_well(few, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = parts(2, 9)
    first = vaetool.score(images, good=few, device="cpu")
    (path,) = tmp_path.glob("vaetool/fitted/features-*.safetensors")
    path.write_bytes(path.read_bytes()[:-1000])  # as one of another version would not be usable either
    scores = vaetool.score(images, good=few, device="cpu")
    assert [score.score for score in scores] == pytest.approx([score.score for score in first])
    (path,) = tmp_path.glob("vaetool/fitted/features-*.safetensors")
    assert [score.score for score in scores] == [
        score.score for score in vaetool.score(images, model=path, device="cpu")
    ]
    with pytest.raises(UsageError, match="either"):
        vaetool.score(images)


def test_a_changed_folder_has_another_fingerprint(good, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in sorted(good.iterdir())[:3]:
        (copy / path.name).write_bytes(path.read_bytes())
    before = cache.fingerprint(find_sources([copy]))
    assert cache.fingerprint(find_sources([copy])) == before
    (copy / "00.png").write_bytes((good / "10.png").read_bytes() + b" ")
    assert cache.fingerprint(find_sources([copy])) != before


def test_a_model_or_good_pictures_are_needed(vaetool_process, good, file):
    for arguments in ((), ("-m", file, "--good", good)):
        result = vaetool_process("score", good, *arguments)
        assert (result.exit_code, "--good" in result.stderr) == (2, True)
    result = vaetool_process("score", good, "-m", file, "--save", "x.safetensors")
    assert (result.exit_code, "--save" in result.stderr) == (2, True)


def test_features_of_one_size_only():
    with pytest.raises(UsageError, match=r"model\.size must be .*multiple of 32"):
        FeaturesConfig(size=100)


@pytest.fixture(scope="module")
def bad(tmp_path_factory) -> Path:
    """Nine broken parts, and a file that cannot be read."""
    folder = tmp_path_factory.mktemp("bad")
    for number, pixels in enumerate(parts(9, 3)):
        Image.fromarray(broken(pixels)).save(folder / f"{number}.png")
    (folder / "cut.png").write_bytes((folder / "0.png").read_bytes()[:100])
    return folder


def test_a_model_learns_from_bad_pictures_and_keeps_it(file, bad, tmp_path, vaetool_process):
    new = tmp_path / "new"
    new.mkdir()
    for number, pixels in enumerate([*parts(20, 4), *map(broken, parts(20, 5))]):
        Image.fromarray(pixels).save(new / f"{number:02}.png")
    first = vaetool_process("score", new, "-m", file, "--bad", bad, "--save", tmp_path / "part.safetensors", "--json")
    assert first.exit_code == 0, first.stderr
    assert "learnt from 9 bad pictures" in first.stderr
    assert "cut.png" in first.stderr
    records = [json.loads(line) for line in first.stdout.splitlines()]
    assert {record["by"] for record in records} == {"learnt"}
    assert sum(record["outlier"] for record in records[:20]) <= 3
    assert sum(record["outlier"] for record in records[20:]) >= 19
    again = vaetool_process("score", new, "-m", tmp_path / "part.safetensors", "--json")
    assert again.stdout == first.stdout
    by_all = [
        [
            json.loads(line)["p_value"]
            for line in vaetool_process("score", new, "-m", model, *by, "--json").stdout.splitlines()
        ]
        for model, by in ((tmp_path / "part.safetensors", ("--by", "all")), (file, ()))
    ]
    assert by_all[0] == by_all[1]


def test_what_was_learnt_from_bad_pictures_is_forgotten_with_the_good_ones(file, bad):
    model = weights.load(file, device="cpu")
    with pytest.warns(UserWarning, match="cut.png"):
        vaetool.score([], model=model, bad=bad)
    assert model.default_method == "all"  # a copy has learnt
    learn(model, bad, warn=lambda message: None)
    assert model.default_method == "learnt"
    model.calibrate(parts(20, 6))
    assert model.default_method == "all"
    assert "learnt" not in model.calibration.names
    assert "learnt" not in model.components(model.prepare(part(np.random.default_rng(0)))[None], None)


def test_only_a_model_of_features_learns_from_bad_pictures(bad):
    with pytest.raises(UsageError, match="this vae cannot learn from bad pictures"):
        vaetool.score([], model="digits", bad=bad)


@pytest.mark.parametrize("packed", [False, True])
def test_a_picture_is_known_by_any_name_and_another_of_its_size_is_not(packed, tmp_path):
    good, new = few_parts(tmp_path / "good", 3), tmp_path / "new.png"
    new.write_bytes((good / "1.png").read_bytes())
    known = Contents(shutil.make_archive(str(good), "zip", good) if packed else good)
    assert new in known
    assert new.read_bytes()[:-1] + b"x" not in known
