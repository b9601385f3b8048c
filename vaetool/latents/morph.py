"""The task behind `vaetool morph`: the pictures in between others, and a picture that changes in one respect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vaetool.errors import UsageError
from vaetool.images.sources import find_sources
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.directions import direction_between
from vaetool.latents.explore import encode_sources
from vaetool.latents.interpolation import PATHS, chain, lerp


def morph(
    model: Autoencoder, images: Sequence[Any], *, frames: int = 24, path: str = "slerp", loop: bool = False
) -> np.ndarray:
    """Morph from picture to picture through their codes: (frames, size, size, channels) uint8.

    images: two or more, of any kind (see `vaetool.images.conversion.unpack`); the reconstruction of each is one of the
    frames.
    path: "slerp", on which codes stay as far from the centre as those of pictures are, or "lerp", the straight line.
    loop: return to the first picture; the last frame is one step before it.
    Raises UsageError, and ImageError for files.
    """
    if path not in PATHS:
        raise UsageError(f"path must be {' or '.join(PATHS)}, not {path!r}")
    if len(images) < 2:
        raise UsageError("a morph goes from one picture to another: name two or more, or a direction")
    if frames < len(images):
        raise UsageError(f"{len(images)} pictures need as many frames or more, not {frames}")
    return model.decode(chain(model.encode(images), frames, PATHS[path], *_spread(model), loop=loop))


def morph_along(
    model: Autoencoder,
    image: Any,
    vector: np.ndarray,
    *,
    alpha: tuple[float, float] = (-2.0, 2.0),
    frames: int = 24,
    loop: bool = False,
) -> np.ndarray:
    """Move the code of a picture along a direction, z + alpha · vector: (frames, size, size, channels) uint8.

    image: of any kind. vector: (latent,), see `find_direction`. alpha: of the first and the last frame; 0 is the
    reconstruction. loop: there and back again.
    Raises UsageError, and ImageError for a file.
    """
    if frames < 2:
        raise UsageError(f"a morph needs two frames or more, not {frames}")
    ends = model.encode([image]) + np.outer(alpha, vector)
    return model.decode(chain(ends, frames, lerp, *_spread(model), loop=loop))


def find_direction(
    model: Autoencoder,
    direction: str | Path,
    against: str | Path | None = None,
    *,
    warn: Callable[[str], None] = lambda message: None,
) -> tuple[np.ndarray, float]:
    """Return a direction in the latent space, (latent,), and its held-out AUC (see `vaetool.latents.directions`).

    direction: a name that the model knows (`Autoencoder.named_directions`); or, together with `against`, pictures that
    have an attribute, `against` being pictures that lack it: folders, zip files, `torchvision:NAME`. One times the
    vector leads from the mean code of the latter to that of the former. warn: called with a message for each file that
    cannot be read.
    Raises UsageError, also for a direction that means little, with an AUC below 0.6.
    """
    if against is not None:
        having, lacking = (encode_sources(model, find_sources([place]), warn)[1] for place in (direction, against))
        return direction_between(having, lacking)
    known = model.named_directions()
    if direction not in known:
        names = f"it has {', '.join(known)}" if known else "it has none"
        raise UsageError(
            f"the model has no direction {str(direction)!r} ({names}); to make one from pictures, "
            "give --direction FOLDER --against FOLDER"
        )
    return known[str(direction)]


def _spread(model: Autoencoder) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of the model's codes, (latent,) each."""
    return model.code_mean.cpu().numpy(), model.code_sigma.cpu().numpy()
