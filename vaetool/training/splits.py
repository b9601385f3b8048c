"""Splitting images into those to train on, held-out ones for measurements, and ones set aside to calibrate scores."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from vaetool.errors import TrainingError
from vaetool.images.sources import Source
from vaetool.scoring.copies import groups_of_copies
from vaetool.scoring.measurement import MAX_IMAGES, MIN_IMAGES
from vaetool.training.data import PixelStore

MIN_TO_CALIBRATE = 30
"""Number of images for calibration, if there are enough: more than their share of a small folder."""


def split(sources: Sequence[Source], held_out: float, seed: int, most: int) -> tuple[list[Source], list[Source]]:
    """Split sources into those to train on and held-out ones, at least one of each, determined by the seed.

    held_out: share of held-out ones, at random. most: their maximum number. Raises TrainingError for fewer than two.
    """
    if len(sources) < 2:
        raise TrainingError("training needs at least two readable images: one is held out to measure on")
    order = random.Random(seed).sample(range(len(sources)), len(sources))
    count = min(max(1, round(held_out * len(sources))), most, len(sources) - 1)
    return [sources[i] for i in sorted(order[count:])], [sources[i] for i in sorted(order[:count])]


class SetAside(NamedTuple):
    """Images to train on, images to calibrate scores with, in random order, and a message about copies, if any."""

    training: PixelStore
    unseen: tuple[Source, ...] = ()
    words: str | None = None


def number_to_calibrate(count: int, share: float) -> int:
    """Return the number of images, of `count`, for calibrating scores.

    Of few images, more than their share are taken, since p-values need them: at least 30, but at most one in three. Of
    many, at most 1000, which resolve a thousandth. 0 if that would be fewer than 10, which cannot resolve a p-value of
    .1. The network is trained once, on the others: there is no cross-validation.
    """
    wanted = max(MIN_TO_CALIBRATE, round(share * count))
    number = min(wanted, count // 3, MAX_IMAGES) if share else 0
    return number if number >= MIN_IMAGES else 0


def set_aside(store: PixelStore, share: float, seed: int) -> SetAside:
    """Set images aside for calibrating scores after training, determined by the seed.

    An image and its copies are on the same side: copies of those set aside are neither trained on nor used to
    calibrate.
    """
    wanted = number_to_calibrate(store.sources, share)
    if not wanted:
        return SetAside(store)
    first: dict[str, int] = {}  # a file may be there at several scales
    for index, source in enumerate(store.origins):
        first.setdefault(source.origin, index)
    files = sorted(first.values(), key=lambda index: (store.origins[index].name, store.origins[index].origin))
    order = random.Random(f"calibration {seed}").sample(range(len(files)), len(files))
    groups = list(groups_of_copies(store.part(files).thumbnails(), order, MAX_IMAGES))
    copies = sum(len(group) - 1 for group in groups)
    chosen: list[int] = []
    out: set[str] = set()
    for group in groups:
        if len(chosen) < wanted and len(out) + len(group) <= max(wanted, len(files) // 3):
            chosen.append(files[group[0]])
            out.update(store.origins[files[index]].origin for index in group)
    words = None
    if copies:
        words = (
            f"{copies} of {len(files)} images look the same as others: copies of a picture count as one in "
            "calibration, and are either all trained on or all left out"
        )
    if len(chosen) < MIN_IMAGES:
        return SetAside(store, words=words)
    kept = [index for index, source in enumerate(store.origins) if source.origin not in out]
    return SetAside(store.part(kept), tuple(store.origins[index] for index in chosen), words)
