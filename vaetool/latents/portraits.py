"""Choice of the part of a picture that a model draws: a given crop, the face in a photo, or the middle square."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaetool.errors import ImageError, UsageError
from vaetool.images.animation import resize
from vaetool.images.conversion import to_unit, unpack
from vaetool.images.crops import Crop
from vaetool.images.picture import rescale
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.faces import Aligner, find_faces
from vaetool.latents.generative import Generative
from vaetool.latents.sample import sample

Box = tuple[int, int, int, int]

MAX_ERROR = 3.0
"""Maximum error, as a multiple of the usual one, exceeded by one in two hundred pictures like those of training."""

MAX_RELATIVE_ERROR = 4.5
"""The same of the error relative to a picture's variance: with `faces`, exceeded by one of 450 portraits of two data
sets, and by all of 17 pages of text."""

DRAWN = 32  # new pictures whose variance is the usual one

FILLS = 0.85
"""Share of a picture's shorter side above which a face fills it, so that the picture is left as it is."""


@dataclass(frozen=True)
class Portrait:
    """A picture, (height, width, channels) uint8, and the crop that a model draws; None: the middle square.

    faces: number of faces found, if the crop is around one.
    """

    pixels: np.ndarray
    crop: Crop | None
    faces: int = 0

    @property
    def words(self) -> str:
        """A sentence on which face was taken."""
        return f"{f'one of {self.faces} faces' if self.faces > 1 else 'the face'}, at {self.crop}"

    def seen(self, model: Generative) -> np.ndarray:
        """Return the model's input, uint8."""
        return self.pixels if self.crop is None else self.crop.take(self.pixels, model.config.size)

    def resized(self, longest: int | None) -> Portrait:
        """Return the same with the picture's longer side resized to this many pixels; None: unchanged."""
        if longest is None:
            return self
        scale = longest / max(self.pixels.shape[:2])
        return Portrait(resize(self.pixels[None], longest)[0], None if self.crop is None else self.crop.scaled(scale))


@dataclass(frozen=True)
class Misfit:
    """The squared error of a reconstruction as a multiple of the usual one: absolute, and relative to the variance.

    The latter tells pictures of little contrast, such as pages of text, of which no drawing is far.
    """

    absolute: float
    relative: float

    @property
    def is_far(self) -> bool:
        """Whether the model does not draw the picture."""
        return self.absolute > MAX_ERROR or self.relative > MAX_RELATIVE_ERROR

    @property
    def words(self) -> str:
        """The larger multiple, for users."""
        if self.absolute > MAX_ERROR:
            return f"its squared error is {self.absolute:.1f} times the usual one"
        return f"its squared error is {self.relative:.1f} times the usual one of so little contrast"


def portraits(
    model: Generative,
    images: Sequence[Any],
    boxes: Sequence[Box | None] = (),
    *,
    warn: Callable[[str], None] = lambda message: None,
) -> list[Portrait]:
    """Choose the parts of images of any kind that a model draws; boxes: one for each, or empty. See `portrait`."""
    if boxes and len(boxes) != len(images):
        raise UsageError(f"as many crops as pictures are needed, {len(images)}, not {len(boxes)}")
    return [portrait(model, *pair, warn=warn) for pair in zip(images, boxes or [None] * len(images), strict=True)]


def portrait(
    model: Generative, image: Any, box: Box | None = None, *, warn: Callable[[str], None] = lambda message: None
) -> Portrait:
    """Choose the part of an image of any kind that a model draws.

    This is the middle square of a box, (left, top, width, height), or without one a face in the picture if that suits
    the model better than the whole picture. warn: called with a message if a box does not suit the model.
    Raises ImageError if the model is far from drawing what is in the picture, UsageError for a box outside of it.
    """
    pixels = rescale(unpack(image)[0], np.uint8)
    if box is not None:
        chosen = Portrait(pixels, Crop.of_box(box, pixels))
        found = misfit(model, chosen)
        if found is not None and found.is_far:
            warn(f"the crop {chosen.crop} is not like the pictures that this model learned from: {found.words}")
        return chosen
    whole = Portrait(pixels, None)
    found = misfit(model, whole)
    if found is None or not isinstance(model, Autoencoder):
        return whole
    faces, advice = [], "crop it as those are, with --crop X,Y,W,H"
    if min(pixels.shape[:2]) > 2 * model.config.size:
        try:
            faces = find_faces(pixels)
        except ModuleNotFoundError:
            advice = f"pip install 'vaetool[portraits]' to have faces found, or {advice}"
    aligner = Aligner(model)
    for face in faces:
        aligned = Portrait(pixels, aligner.align(pixels, face), len(faces))
        if _suits(model, aligner, aligned, whole):
            return aligned
    if found.is_far:
        origin = getattr(image, "origin", image)
        name = f"{origin}: " if isinstance(origin, str | Path) else ""
        raise ImageError(f"{name}is not like the pictures that this model learned from: {found.words}; {advice}")
    return whole


def misfit(model: Generative, chosen: Portrait) -> Misfit | None:
    """Return how far a reconstruction is from the picture; None if the usual error is unknown."""
    if model.usual_error is None:
        return None
    pixels = chosen.seen(model)
    seen, drawn = (to_unit(each) for each in (model.as_seen(pixels), model.decode(model.encode([pixels]))[0]))
    error = float(np.square(drawn - seen).mean())
    usual_share = model.usual_error / (model.usual_error + _variance(to_unit(sample(model, DRAWN))))
    return Misfit(error / model.usual_error, error / max(_variance(seen[None]), error) / usual_share)


def _variance(pictures: np.ndarray) -> float:
    """Return the mean variance within pictures, (pictures, height, width, channels)."""
    return float(pictures.var(axis=(1, 2)).mean())


def _suits(model: Autoencoder, aligner: Aligner, face: Portrait, whole: Portrait) -> bool:
    """Tell whether a face suits the model better than the whole picture."""
    assert face.crop is not None
    if face.crop.side > FILLS * min(face.pixels.shape[:2]):
        return False
    found = misfit(model, face)
    return found is not None and not found.is_far and aligner.cost(face.seen(model)) < aligner.cost(whole.seen(model))
