"""The defect finder: learns from good pictures alone, and says where a picture is unlike them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vaetool
from vaetool.errors import UsageError, WrongKindError
from vaetool.scoring.defect import SHARES, Defect, DefectConfig
from vaetool.scoring.drawn import Defects
from vaetool.store import weights

SIZE = 48
TINY = (
    "model.widths=[8,16]",
    "training.crops=[32]",
    "training.batch=8",
    "training.validations=2",
    "training.lr=0.005",
    "training.ema=0.95",
)


def good_pictures(count: int, seed: int = 0) -> list[np.ndarray]:
    """Smooth grey with a little grain, (48, 64) each."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(110, 150, (count, 1, 1)) + np.linspace(-15, 15, SIZE + 16)
    return list((level + rng.normal(0, 4, (count, SIZE, SIZE + 16))).clip(0, 255).astype(np.uint8))


def scratched(picture: np.ndarray) -> np.ndarray:
    changed = picture.copy()
    changed[20:24, 10:50] = 40
    return changed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("good")
    for number, picture in enumerate(good_pictures(60)):
        Image.fromarray(picture).save(place / f"{number:02}.png")
    return place


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "parts.safetensors"
    vaetool.train("defect", folder, output=path, settings=(*TINY, "training.steps=400"))
    return path


@pytest.fixture(scope="module")
def finder(trained: Path) -> Defect:
    return weights.load(trained)


def untrained(**changed: object) -> Defect:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Defect(DefectConfig(**{"widths": (4, 8), **changed}))


# Training


def test_a_dae_against_defects_is_a_defect_finder(trained):
    header = weights.read_header(trained)
    assert header.kind == "defect"
    assert header.config["channels"] == 1


def test_it_comes_calibrated(finder):
    images, statistics = finder.calibration.components.shape
    assert images >= 10
    assert statistics == len(SHARES)


def test_it_scores_a_scratched_picture_higher_than_any_good_one(finder):
    good = good_pictures(20, seed=1)
    assert finder.score([scratched(picture) for picture in good]).min() > finder.score(good).max()


def test_its_map_shows_where_the_scratch_is(finder):
    picture = scratched(good_pictures(1, seed=2)[0])
    heat = finder.maps(finder.prepare(picture)[None])[0].numpy()
    assert heat.shape == picture.shape
    inside = np.zeros(picture.shape, bool)
    inside[20:24, 10:50] = True
    assert heat[inside].mean() > 2 > 1.1 > heat[~inside].mean()


def test_its_map_of_a_good_picture_is_almost_empty(finder):
    heat = finder.maps(finder.prepare(good_pictures(1, seed=3)[0])[None])
    assert 0 <= heat.min() <= heat.max() <= 4
    assert heat.mean() < 1


def test_what_is_usual_somewhere_is_no_defect_there():
    """Every good picture has a bright corner, which an untrained network answers to in some way."""
    good = np.stack(good_pictures(40, seed=6))
    good[:, :8, :8] = 250
    model = untrained()
    model.calibrate(list(good[:30]))
    heat = model.maps(torch.stack([model.prepare(picture) for picture in good[30:]]))
    assert heat[:, :4, :4].mean() < 1.5


def test_p_values_of_good_pictures_are_spread_evenly(finder):
    good = finder.score(good_pictures(200, seed=7))
    p = finder.calibration.p_values(good, finder.default_method)
    assert 0.3 < p.mean() < 0.75


def test_it_learns_to_find_drawn_defects_on_held_out_pictures(trained):
    assert weights.read_header(trained).training["held_out"]["auroc"] > 0.8


def test_training_can_go_on_from_a_calibrated_one(trained, folder, tmp_path):
    path = tmp_path / "more.safetensors"
    vaetool.train("defect", folder, output=path, init=trained, settings=(*TINY, "training.steps=1"))
    assert weights.load(path).calibration is not None


# Pictures of any shape


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 7), (33, 64), (100, 31)])
def test_pictures_of_any_shape_are_examined_whole(height, width):
    with torch.inference_mode():
        restored, logits = untrained().examine(torch.rand(2, 1, height, width))
    assert restored.shape == logits.shape == (2, 1, height, width)


def test_larger_pictures_are_shrunk_and_keep_their_shape():
    x = untrained(size=64).prepare(np.zeros((100, 200), np.uint8))
    assert x.shape == (1, 32, 64)


def test_smaller_pictures_stay_as_they_are():
    picture = good_pictures(1)[0]
    assert (255 * untrained().prepare(picture)[0]).round().numpy().astype(np.uint8).tolist() == picture.tolist()


def test_pictures_of_the_same_shape_are_computed_together_and_the_order_is_kept():
    shapes = [(8, 8), (8, 8), (9, 8), (8, 8)]
    pictures = [np.full(shape, number, np.uint8) for number, shape in enumerate(shapes)]
    batches = list(untrained().prepare_all(pictures))
    assert [len(batch) for batch in batches] == [2, 1, 1]
    assert [round(255 * float(x.mean())) for batch in batches for x in batch] == [0, 1, 2, 3]


def test_a_score_depends_on_its_picture_alone(finder):
    pictures = good_pictures(5, seed=5)
    alone = np.concatenate([finder.score([picture]) for picture in pictures])
    assert finder.score(pictures) == pytest.approx(alone, abs=1e-4)


def test_colour_pictures_need_a_model_of_three_channels():
    x = untrained(channels=3).prepare(np.zeros((8, 8, 3), np.uint8))
    assert x.shape == (3, 8, 8)


# Its figure


def test_the_figure_is_the_area_under_the_curve_of_pixels():
    from vaetool.scoring.defect import _auroc

    logits, mask = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    assert _auroc(logits, mask) == 0.75  # of the four pairs all but 2 and 3
    assert _auroc(torch.zeros_like(logits), mask) == 0.5  # all alike: a tie is half a pair


def test_without_any_defect_the_figure_says_nothing():
    model = untrained()
    batch = model.corrupt(torch.rand(2, 1, 16, 16), torch.Generator().manual_seed(0), Defects(clean=0.999))
    assert model.validate(batch)["auroc"] == 0.5


# What is refused


@pytest.mark.parametrize(
    ("values", "words"),
    [({"channels": 2}, "model.channels must be 0, 1 or 3"), ({"size": 8}, "model.size must be from")],
)
def test_a_configuration_out_of_range_is_refused(values, words):
    with pytest.raises(UsageError, match=words):
        DefectConfig(**values)


def test_it_does_not_denoise(trained):
    with pytest.raises(WrongKindError, match="this is a defect"):
        weights.load(trained, kind="dae")
