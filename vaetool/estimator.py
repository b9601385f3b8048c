"""Models as scikit-learn estimators: codes as a step of a pipeline, and an outlier detector.

>>> from sklearn.linear_model import LogisticRegression
>>> from sklearn.pipeline import make_pipeline
>>> make_pipeline(CodeTransformer(latent=16, steps=500), LogisticRegression())["codetransformer"]
CodeTransformer(latent=16, steps=500)

Not imported by `import vaetool`, because it imports scikit-learn at once.
"""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, OutlierMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted, check_non_negative, validate_data

from vaetool.errors import UsageError
from vaetool.images.conversion import to_tensor, whole_picture
from vaetool.images.picture import as_pillow
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.trunk import MAX_SIZE, MIN_SIZE
from vaetool.scoring.calibration import calibration_of, check_alpha
from vaetool.scoring.copies import thumbnail, without_copies
from vaetool.scoring.detection import calibrate
from vaetool.scoring.measurement import MIN_IMAGES
from vaetool.scoring.scorer import Scorer
from vaetool.store.kinds import kinds_with_codes, kinds_with_scores
from vaetool.store.weights import load
from vaetool.training.loop import train
from vaetool.training.splits import MIN_TO_CALIBRATE

CALIBRATING = 0.3
"""Share of the pictures kept from training to calibrate an outlier detector; up to half if there are few."""

FEATURES_SIZE = 256
"""Default side, in pixels, at which a model of features sees pictures."""


class _OfPictures(BaseEstimator):
    """Base of the estimators: validation of picture arrays, and training of a model on them."""

    _fewest = 2
    """Minimum number of pictures for training, one of which is held out."""

    model: str | PathLike[str] | None
    size: int | None
    steps: int
    minutes: float | None
    latent: int
    settings: Sequence[str]
    seed: int
    image_shape: tuple[int, ...] | None
    peak: float | None
    device: str

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = True
        tags.non_deterministic = self.minutes is not None
        return tags

    def _pictures(self, array: Any, reset: bool) -> np.ndarray:
        """Convert to (pictures, height, width, channels) uint8; reset: remember the array's form, else require it."""
        fewest = self._fewest if reset and self.model is None else 1
        array = validate_data(self, array, reset=reset, allow_nd=True, ensure_min_samples=fewest)
        check_non_negative(array, type(self).__name__)
        shape = self._shape_of(array)
        if reset:
            self._shape, self._ndim, self._dtype, self._peak = shape, array.ndim, array.dtype, self._peak_of(array)
        elif shape != self._shape:
            raise ValueError(f"pictures here are {self._shape} (height, width, channels), not {shape}")
        return self._in_8_bits(array, self._peak_of(array)).reshape(len(array), *shape)

    def _shape_of(self, array: np.ndarray) -> tuple[int, int, int]:
        """Return the height, width and channels of the pictures in an array."""
        shape = array.shape[1:]
        if array.ndim == 2:
            side = math.isqrt(shape[0])
            shape = (side, side) if self.image_shape is None else tuple(self.image_shape)
            if math.prod(shape) != array.shape[1]:
                given = "a grey square" if self.image_shape is None else f"pictures of {shape}"
                raise ValueError(f"rows of {array.shape[1]} numbers are not {given}: give their image_shape")
        if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3)):
            raise ValueError(f"pictures must be (height, width) or (height, width, 1 or 3), not {shape}")
        return shape if len(shape) == 3 else (*shape, 1)

    def _peak_of(self, array: np.ndarray) -> float:
        if self.peak is not None:
            if not self.peak > 0:
                raise UsageError(f"peak must be above 0, not {self.peak}")
            return self.peak
        if np.issubdtype(array.dtype, np.floating):
            return 1.0
        if array.dtype in (np.uint8, np.uint16):
            return float(np.iinfo(array.dtype).max)
        raise ValueError(f"which value of type {array.dtype} is white? Give it as peak")

    def _in_8_bits(self, array: np.ndarray, peak: float) -> np.ndarray:
        if array.max() > peak:
            raise ValueError(
                f"pixels must be from 0 to {peak:g}, not to {array.max():g}: give the value of white as peak"
            )
        return array if array.dtype == np.uint8 and peak == 255 else np.rint(array * (255 / peak)).astype(np.uint8)

    def _train(self, kind: str, pictures: np.ndarray) -> Any:
        """Train a new model on pictures."""
        _, height, width, channels = pictures.shape
        size = self.size or min(max(height, MIN_SIZE), max(width, MIN_SIZE), MAX_SIZE)
        recipe = {"model.channels": channels, "training.steps": self.steps, "training.seed": self.seed}
        recipe["data.calibration"] = 0.0  # codes need none, and a detector sets pictures aside itself
        settings = [f"{key}={value}" for key, value in recipe.items()] + list(self.settings)
        cut = (whole_picture(picture, size, channels) for picture in pictures)  # as training cuts them
        limits = {"size": size, "latent": self.latent, "minutes": self.minutes}
        return self._trained(kind, cut, settings, kinds_with_codes(), **limits)

    def _trained(
        self, kind: str, pictures: Iterable[np.ndarray], settings: list[str], kinds: tuple[str, ...], **flags: Any
    ) -> Any:
        """Train a model, by way of files, and load it as one of some kinds; flags: as of `vaetool.train`."""
        with TemporaryDirectory() as folder:
            data, output = Path(folder, "pictures.zip"), Path(folder, "model.safetensors")
            _write_zip(data, pictures)
            train(kind, data, output=output, settings=settings, device=self.device, **flags)
            return load(output, kind=kinds, device=self.device)


class CodeTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _OfPictures):
    """Transformer of pictures into codes, by an autoencoder that is trained on them or was trained before.

    Pictures are (pictures, height, width), (pictures, height, width, 1 or 3), or rows of numbers as most of
    scikit-learn expects. As everywhere, a model sees the middle square of each.

    model: the name or the path of a trained one; without it, `fit` trains one of `kind`, "vae" or "ae".
    latent: numbers in a code. size: of the pictures inside the model, 16 to 256 pixels a side; by default their own.
    steps: of training; a thousand take minutes on a CPU. minutes: a limit on its time as well, with which results are
    not repeatable. settings: more of the recipe, as in `vaetool.train`. seed: of the weights and of training.
    image_shape: of pictures in rows, (height, width) or (height, width, 1 or 3); by default that of a grey square.
    peak: the number that stands for white; by default 255 in uint8, 65535 in uint16, and 1 in floating point.
    device: "auto", "cpu", "cuda", ...

    After `fit`, `model_` is the model. Raises ValueError for arrays that are not such pictures, and as
    `vaetool.train` and `vaetool.load` do.
    """

    model_: Autoencoder

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        kind: str = "vae",
        latent: int = 32,
        size: int | None = None,
        steps: int = 1000,
        minutes: float | None = None,
        settings: Sequence[str] = (),
        seed: int = 0,
        image_shape: tuple[int, ...] | None = None,
        peak: float | None = None,
        device: str = "auto",
    ) -> None:
        self.model = model
        self.kind = kind
        self.latent = latent
        self.size = size
        self.steps = steps
        self.minutes = minutes
        self.settings = settings
        self.seed = seed
        self.image_shape = image_shape
        self.peak = peak
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Train on pictures, or load the model; y is ignored."""
        pictures = self._pictures(X, reset=True)
        if self.model is None:
            self.model_ = self._train(self.kind, pictures)
        else:
            self.model_ = load(self.model, kind=kinds_with_codes(), device=self.device)
        return self

    def transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the codes of pictures: (pictures, latent) float32."""
        check_is_fitted(self)
        return self.model_.encode(self._pictures(X, reset=False))

    def inverse_transform(self, X: Any) -> np.ndarray:  # noqa: N803
        """Decode codes, (pictures, latent), into pictures of the form that `fit` saw, cut to their middle square."""
        check_is_fitted(self)
        codes = check_array(X, dtype=np.float32)
        if codes.shape[1] != self.model_.config.latent:
            raise ValueError(f"codes have {self.model_.config.latent} numbers here, not {codes.shape[1]}")
        height, width, channels = self._shape
        side = min(height, width)
        pixels = np.stack([whole_picture(picture, side, channels) for picture in self.model_.decode(codes)])
        pixels = pixels * (self._peak / 255)
        pixels = (np.rint(pixels) if np.issubdtype(self._dtype, np.integer) else pixels).astype(self._dtype)
        return pixels.reshape(len(codes), *{2: (-1,), 3: (side, side), 4: (side, side, channels)}[self._ndim])

    @property
    def _n_features_out(self) -> int:
        return self.model_.config.latent

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        return tags


