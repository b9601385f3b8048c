"""The outlier detector as scikit-learn has them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from vaetool.errors import UsageError, WrongKindError
from vaetool.estimator import OutlierDetector
from vaetool.latents.ae import AE, AEConfig
from vaetool.scoring import detection
from vaetool.store import weights

TINY = ("model.widths=[8,16]", "model.blocks=[0,0]", "model.decoder_widths=[16,8]", "training.batch=32")


def tiny(**changes) -> OutlierDetector:
    given = {"latent": 4, "steps": 2, "settings": TINY, "device": "cpu", **changes}
    return OutlierDetector(**given)


@pytest.fixture(scope="module")
def ones() -> np.ndarray:
    """180 handwritten ones, rows of 64 numbers from 0 to 16."""
    rows, labels = load_digits(return_X_y=True)
    return rows[labels == 1]


@pytest.fixture(scope="module")
def others() -> np.ndarray:
    rows, labels = load_digits(return_X_y=True)
    return rows[np.isin(labels, (0, 6))][:100]


@pytest.fixture(scope="module")
def fitted(ones) -> OutlierDetector:
    return tiny(peak=16, steps=80, settings=(*TINY, "training.lr=0.01")).fit(ones[:120])


def test_pictures_that_look_the_same_are_said(ones):
    with pytest.warns(UserWarning, match="only 5 of 60 pictures look different"):
        tiny(peak=16, alpha=0.2).fit(np.tile(ones[:5], (12, 1)))


def test_other_digits_are_less_usual_than_those_it_knows(fitted, ones, others):
    assert np.median(fitted.score_samples(others)) < np.quantile(fitted.score_samples(ones[120:]), 0.1)
    assert (fitted.predict(others) == -1).mean() > 0.6
    assert (fitted.predict(ones[120:]) == 1).mean() > 0.8


def test_outliers_are_those_whose_p_value_is_alpha_or_less(fitted, ones, others):
    rows = np.concatenate([ones[120:], others])
    pictures = list(np.rint(rows.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8))
    found = list(detection.score(fitted.model_, pictures))
    assert (fitted.predict(rows) == -1).tolist() == [one.outlier for one in found]
    assert fitted.score_samples(rows) == pytest.approx([-one.score for one in found])
    assert np.array_equal(fitted.decision_function(rows), fitted.score_samples(rows) - fitted.offset_)


def test_it_is_calibrated_with_pictures_that_it_was_not_trained_on(fitted):
    assert len(fitted.model_.calibration.components) == 36


def test_a_level_that_the_pictures_cannot_resolve_is_refused(ones):
    with pytest.raises(UsageError, match=r"alpha 0\.01 is too small"):
        tiny(peak=16, alpha=0.01).fit(ones)


def test_a_trained_model_is_calibrated_with_the_pictures(tiny_vae, digit_folders):
    from PIL import Image

    pictures = np.stack([np.asarray(Image.open(path)) for path in sorted(digit_folders.rglob("*.png"))])
    detector = OutlierDetector(tiny_vae, by="elbo", device="cpu").fit(pictures)
    assert len(detector.model_.calibration.components) == len(pictures)
    assert (detector.predict(255 - pictures) == -1).all()
    assert (detector.predict(pictures) == -1).mean() <= 0.05


def test_a_model_that_gives_no_scores_is_refused(tmp_path, ones):
    path = tmp_path / "ae.safetensors"
    weights.save(path, AE(AEConfig(size=16, latent=3, channels=1)), {"data": []})
    with pytest.raises(WrongKindError, match="this is an ae; a defect, a model of features or a vae is needed"):
        OutlierDetector(path, peak=16, device="cpu").fit(ones)


def test_the_same_seed_gives_the_same_scores_and_a_pickle_keeps_them(ones):
    one, two = (tiny(peak=16).fit(ones[:60]) for _ in range(2))
    assert np.array_equal(one.score_samples(ones), two.score_samples(ones))
    again = pickle.loads(pickle.dumps(one))
    assert np.array_equal(one.score_samples(ones), again.score_samples(ones))


def test_it_can_be_cloned_and_cross_validated(ones, others):
    rows, labels = np.concatenate([ones[:60], others[:30]]), np.repeat([1, -1], [60, 30])
    halves = StratifiedKFold(2, shuffle=True, random_state=0)
    areas = cross_val_score(clone(tiny(peak=16, alpha=0.2)), rows, labels, cv=halves, scoring="roc_auc")
    assert np.isfinite(areas).all()


class OfAnyTable(OutlierDetector):
    """scikit-learn's own checks feed tables of any width and range, which are no pictures: fold them into 4 x 4 pixels.

    All else is as it is.
    """

    def _shape_of(self, array):
        return 4, 4, 1

    def _in_8_bits(self, array, peak):
        folded = np.array([np.resize(row, 16) for row in array])
        return np.rint(255 / (1 + np.exp(-folded))).astype(np.uint8)


TOO_FEW = "ten pictures are too few to train and to calibrate"
KNOWN = {
    "check_methods_subset_invariance": "convolutions of one picture and of many round differently, by 1e-6 and so",
    "check_estimators_nan_inf": TOO_FEW,
    "check_fit2d_1feature": TOO_FEW,
}


@pytest.mark.filterwarnings("ignore:only .* look different")  # of what scikit-learn draws
@parametrize_with_checks(
    [OfAnyTable(**{**tiny().get_params(), "peak": 1, "alpha": 0.2})], expected_failed_checks=lambda estimator: KNOWN
)
def test_it_behaves_as_scikit_learn_expects(estimator, check, monkeypatch):
    if "outliers" in check.func.__name__:  # which passes negative numbers even to what says that it takes none
        monkeypatch.setattr("vaetool.estimator.check_non_negative", lambda *_: None)
    check(estimator)


def test_features_find_outliers_without_training(ones, others):
    detector = OutlierDetector(kind="features", size=64, peak=16, device="cpu").fit(ones[:100])
    assert detector.model_.kind == "features"
    assert (detector.predict(ones[100:]) == 1).mean() > 0.8
    assert (detector.predict(others) == -1).mean() > 0.9


def test_other_kinds_are_refused(ones):
    with pytest.raises(UsageError, match="vae or features"):
        OutlierDetector(kind="dae", peak=16).fit(ones)
