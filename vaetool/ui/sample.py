"""The tab Sample: new pictures, as made by `vaetool sample`, and sliders that change the code of one.

Codes travel to the page and back as lists of numbers, small pictures as data URLs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vaetool.errors import UsageError
from vaetool.images import Picture
from vaetool.latents.sample import draw, sheet
from vaetool.store.kinds import kinds_with_codes, kinds_with_modalities, kinds_with_pictures
from vaetool.ui.session import Item, Session
from vaetool.ui.views import inline, show

if TYPE_CHECKING:
    from vaetool.latents.autoencoder import Autoencoder
    from vaetool.latents.generative import Generative

Code = list[float]

MAX_COUNT = 256
SHOWN_UNITS = 8
MAX_UNITS = 1024  # all are tried to find the strongest; a code with places has thousands, each for a small part
REACH = 3.0  # standard deviations of a unit; a direction goes to 2, as in `vaetool morph`


@dataclass(frozen=True)
class Draw:
    """A request for new pictures; the numbers are those of `vaetool.latents.sample.draw`."""

    count: int = 16
    temperature: float = 1.0
    seed: int = 0
    model: str = "faces"


@dataclass(frozen=True)
class Decode:
    """A request for the pictures of codes."""

    codes: list[Code]
    model: str = "faces"


@dataclass(frozen=True)
class Axes:
    """A request for the sliders of a model."""

    model: str = "faces"


def samples(session: Session, request: Draw) -> dict[str, Any]:
    """Draw new pictures. The answer has `pictures` and `codes`, `words` on the prior, and describes the sheet."""
    if request.count > MAX_COUNT:
        raise UsageError(f"the page shows at most {MAX_COUNT} pictures: `vaetool sample -n` makes more")
    with session.working():
        model = generator(session, request.model)
        drawn = draw(model, request.count, temperature=request.temperature, seed=request.seed)
        pictures = model.decode(drawn.codes)
    return {
        **show(session, Item(f"{request.model}.samples.png", Picture(sheet(pictures)))),
        "pictures": [inline(pixels) for pixels in pictures],
        "codes": drawn.codes.tolist(),
        "words": drawn.words,
    }


def decode(session: Session, request: Decode) -> dict[str, Any]:
    """Decode codes to pictures. The answer also describes the first one, so that it can be saved."""
    with session.working():
        model = generator(session, request.model)
        pictures = model.decode(_codes(model, request.codes))
    return {
        **show(session, Item(f"{request.model}.sample.png", Picture(pictures[0]))),
        "pictures": [inline(pixels) for pixels in pictures],
    }


def axes(session: Session, request: Axes) -> dict[str, Any]:
    """List the sliders: `axes` with a name, a range, and the change of the code for each step of 1.

    These are the model's named directions, and the units that change its pictures most.
    """
    with session.working():
        model = generator(session, request.model)
        named = [
            {"name": name, "reach": 2.0, "vector": vector.tolist()}
            for name, (vector, _) in model.named_directions().items()
        ]
        sigma = model.code_sigma.cpu().numpy()
        units = [
            {"name": f"z{unit}", "reach": REACH, "vector": (np.eye(len(sigma))[unit] * sigma).tolist()}
            for unit in _strongest(model)
        ]
    return {"axes": named + units}


def autoencoder(session: Session, name: str) -> Autoencoder:
    """Return a model with codes. Raises as `vaetool.load` does."""
    model: Autoencoder = session.model(name, *kinds_with_codes())
    return model


def generator(session: Session, name: str) -> Generative:
    """Return a model that makes pictures or pairs, even if single pictures have no codes, as with pairs or a `gan`.

    Raises as `vaetool.load` does.
    """
    model: Generative = session.model(name, *kinds_with_pictures(), *kinds_with_modalities())
    return model


def _codes(model: Generative, codes: list[Code]) -> np.ndarray:
    lengths = {len(code) for code in codes}
    if lengths != {model.config.numbers} or len(codes) > MAX_COUNT:
        raise UsageError(f"expected from 1 to {MAX_COUNT} codes of {model.config.numbers} numbers")
    values = np.array(codes, np.float32)
    if not np.isfinite(values).all():
        raise UsageError("codes must be numbers")
    return values


def _strongest(model: Generative) -> list[int]:
    """Return the units that change the mean picture most, the strongest first."""
    if model.config.numbers > MAX_UNITS:
        return []
    mean, sigma = model.code_mean.cpu().numpy(), model.code_sigma.cpu().numpy()
    ends = [model.decode(mean + step * REACH * np.diag(sigma)).astype(np.float32) for step in (-1, 1)]
    change = np.abs(ends[1] - ends[0]).mean(axis=(1, 2, 3))
    return np.argsort(-change, kind="stable")[:SHOWN_UNITS].tolist()
