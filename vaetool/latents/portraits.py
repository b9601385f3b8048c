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

Box = tuple[int, int, int, int]

MAX_MISFIT = 3.0
"""Maximum error, as a multiple of the usual one, exceeded by one in two hundred pictures like those of training."""

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
        error = misfit(model, chosen)
        if error is not None and error > MAX_MISFIT:
            warn(f"the crop {chosen.crop} is not like the pictures that this model learned from: {_words(error)}")
        return chosen
    whole = Portrait(pixels, None)
    error = misfit(model, whole)
    if error is None or not isinstance(model, Autoencoder):
        return whole
    faces, advice = [], "crop it as those are, with --crop X,Y,W,H"
    if min(pixels.shape[:2]) > 2 * model.config.size:
        try:
            faces = find_faces(pixels)
        except ModuleNotFoundError:
            advice = f"pip install 'vaetool[portraits]' to have faces found, or {advice}"
    aligner = Aligner(model)
    for face in faces:
        found = Portrait(pixels, aligner.align(pixels, face), len(faces))
        if _suits(model, aligner, found, whole):
            return found
    if error > MAX_MISFIT:
        origin = getattr(image, "origin", image)
        name = f"{origin}: " if isinstance(origin, str | Path) else ""
        raise ImageError(f"{name}is not like the pictures that this model learned from: {_words(error)}; {advice}")
    return whole


def misfit(model: Generative, chosen: Portrait) -> float | None:
    """Return the squared error of a reconstruction as a multiple of the usual one; None if that is unknown."""
    if model.usual_error is None:
        return None
    pixels = chosen.seen(model)
    seen, drawn = (to_unit(each) for each in (model.as_seen(pixels), model.decode(model.encode([pixels]))[0]))
    error = np.square(drawn - seen).mean()
    return float(error / model.usual_error)


def _suits(model: Autoencoder, aligner: Aligner, face: Portrait, whole: Portrait) -> bool:
    """Tell whether a face suits the model better than the whole picture."""
    assert face.crop is not None
    if face.crop.side > FILLS * min(face.pixels.shape[:2]):
        return False
    error = misfit(model, face)
    return (
        error is not None and error <= MAX_MISFIT and aligner.cost(face.seen(model)) < aligner.cost(whole.seen(model))
    )


def _words(error: float) -> str:
    return f"its squared error is {error:.1f} times the usual one"
