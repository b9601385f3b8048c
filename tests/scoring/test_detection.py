"""Scores of pictures by a trained model: in order, each by itself, and never constant."""

from __future__ import annotations

from itertools import count, islice

import numpy as np
import pytest
import torch
from PIL import Image

from vaetool.errors import UsageError
from vaetool.scoring import detection
from vaetool.scoring.defect import Defect, DefectConfig
from vaetool.store import weights

SMALL = {"abs": 1e-5, "rel": 1e-3}
"""The last bits of a network's sums depend on how many pictures and threads there are."""


@pytest.fixture(scope="module")
def paths(shapes):
    return sorted(shapes.rglob("*.png"))


@pytest.fixture(scope="module")
def model(tiny_autoencoders, paths):
    """It was trained on all of them, so that none is more usual to it than another."""
    model = weights.load(tiny_autoencoders / "tiny-vae.safetensors", device="cpu")
    detection.calibrate(model, paths[::2])
    return model


@pytest.fixture(scope="module")
def strange() -> list[np.ndarray]:
    """Pictures of another kind: noise, a plain one, stripes, an inverted square."""
    noise = np.random.default_rng(0).integers(0, 256, (16, 16), np.uint8)
    stripes = np.tile(np.array([0, 255], np.uint8), (16, 8))
    inverted = np.full((16, 16), 220, np.uint8)
    inverted[4:12, 4:12] = 30
    return [noise, np.full((16, 16), 255, np.uint8), stripes, inverted]


def test_every_method_has_its_component_and_a_p_value(model, paths):
    for by in model.methods:
        (found,) = detection.score(model, paths[:1], by=by)
        assert found.by == by
        assert 0 < found.p_value <= 1
        assert set(model.calibration.names) - {"iwae", "regret"} <= found.components.keys()
        if by != "typical":
            assert abs(found.components[by]) == pytest.approx(abs(found.score))


def test_strange_pictures_are_outliers_and_usual_ones_are_not(model, paths, strange):
    assert all(found.outlier for found in detection.score(model, strange))
    p = np.array([found.p_value for found in detection.score(model, paths[1::2])])
    assert 0.2 < np.median(p) < 0.8
    assert (p <= 0.05).mean() < 0.2


def test_the_verdict_is_by_alpha(model, paths):
    found = list(detection.score(model, paths, alpha=0.3))
    assert {one.outlier for one in found} == {True, False}
    assert all(one.outlier == (one.p_value <= 0.3) for one in found)


def test_the_default_of_a_vae_is_typical(model, paths):
    assert next(detection.score(model, paths)).by == "typical"
    assert model.score(paths[:3]).tolist() == [one.score for one in detection.score(model, paths[:3])]
    assert model.score([]).shape == (0,)


@pytest.mark.parametrize("by", ["typical", "elbo", "recon", "kl", "iwae", "complexity", "regret"])
def test_no_method_says_the_same_of_everything(model, paths, strange, by):
    scores = model.score([*paths[:20], *strange], by=by)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 20


@pytest.mark.parametrize("by", ["typical", "iwae", "regret"])
def test_a_score_depends_on_its_picture_alone(model, paths, strange, by):
    pictures = [*strange, *paths[:8]]
    together = model.score(pictures, by=by)
    assert model.score(pictures[::-1], by=by)[::-1] == pytest.approx(together, **SMALL)
    assert model.score([pictures[5]] * 3, by=by) == pytest.approx(together[[5, 5, 5]], **SMALL)
    assert np.concatenate([model.score([each], by=by) for each in pictures]) == pytest.approx(together, **SMALL)


def test_a_score_does_not_depend_on_the_random_numbers_of_others(model, paths):
    torch.manual_seed(1)
    first = model.score(paths[:3])
    torch.manual_seed(2)
    assert np.array_equal(model.score(paths[:3]), first)


def test_scores_do_not_depend_on_the_number_of_threads(model, paths, strange):
    before, found = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(model.score([*paths[:8], *strange]))
    torch.set_num_threads(before)
    assert found[0] == pytest.approx(found[1], **SMALL)


def test_the_same_pixels_have_the_same_score_in_any_file_and_type(model, paths, tmp_path):
    with Image.open(paths[0]) as image:
        pixels = np.asarray(image)
    files = [tmp_path / f"same.{suffix}" for suffix in ("png", "bmp", "tiff", "webp", "ppm")]
    for file in files[:3]:
        Image.fromarray(pixels).save(file)
    Image.fromarray(pixels).convert("RGB").save(files[3], lossless=True)
    Image.fromarray(pixels).convert("RGB").save(files[4])
    sixteen, unit = pixels.astype(np.uint16) * 257, torch.from_numpy(pixels / 255)
    scores = model.score([paths[0], *files, pixels, sixteen, unit, pixels[:, :, None].repeat(3, axis=2)])
    assert scores == pytest.approx(scores[0], rel=1e-6)


def test_scores_come_as_pictures_do(model, strange):
    """Of pictures without an end: no more than a batch is read ahead."""
    numbers = count()
    endless = (strange[number % len(strange)] for number in numbers)
    assert len(list(islice(detection.score(model, endless), 3))) == 3
    assert next(numbers) <= model.batch_size