class OutlierDetector(OutlierMixin, _OfPictures):
    """Outlier detector: finds pictures unlike those it was fitted to, which should all be good.

    Scores are those of `vaetool.scoring.detection`, negated: higher for more usual pictures.

    model: the name or the path of one that was trained on other pictures, which `fit` calibrates; without it, `fit`
    makes one of `kind`: it trains a "vae" on seven tenths of the pictures, or on half if there are few, and calibrates
    it with the others; "features", for parts and textures, is fitted to all of them within seconds, at `size` (a
    multiple of 32, by default 256), and calibrated in folds.
    by: one of the model's methods, "typical" for example; by default its own choice. alpha: the share of good pictures
    that may be called outliers. The other parameters are those of `CodeTransformer`.

    After `fit`, `model_` is the model and `offset_` the score below which pictures are outliers. Raises
    ValueError for arrays that are not such pictures and for too few, and as `vaetool.train` and `vaetool.load` do.
    """

    _fewest = MIN_IMAGES + 2

    model_: Scorer
    offset_: float

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        kind: str = "vae",
        by: str | None = None,
        alpha: float = 0.05,
        latent: int = 32,
        size: int | None = None,
        steps: int = 1000,
        minutes: float | None = None,
        settings: Sequence[str] = (),
        seed: int = 0,
        image_shape: tuple[int, ...] | None = None,
        peak: float | None = None,
        device: str = "auto",
    ) -> None:
        self.model = model
        self.kind = kind
        self.by = by
        self.alpha = alpha
        self.latent = latent
        self.size = size
        self.steps = steps
        self.minutes = minutes
        self.settings = settings
        self.seed = seed
        self.image_shape = image_shape
        self.peak = peak
        self.device = device

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Train on good pictures and calibrate with others, or load the model and calibrate it; y is ignored.

        Raises UsageError for an alpha that the pictures cannot resolve.
        """
        pictures, has_copies = self._pictures(X, reset=True), False
        if self.model is None and self.kind not in ("vae", "features"):
            raise UsageError(f"kind must be vae or features, not {self.kind!r}")
        if self.model is None and self.kind == "features":
            self.model_ = self._fit_features(pictures)
            pictures = pictures[:0]  # calibrated already
        elif self.model is None:
            different = without_copies(_thumbnails(pictures))
            has_copies = len(different) < self._fewest
            if has_copies:
                alike = f"only {len(different)} of {len(pictures)} pictures look different: p-values are rough"
                warnings.warn(alike, stacklevel=2)
            else:
                pictures = pictures[different]
            order = np.random.default_rng(self.seed).permutation(len(pictures))
            share = max(MIN_TO_CALIBRATE, round(CALIBRATING * len(pictures)))
            kept = max(MIN_IMAGES, min(share, len(pictures) // 2))
            self.model_ = self._train("vae", pictures[order[kept:]])
            pictures = pictures[order[:kept]]
        else:
            self.model_ = load(self.model, device=self.device, kind=kinds_with_scores())
        if has_copies:
            self.model_.calibrate(list(pictures))
        elif len(pictures):
            calibrate(self.model_, list(pictures))
        by, calibration = calibration_of(self.model_, self.by)
        check_alpha(self.alpha, calibration.count(by))
        self.offset_ = -calibration.threshold(self.alpha, by)
        return self

    def _fit_features(self, pictures: np.ndarray) -> Any:
        settings = [f"model.size={self.size or FEATURES_SIZE}", f"training.seed={self.seed}", *self.settings]
        return self._trained("features", pictures, settings, ("features",))

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return the scores of pictures, higher for more usual ones: (pictures,)."""
        check_is_fitted(self)
        return -self.model_.score(self._pictures(X, reset=False), self.by)

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return scores minus `offset_`, below zero for outliers: (pictures,)."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Return -1 for outliers, whose p-value is alpha or less, else 1: (pictures,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)


def _thumbnails(pictures: np.ndarray) -> torch.Tensor:
    """Return thumbnails of pictures, (pictures, height, width, channels) uint8, by which copies are found."""
    return torch.stack([thumbnail(to_tensor(pixels)) for pixels in pictures])


def _write_zip(path: Path, pictures: Iterable[np.ndarray]) -> None:
    """Write pictures, (height, width, channels) uint8 each, into a zip file."""
    with zipfile.ZipFile(path, "w") as archive:
        for number, pixels in enumerate(pictures):
            file = BytesIO()
            as_pillow(pixels).save(file, "PNG", compress_level=1)
            archive.writestr(f"{number:09d}.png", file.getvalue())
