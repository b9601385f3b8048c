"""Good pictures that a model of features is fitted to, and their copies that also count as good.

A copy is a picture turned or mirrored. A round part may lie at any angle under the camera, so that its copies look as
usual as it does, and stand in for missing good pictures; a tile that is lit from one side must not be turned. The good
pictures themselves decide: some are fitted, and others are compared with their copies by that fit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from vaetool.nn.base import ImageStore
from vaetool.scoring.copies import without_copies
from vaetool.scoring.deep import MAX_IMAGES, DeepFeatures, extract_all, together

Copy = Literal["mirrored", "flipped", "turned 90", "turned 180", "turned 270", "transposed", "antitransposed"]
"""Kinds of copies: left becomes right; top becomes bottom; turned counter-clockwise; mirrored about either diagonal."""

COPIES: tuple[Copy, ...] = get_args(Copy)

_QUARTER_TURNS = {"turned 90": 1, "turned 180": 2, "turned 270": 3}
_AXES = {"mirrored": 3, "flipped": 2}

MAX_EXAMPLES = 1200
"""Maximum number of pictures and copies for a fit, unless there are more pictures."""

MAX_TOLD_APART = 0.65
"""Copies count as good if they have the higher score in at most this share of pairs of picture and copy."""

TESTED = 48
"""Maximum number of good pictures whose copies are examined to decide that."""

MIN_TO_TELL = 6
"""Number of good pictures below which all copies count, since too few cannot decide and examples help more than they
harm.
"""

TEST_FOLDS = 3
MAX_FITTED = 300
"""Number of folds of those pictures, and maximum number of pictures of a fit that decides on copies."""


class Examples(NamedTuple):
    """The features of good pictures, and of their copies for each kind of copy that is used."""

    pictures: DeepFeatures
    copies: tuple[DeepFeatures, ...]

    def __len__(self) -> int:
        """Return the number of pictures without copies."""
        return len(self.pictures.glance)

    def part(self, chosen: Tensor) -> Examples:
        """Return some of the pictures, and their copies."""
        return Examples(self.pictures.part(chosen), tuple(copy.part(chosen) for copy in self.copies))

    def joined(self) -> DeepFeatures:
        """Return the features of pictures and copies together."""
        return together(self.pictures, *self.copies) if self.copies else self.pictures


def different_ones(images: ImageStore) -> tuple[list[int], str]:
    """Return the images to fit a model to, at most `MAX_IMAGES` that look different, and words about the others.

    A copy in another fold would make a picture look too usual.
    """
    different = without_copies(images.thumbnails())
    words = ""
    if copies := len(images) - len(different):
        words += f" ({copies} of {len(images)} look the same as others, and are left out)"
    if (more := len(different) - MAX_IMAGES) > 0:
        words += f" ({more} more than can be used are left out)"
    return different[:MAX_IMAGES], words


def copied(x: Tensor, copy: Copy) -> Tensor:
    """Return copies of square pictures, (batch, channels, side, side)."""
    if copy in _AXES:
        return x.flip(_AXES[copy])
    if copy in _QUARTER_TURNS:
        return x.rot90(_QUARTER_TURNS[copy], (2, 3))
    return x.transpose(2, 3) if copy == "transposed" else x.rot90(2, (2, 3)).transpose(2, 3)


def extract_copies(images: ImageStore, size: int, copy: Copy, limit: int | None = None) -> DeepFeatures:
    """Return the features of copies of images; limit: maximum number of images."""
    return extract_all(images, size, lambda x: copied(x, copy), limit)


def usual_copies(
    pictures: DeepFeatures, images: ImageStore, size: int, scores: Callable[[DeepFeatures, DeepFeatures], np.ndarray]
) -> tuple[Copy, ...]:
    """Return the kinds of copies that look as usual as good pictures, the most usual first.

    scores: returns the scores of pictures, (images,), by a fit to others.
    """
    from sklearn.metrics import roc_auc_score

    if len(pictures.glance) < MIN_TO_TELL:
        return COPIES
    room = MAX_EXAMPLES // len(pictures.glance) - 1
    if room < 1:
        return ()
    count = min(TESTED, len(pictures.glance))
    candidates = [pictures.part(slice(count)), *(extract_copies(images, size, copy, count) for copy in COPIES)]
    number = torch.arange(min(MAX_FITTED, len(pictures.glance)))
    parts: list[list[np.ndarray]] = [[] for _ in candidates]
    for fold in range(TEST_FOLDS):
        tested = (number < count) & (number % TEST_FOLDS == fold)
        found = scores(pictures.part(number[~tested]), together(*(seen.part(number[tested]) for seen in candidates)))
        for part, values in zip(parts, np.split(found, len(candidates)), strict=True):
            part.append(values)
    original, *copies = (np.concatenate(part) for part in parts)
    truth = np.repeat([0, 1], count)
    told_apart = {
        copy: float(roc_auc_score(truth, np.concatenate([original, values])))
        for copy, values in zip(COPIES, copies, strict=True)
    }
    usual = sorted((copy for copy in COPIES if told_apart[copy] <= MAX_TOLD_APART), key=told_apart.__getitem__)
    return tuple(usual[:room])
