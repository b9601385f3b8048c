"""Faces in photos: found, and aligned as in the pictures that a model of faces was trained on.

They are found by a cascade of local binary patterns (Viola & Jones 2001; Liao et al. 2007), which comes with
scikit-image. Only the model knows how faces lie in its training pictures, so the model aligns them: among squares
around the place, the one is chosen whose code is likeliest and that resembles the mean picture most.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import map_coordinates

from vaetool.images.crops import Crop
from vaetool.images.picture import as_pillow
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.priors import Normal

LONGEST = 512  # pixels of the longer side in which faces are looked for
SMALLEST = 48  # pixels of a face there
AGREEING = 8  # windows of the cascade that must agree on a face; with half as many, most are false

SCALES, SHIFTS = np.geomspace(0.8, 1.6, 7).tolist(), np.linspace(-0.18, 0.18, 7).tolist()  # of the face's side
ANGLES = (-16, -8, 0, 8, 16)
FINER = (0.03, 0.015)  # shares of the side by which the best square is moved in turn; 100 times that, degrees
ENCODED = (48, 24, 24)  # squares of each round that are encoded: those most like the mean picture
COARSE = 32  # pixels a side at which they are compared with it
CENTRAL = 0.34  # standard deviation, in sides, of the weight of a pixel in this comparison


def find_faces(pixels: np.ndarray) -> list[Crop]:
    """Return upright faces in pixels, (height, width, channels) uint8, the largest first.

    Raises ModuleNotFoundError without scikit-image, the extra `portraits`.
    """
    import skimage
    from skimage.feature import Cascade

    image = as_pillow(pixels).convert("L")
    image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
    scale = pixels.shape[1] / image.width
    trained = Path(skimage.__file__).parent / "data" / "lbpcascade_frontalface_opencv.xml"
    found = Cascade(str(trained)).detect_multi_scale(
        img=np.asarray(image),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(SMALLEST, SMALLEST),
        max_size=image.size[::-1],
        min_neighbor_number=AGREEING,
    )
    faces = [Crop(each["c"] + each["width"] / 2, each["r"] + each["width"] / 2, each["width"]) for each in found]
    return sorted((face.scaled(scale) for face in faces), key=lambda face: -face.side)


class Aligner:
    """Alignment of faces by a model of faces, which judges how well a face lies in a crop."""

    def __init__(self, model: Autoencoder) -> None:
        self.model = model
        self.density = model.mixture or Normal(model.config.latent)
        mean = as_pillow(model.decode(model.code_mean.cpu().numpy()[None])[0]).convert("L")
        across = (np.arange(COARSE) + 0.5) / COARSE - 0.5
        weight = np.exp(-0.5 * np.add.outer(across**2, across**2) / CENTRAL**2)
        self.weight = weight / weight.sum()
        self.mean = self._whitened(np.asarray(mean.resize((COARSE, COARSE), Image.Resampling.BOX), np.float32))

    def align(self, pixels: np.ndarray, face: Crop) -> Crop:
        """Return the best crop around a face."""
        scale = max(1.0, face.side / (1.25 * self.model.config.size))
        height, width = (max(1, round(side / scale)) for side in pixels.shape[:2])
        small = as_pillow(pixels).resize((width, height), Image.Resampling.LANCZOS)
        values = np.asarray(small).reshape(height, width, -1)
        near = face.scaled(1 / scale)
        crops = [near.moved(*change) for change in product(SHIFTS, SHIFTS, SCALES, ANGLES)]
        for step, count in zip((*FINER, 0), ENCODED, strict=True):
            best = self._best(values, crops, count)
            crops = [best, *(best.moved(a, b, 1 + c, 100 * d) for a, b, c, d in product((-step, 0, step), repeat=4))]
        return best.scaled(scale)

    def cost(self, picture: np.ndarray) -> float:
        """Return the misfit of a picture, uint8: −log density of its code per unit, minus its likeness."""
        grey = as_pillow(self.model.as_seen(picture)).convert("L")
        small = np.asarray(grey.resize((COARSE, COARSE), Image.Resampling.BOX), np.float32)
        return float(self._costs([picture], self._likeness(small[None]))[0])

    def _best(self, pixels: np.ndarray, crops: list[Crop], count: int) -> Crop:
        """Return the crop that suits the model best; count: number of crops that are encoded."""
        grey = np.asarray(as_pillow(pixels).convert("L"), np.float32)
        places = np.stack([crop.places(COARSE) for crop in crops], axis=1)
        likeness = self._likeness(map_coordinates(grey, places, np.float32, order=1, mode="nearest"))
        likest = np.argsort(-likeness, kind="stable")[:count]
        taken = (crops[k].take(pixels, self.model.config.size) for k in likest)
        return crops[likest[np.argmin(self._costs(taken, likeness[likest]))]]

    def _costs(self, pictures: Iterable[np.ndarray], likeness: np.ndarray) -> np.ndarray:
        return -self.density.log_density(self.model.encode(pictures)) / self.model.config.latent - likeness

    def _likeness(self, pictures: np.ndarray) -> np.ndarray:
        """Return the weighted correlation of grey pictures, (pictures, COARSE, COARSE), with the mean picture."""
        return (self._whitened(pictures) * self.mean * self.weight).sum(axis=(-2, -1))

    def _whitened(self, pictures: np.ndarray) -> np.ndarray:
        """Return pictures with a weighted mean of 0 and a weighted variance of 1."""
        centred = pictures - (pictures * self.weight).sum(axis=(-2, -1), keepdims=True)
        return centred / np.sqrt((centred**2 * self.weight).sum(axis=(-2, -1), keepdims=True) + 1e-6)
