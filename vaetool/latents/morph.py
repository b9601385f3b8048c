"""The task behind `vaetool morph`: the pictures in between others, and a picture that changes in one respect."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vaetool.errors import UsageError
from vaetool.images.animation import check_size, resize
from vaetool.images.conversion import LUMA
from vaetool.images.metrics import psnr
from vaetool.images.sources import find_sources
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.directions import direction_between
from vaetool.latents.explore import encode_sources
from vaetool.latents.generative import Generative
from vaetool.latents.interpolation import PATHS, chain, lerp
from vaetool.latents.portraits import Box, Portrait, portraits
from vaetool.latents.sample import draw
from vaetool.store.headers import with_article
from vaetool.store.kinds import kinds_with_codes

FRAME_SIZE = 256
"""Smallest side, in pixels, of frames if nothing is said: those of a small model are hard to see."""


@dataclass(frozen=True)
class Morph:
    """Frames, (frames, height, width, channels) uint8, and what was found out on the way to them.

    portraits: what was taken of each picture. psnrs: how close the codes come to these, in dB, if they were searched
    for. auc: of the direction, see `find_direction`.
    """

    frames: np.ndarray
    portraits: Sequence[Portrait] = ()
    psnrs: Sequence[float] | None = None
    auc: float | None = None


def make_morph(
    model: Generative,
    images: Sequence[Any] = (),
    *,
    seeds: Sequence[int] = (),
    direction: str | Path | None = None,
    against: str | Path | None = None,
    alpha: tuple[float, float] = (-1.0, 2.0),
    frames: int = 24,
    path: str = "slerp",
    loop: bool = False,
    crop: Sequence[Box | None] = (),
    size: int | None = None,
    say: Callable[[str], None] = lambda message: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Morph:
    """Morph from image to image, between the new pictures of seeds, or one image along a direction.

    The parameters are those of `vaetool.morph`; say, warn: called with what is found out on the way. Raises UsageError,
    ImageError.
    """
    if seeds and (len(images) or direction is not None):
        raise UsageError("seeds morph between new pictures: give neither images nor a direction with them")
    if direction is not None:
        if len(images) != 1:
            raise UsageError(f"a direction changes one picture, not {len(images)}")
        vector, auc = find_direction(model, direction, against, warn=warn)
        say(f"direction {direction}: tells held-out pictures apart with an AUC of {auc:.3f}")
        chosen = portraits(model, images, crop, warn=warn)
        changed = change_portrait(model, chosen[0], vector, alpha=alpha, frames=frames, loop=loop, size=size)
        return Morph(changed, chosen, auc=auc)
    chosen, psnrs = [], None
    if seeds:
        codes = codes_of_seeds(model, seeds)
    else:
        _check_path(len(images), frames, path)
        chosen = portraits(model, images, crop, warn=warn)
        seen = [each.seen(model) for each in chosen]
        codes = model.encode(seen)
        if not isinstance(model, Autoencoder):
            psnrs = reconstruction_psnrs(model, seen, codes)
    pixels = morph_codes(model, codes, frames=frames, path=path, loop=loop)
    return Morph(resize(pixels, size or frame_size(model)), chosen, psnrs)


def morph(
    model: Generative, images: Sequence[Any], *, frames: int = 24, path: str = "slerp", loop: bool = False
) -> np.ndarray:
    """Morph from picture to picture through their codes: (frames, size, size, channels) uint8.

    images: two or more, of any kind (see `vaetool.images.conversion.unpack`); the reconstruction of each is one of the
    frames. The other parameters are those of `morph_codes`. Raises UsageError, and ImageError for files.
    """
    _check_path(len(images), frames, path)
    return morph_codes(model, model.encode(images), frames=frames, path=path, loop=loop)


def morph_codes(
    model: Generative, codes: np.ndarray, *, frames: int = 24, path: str = "slerp", loop: bool = False
) -> np.ndarray:
    """Morph from code to code, (codes, latent): (frames, size, size, channels) uint8.

    path: "slerp", on which codes stay as far from the centre as those of pictures are, or "lerp", the straight line.
    loop: return to the first code; the last frame is one step before it.
    Raises UsageError.
    """
    _check_path(len(codes), frames, path)
    return model.decode(chain(codes, frames, PATHS[path], *_spread(model), loop=loop))


def _check_path(stops: int, frames: int, path: str) -> None:
    if path not in PATHS:
        raise UsageError(f"path must be {' or '.join(PATHS)}, not {path!r}")
    if stops < 2:
        raise UsageError("a morph goes from one picture to another: name two or more, or a direction")
    if frames < stops:
        raise UsageError(f"{stops} pictures need as many frames or more, not {frames}")


def codes_of_seeds(model: Generative, seeds: Sequence[int]) -> np.ndarray:
    """Return the code of the one picture that `vaetool sample -n 1` draws from each seed: (seeds, latent)."""
    return np.concatenate([draw(model, 1, seed=seed).codes for seed in seeds])


def reconstruction_psnrs(model: Generative, images: Sequence[Any], codes: np.ndarray) -> list[float]:
    """Return the PSNR in dB of the picture of each code, (images, latent), against images of any kind."""
    originals = map(model.as_seen, images)
    return [psnr(ours, theirs, peak=255) for ours, theirs in zip(model.decode(codes), originals, strict=True)]


def morph_along(
    model: Generative,
    image: Any,
    vector: np.ndarray,
    *,
    alpha: tuple[float, float] = (-1.0, 2.0),
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


def change_portrait(
    model: Generative,
    chosen: Portrait,
    vector: np.ndarray,
    *,
    alpha: tuple[float, float] = (-1.0, 2.0),
    frames: int = 24,
    loop: bool = False,
    size: int | None = None,
) -> np.ndarray:
    """Move the code of a portrait along a direction: (frames, height, width, channels) uint8.

    What changes in the reconstruction of its crop is added to its picture, so that nothing else changes and details
    stay; 0 is the picture itself. Without a crop, frames are what `morph_along` gives. size: pixels of the longer side,
    instead of the picture's, or of `frame_size` without a crop.
    Raises UsageError, as `check_size`.
    """
    moved = morph_along(model, chosen.seen(model), vector, alpha=alpha, frames=frames, loop=loop)
    if chosen.crop is None:
        return resize(moved, size or frame_size(model))
    shown = chosen.resized(size)
    assert shown.crop is not None
    height, width, channels = shown.pixels.shape
    check_size(frames, height, width)
    start = model.decode(model.encode([chosen.seen(model)]))[0].astype(np.float32)
    changes = (_in_channels(frame - start, channels) for frame in moved)
    return np.stack([shown.crop.put_back(shown.pixels, change) for change in changes])


def frame_size(model: Generative) -> int:
    """Return the default side of frames, in pixels."""
    return max(FRAME_SIZE, model.config.size)


def _in_channels(change: np.ndarray, channels: int) -> np.ndarray:
    """Return a change, (size, size, 1 or 3), in one channel or three."""
    if change.shape[2] > channels:
        return (change @ np.array(LUMA, np.float32))[:, :, None]
    return np.broadcast_to(change, (*change.shape[:2], channels))


def find_direction(
    model: Generative,
    direction: str | Path,
    against: str | Path | None = None,
    *,
    warn: Callable[[str], None] = lambda message: None,
) -> tuple[np.ndarray, float]:
    """Return a direction in the latent space, (latent,), and its held-out AUC (see `vaetool.latents.directions`).

    direction: a name that the model knows (`Generative.named_directions`); or, together with `against`, pictures that
    have an attribute, `against` being pictures that lack it: folders, zip files, `torchvision:NAME`. One times the
    vector leads from the mean code of the latter to that of the former. warn: called with a message for each file that
    cannot be read.
    Raises UsageError, also for a direction that means little, with an AUC below 0.6, and for a model without encoder.
    """
    if not isinstance(model, Autoencoder):
        kinds = " or ".join(map(with_article, kinds_with_codes()))
        raise UsageError(f"{with_article(model.kind)} has no encoder to find a direction with: it takes {kinds}")
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


def _spread(model: Generative) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean and the standard deviation of the model's codes, (latent,) each."""
    return model.code_mean.cpu().numpy(), model.code_sigma.cpu().numpy()
