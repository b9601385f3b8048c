"""Learning from pairs of noisy and clean pictures, or of two noisy ones."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

import vaetool
from vaetool.errors import TrainingError, UsageError
from vaetool.images.metrics import psnr
from vaetool.images.sources import find_pairs
from vaetool.training.data import DataConfig, load_store

STACKS = (("noisy", 0), ("clean", 1))
NETWORK = ("model.widths=[8,16]", "model.blocks=1", "model.estimator_widths=[4,8]", "training.crops=[64]")


def save(folder, name, pixels):
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folder / name)


def stripes(rng, shape, strength=40):
    """Noise that is the same along each row, as sensors that are read out row by row have it."""
    return rng.normal(0, strength, (shape[0], 1, 1)) * np.ones(shape)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, photographs):
    """Pictures, and the same with stripes, twice."""
    root = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for number in range(12):
        photo = np.asarray(photographs["china" if number % 2 else "flower"]).astype(float)
        top, left = rng.integers(0, photo.shape[0] - 96), rng.integers(0, photo.shape[1] - 96)
        clean = photo[top : top + 96, left : left + 96]
        save(root / "clean", f"{number}.png", clean.astype(np.uint8))
        for name in ("noisy", "again"):
            save(root / name, f"{number}.png", (clean + stripes(rng, clean.shape)).clip(0, 255).astype(np.uint8))
    return root


def test_pairs_have_the_same_name(folders):
    sources = find_pairs([folders / "noisy", folders / "clean"])
    assert [source.name for source in sources] == sorted(f"{number}.png" for number in range(12))
    for source in sources:
        for read, folder in ((source.read, "clean"), (source.read_noisy, "noisy")):
            assert np.array_equal(read(), np.asarray(Image.open(folders / folder / source.name)))


def test_pages_are_paired_by_number(tmp_path):
    stacks = {name: np.random.default_rng(seed).integers(0, 256, (3, 16, 16), np.uint8) for name, seed in STACKS}
    for name, stack in stacks.items():
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "stack.tif", stack, photometric="minisblack")
    sources = find_pairs([tmp_path / "noisy", tmp_path / "clean"], whole=True)
    assert [source.name for source in sources] == [f"stack.tif, page {page}" for page in (1, 2, 3)]
    for number, source in enumerate(sources):
        assert np.array_equal(source.read()[..., 0], stacks["clean"][number])
        assert np.array_equal(source.read_noisy()[..., 0], stacks["noisy"][number])


def test_two_pictures_of_one_name_are_refused(folders, tmp_path):
    for suffix in ("png", "bmp"):
        save(tmp_path / "clean", f"0.{suffix}", np.asarray(Image.open(folders / "clean" / "0.png")))
    with pytest.raises(UsageError, match=r"0.bmp and 0.png: both are 0"):
        find_pairs([folders / "noisy", tmp_path / "clean"])


def test_pairs_may_lie_in_zip_files_and_have_other_suffixes(folders, tmp_path):
    with zipfile.ZipFile(tmp_path / "clean.zip", "w") as archive:
        for path in (folders / "clean").iterdir():
            archive.write(path, f"clean/{path.name}")
    for path in (folders / "noisy").iterdir():
        save(tmp_path / "noisy", f"{path.stem}.bmp", np.asarray(Image.open(path)))
    assert len(find_pairs([tmp_path / "noisy", tmp_path / "clean.zip"])) == 12


def test_crops_of_a_pair_are_of_the_same_place(folders):
    store = load_store(find_pairs([folders / "clean", folders / "clean"]), DataConfig(), 64)
    crops = store.random_crops(20, 64, torch.Generator().manual_seed(0))
    assert crops.shape == (20, 6, 64, 64)
    assert torch.equal(crops[:, :3], crops[:, 3:])


def test_a_picture_without_a_partner_is_a_usage_error(folders, tmp_path):
    save(tmp_path / "noisy", "7.png", np.zeros((96, 96, 3), np.uint8))
    with pytest.raises(UsageError, match=r"0 and 10 others are not in both of"):
        find_pairs([tmp_path / "noisy", folders / "clean"])


@pytest.mark.parametrize("count", [1, 3])
def test_pairs_are_of_two_places(folders, count):
    with pytest.raises(UsageError, match=f"two folders or zip files.* not {count}"):
        find_pairs([folders / "clean"] * count)


def test_other_kinds_do_not_learn_from_pairs(folders, tmp_path):
    with pytest.raises(UsageError, match="a vae does not learn from pairs"):
        vaetool.train("vae", [folders / "noisy", folders / "clean"], output=tmp_path / "m.safetensors", pairs=True)


def test_pairs_of_other_sizes_are_left_out(folders, tmp_path):
    for number in range(12):
        save(tmp_path / "small", f"{number}.png", np.zeros((90, 96, 3), np.uint8))
    with pytest.raises(TrainingError, match="two readable images"):
        vaetool.train("dae", [tmp_path / "small", folders / "clean"], output=tmp_path / "m.safetensors", pairs=True)


@pytest.mark.parametrize("target", ["clean", "again"])
def test_noise_that_no_model_knows_is_learnt_from_pairs(folders, target, tmp_path, photographs):
    """From clean pictures, and from second exposures that are as noisy."""
    result = vaetool.train(
        "dae",
        [folders / "noisy", folders / target],
        output=tmp_path / "m.safetensors",
        settings=(*NETWORK, "training.batch=8", "training.lr=0.003", "training.minutes=0", "training.steps=150"),
        pairs=True,
        device="cpu",
    )
    clean = np.asarray(photographs["china"])[:96, 40:136].astype(float)
    noisy = (clean + stripes(np.random.default_rng(1), clean.shape)).clip(0, 255).astype(np.uint8)
    after = vaetool.denoise(noisy, model=result.path, device="cpu")
    assert psnr(after, clean, 255) > psnr(noisy, clean, 255) + 3
