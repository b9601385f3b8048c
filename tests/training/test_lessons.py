"""Learning from noisy pictures alone, from the bundled model on."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

import vaetool
from tests.training.test_checkpoints import Stopper
from tests.training.test_loop import Watcher
from vaetool.errors import UsageError
from vaetool.images.metrics import psnr
from vaetool.images.ranges import used_range
from vaetool.images.sources import find_pairs, find_sources
from vaetool.store.weights import read_header
from vaetool.training.data import DataConfig, load_store

SETTINGS = ("training.crops=[64]", "training.steps=60", "training.minutes=0", "training.validations=4")


def rows(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Noise of rows, as of sensors that are read out row by row."""
    return rng.normal(0, 4, shape) + rng.normal(0, 14, (shape[0], 1, 1))


def with_rows(pixels: np.ndarray, seed: int) -> np.ndarray:
    noisy = pixels + rows(np.random.default_rng(seed), pixels.shape)
    return np.rint(noisy).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory, photographs):
    """A folder of pictures with such noise: parts of one photograph."""
    folder = tmp_path_factory.mktemp("noisy")
    photo = np.asarray(photographs["flower"])
    for number in range(12):
        top, left = np.random.default_rng(number).integers(0, (photo.shape[0] - 97, photo.shape[1] - 97))
        pixels = with_rows(photo[top : top + 97, left : left + 97], number)  # no multiple of any stride
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def learn(folder, output, *settings, **options):
    given = {"noisy_only": True, "init": "photo-denoise", "device": "cpu"} | options
    return vaetool.train("dae", folder, output=output, settings=(*SETTINGS, *settings), **given)


def test_noise_that_no_model_knows_is_learnt_from_noisy_pictures_alone(noisy, tmp_path, photographs):
    result = learn(noisy, tmp_path / "m.safetensors")
    clean = np.asarray(photographs["china"])
    picture = with_rows(clean, 100)
    before, after = (psnr(vaetool.denoise(picture, model=m), clean, 255) for m in ("photo-denoise", result.path))
    assert after > before + 0.5  # in 60 steps, from 12 small parts of another picture
    assert result.figures["psnr"] > result.before["psnr"] + 0.5
    about = read_header(result.path).training
    assert about["recipe"]["corruption"]["noisy_only"]
    assert about["init"] == "photo-denoise"


@pytest.mark.parametrize("longer", [False, True])
def test_a_run_that_was_stopped_goes_on_as_if_nothing_had_happened(
    noisy, tmp_path, tiny_dae, fit, same_weights, longer
):
    """In the middle of a lesson: that began with other weights than those it has now."""
    tiny = ["model.widths=[16, 16]", "model.estimator_widths=[8,8]", "training.crops=[32]", "training.validations=8"]
    given = {"data": noisy, "noisy_only": True, "init": tiny_dae}
    with pytest.raises(KeyboardInterrupt):
        fit(*tiny, "training.steps=8", reporter=Stopper(5), **given)
    resumed = fit(*tiny, f"training.steps={16 if longer else 8}", resume=True, **given)
    if longer:
        assert resumed.steps == 16
    else:
        whole = fit(*tiny, "training.steps=8", name="whole", **given)
        assert (resumed.before, resumed.figures) == (whole.before, whole.figures)
        assert same_weights(resumed.path, whole.path)


def test_weak_noise_tells_weights_apart(photographs, tmp_path):
    """Cleaned pictures are so near to the truth that what is left is less than what is known of the noise."""
    rng, photo = np.random.default_rng(0), np.asarray(photographs["flower"])
    for number in range(10):
        noisy = photo[:97, number : 97 + number] + rng.normal(0, 1.5, (97, 97, 3))
        Image.fromarray(np.rint(noisy).clip(0, 255).astype(np.uint8)).save(tmp_path / f"{number}.png")
    watcher = Watcher()
    learn(tmp_path, tmp_path / "m.safetensors", "training.steps=6", reporter=watcher)
    assert len(set(watcher.figures)) > 2
    assert max(watcher.figures) < 50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"init": None}, "goes on from a trained denoiser, such as --init photo-denoise"),
        ({"pairs": True}, "--pairs or --noisy-only"),
    ],
)
def test_what_cannot_be_learnt_from_is_a_usage_error(noisy, tmp_path, options, message):
    folders = [noisy, noisy] if "pairs" in options else noisy
    with pytest.raises(UsageError, match=message):
        learn(folders, tmp_path / "m.safetensors", **options)
    assert not (tmp_path / "m.safetensors").exists()


def test_other_kinds_do_not_learn_from_noisy_pictures(noisy, tmp_path):
    with pytest.raises(UsageError, match="the kind vae has no noisy_only"):
        vaetool.train("vae", noisy, output=tmp_path / "m.safetensors", noisy_only=True)


# Files of many pages, and of any range


def test_every_page_of_a_stack_is_trained_on(noisy, tmp_path):
    """In the range that it uses: twelve bits in sixteen, floats."""
    pages = np.stack([np.asarray(Image.open(path).convert("L")) for path in sorted(noisy.iterdir())])
    (tmp_path / "stacks").mkdir()
    tifffile.imwrite(tmp_path / "stacks" / "a.tif", 16 * pages[:6].astype(np.uint16), photometric="minisblack")
    tifffile.imwrite(tmp_path / "stacks" / "b.tif", 3000.0 * pages[6:].astype(np.float32), photometric="minisblack")
    sources = find_sources([tmp_path / "stacks"], whole=True)
    assert [source.name for source in sources] == [
        f"{name}.tif, page {number}" for name in "ab" for number in range(1, 7)
    ]
    store = load_store(sources, DataConfig(), 64, channels=1)
    crops = store.centre_crops(96)
    expected = [page / 255 for page in pages[:6]]
    expected += [used_range(page.astype(np.float32)).to_unit(page).clip(0, 1) for page in pages[6:]]
    means = sorted(float(page.mean()) for page in expected)
    assert sorted(crops.mean(dim=(1, 2, 3)).tolist()) == pytest.approx(means, abs=0.003)
    result = learn(tmp_path / "stacks", tmp_path / "m.safetensors", "training.steps=2")
    assert read_header(result.path).training["images"] == 11


def test_pairs_are_in_the_range_of_the_noisy_one(tmp_path):
    clean = np.tile(np.arange(0, 2048, 16, dtype=np.uint16), (128, 1))
    for name, values in (("clean", clean), ("noisy", clean + 1024)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", values)
    store = load_store(find_pairs([tmp_path / "noisy", tmp_path / "clean"], whole=True), DataConfig(), 64, channels=1)
    target, noisy = store.centre_crops(128).chunk(2, dim=1)
    assert (noisy - target).mean() == pytest.approx(1024 / 4095, abs=0.003)