@torch.no_grad()
def test_a_model_whose_posterior_collapsed_still_scores_pictures(tiny_autoencoders, paths, strange):
    model = weights.load(tiny_autoencoders / "tiny-vae.safetensors", device="cpu")
    model.encoder.tail.weight.zero_()
    model.encoder.tail.bias.zero_()
    detection.calibrate(model, paths[::2])
    assert np.ptp(model.calibration.components[:, model.calibration.names.index("kl")]) == 0
    assert all(found.outlier for found in detection.score(model, strange[:3]))
    assert np.mean([found.outlier for found in detection.score(model, paths[1::2])]) < 0.25
    assert {found.p_value for found in detection.score(model, strange, by="kl")} == {1.0}


# Calibration


def test_a_model_can_be_calibrated_with_a_folder_of_good_images(tmp_path, tiny_vae, digit_folders):
    model = weights.load(tiny_vae, device="cpu")
    good = sorted(digit_folders.rglob("*.png"))
    with pytest.raises(UsageError, match="not calibrated"):
        model.score(good)
    detection.calibrate(model, good)
    weights.save(tmp_path / "calibrated.safetensors", model, {})
    again = weights.load(tmp_path / "calibrated.safetensors", device="cpu")
    assert again.calibration.count("typical") == 48
    assert again.calibration.names == model.calibration.names
    for by in ("typical", "regret"):
        assert np.array_equal(again.score(good[:5], by=by), model.score(good[:5], by=by))


def test_slow_methods_are_calibrated_with_fewer_images(tiny_autoencoders, paths):
    model = weights.load(tiny_autoencoders / "tiny-vae.safetensors", device="cpu")
    detection.calibrate(model, paths)
    assert (model.calibration.count("kl"), model.calibration.count("regret")) == (108, 100)  # some are copies


def test_the_order_of_good_images_says_nothing(tiny_vae, digit_folders):
    """Sorted by what they show, they are drawn from at random for what is fitted on."""
    model, good = weights.load(tiny_vae, device="cpu"), sorted(digit_folders.rglob("*.png"))
    detection.calibrate(model, good)
    kl = model.calibration.names.index("kl")
    sorted_kl = [detail.components["kl"] for detail in detection.score(model, good, by="kl")]
    assert sorted(model.calibration.components[:, kl]) == pytest.approx(sorted(sorted_kl), rel=1e-4)
    assert model.calibration.components[:, kl] != pytest.approx(np.array(sorted_kl), rel=1e-4)


def test_too_few_images_calibrate_nothing(tiny_vae, digit_folders):
    with pytest.raises(UsageError, match="9 images are too few"):
        detection.calibrate(weights.load(tiny_vae, device="cpu"), sorted(digit_folders.rglob("*.png"))[:9])


def test_a_level_below_what_the_images_resolve_is_refused_at_once(model, paths):
    with pytest.raises(UsageError, match=r"alpha 0\.001 is too small"):
        detection.score(model, paths, alpha=0.001)


def test_an_unknown_method_is_refused_at_once(model, paths):
    with pytest.raises(UsageError, match=r"no method 'magic'.*typical, elbo"):
        detection.score(model, paths, by="magic")


def test_score_and_map_are_of_one_pass(finder_and_parts):
    model, parts = finder_and_parts
    passes = []
    handle = model.unet.register_forward_hook(lambda *_: passes.append(1))
    results = list(detection.score(model, parts, maps=True))
    handle.remove()
    plain = list(detection.score(model, parts))
    assert [one.score for one in results] == [one.score for one in plain]
    assert sum(passes) == 1
    expected = [model.maps(model.prepare(part)[None])[0].numpy() for part in parts]
    assert all(np.allclose(one.heat, heat, atol=1e-5) for one, heat in zip(results, expected, strict=True))
    assert all(one.heat is None for one in plain)


@pytest.fixture
def finder_and_parts():
    """A defect finder that was calibrated with noise, and three pictures of one size."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Defect(DefectConfig(size=64, widths=(4, 8))).eval()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (48, 48, 1), dtype=np.uint8) for _ in range(23)]
    model.calibrate(pictures[3:])
    return model, pictures[:3]


@pytest.mark.parametrize("by", ["typical", "iwae"])
def test_a_score_is_the_same_alone_and_in_company(tiny_vae, digit_folders, by):
    model, good = weights.load(tiny_vae, device="cpu"), sorted(digit_folders.rglob("*.png"))
    detection.calibrate(model, good)
    together = [found.score for found in detection.score(model, good[:13], by=by)]
    assert together == [next(detection.score(model, [path], by=by)).score for path in good[:13]]
    assert together[::-1] == [found.score for found in detection.score(model, good[12::-1], by=by)]


def test_a_score_is_the_same_with_and_without_maps(photographs):
    from vaetool.demo import part
    from vaetool.scoring.features import Features, FeaturesConfig
    from vaetool.training.data import PixelStore

    generator = np.random.default_rng(0)
    model = Features(FeaturesConfig(size=64))
    model.fit(PixelStore([part(generator) for _ in range(24)]))
    pictures = [photographs["china"], *(part(generator) for _ in range(5))]
    together = [found.score for found in detection.score(model.eval(), pictures)]
    assert together == [next(detection.score(model, [pixels], maps=True)).score for pixels in pictures]
