"""Detection of near copies among good pictures: a photo that was saved twice, a burst, frames of a still scene.

Split-conformal p-values assume that the pictures of a calibration are as new to a model as those that it will judge.
A picture whose copy was trained on is not, and copies within a calibration count a picture several times.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

SIDE = 32
"""Side, in pixels, of the thumbnails by which pictures are compared, regardless of brightness."""

SAME = 0.05
"""Maximum distance of two copies, as a share of the median distance of two pictures,"""

LEVELS = 0.25 / 255
"""or as a root mean square difference."""

MIN_OTHERS, GAP, FAR = 4, 2.0, 0.5
"""A picture and at least this many others are near copies, too, if they are within a share `FAR` of that median and the
next one is `GAP` times as far. Where pictures differ in d ways, the probability that the one after the k nearest is
that much farther is `GAP` to the power −k d: one in 256 for four in two ways."""

SAMPLE = 200  # pictures, at random, between which the median distance is found
BATCH = 128  # pictures that are compared with all others at once

MAX_COMPARED = 5000
"""Maximum number of pictures compared with each other; more would take minutes."""


def groups_of_copies(thumbnails: Tensor, order: Sequence[int], most: int) -> Iterator[list[int]]:
    """Yield groups: pictures that look different, each followed by its copies; no picture is in two groups.

    thumbnails: (pictures, numbers). order: of examining pictures. most: maximum number of groups.
    """
    centred = thumbnails - thumbnails.mean(dim=0)
    squares = centred.square().sum(dim=1)
    some = centred[list(order[:SAMPLE])]
    distances = torch.pdist(some)
    median = distances.median().item() if len(distances) else 0.0
    taken = torch.zeros(len(centred), dtype=torch.bool, device=centred.device)
    found = 0
    for start in range(0, len(order), BATCH):
        chunk = torch.tensor(order[start : start + BATCH], device=centred.device)
        rows = squares[chunk, None] + squares - 2 * centred[chunk] @ centred.T
        rows = rows.clamp_min(0).sqrt()
        rows[torch.arange(len(chunk)), chunk] = 0
        for index, row in zip(chunk.tolist(), rows, strict=True):
            if taken[index]:
                continue
            copies = (row <= _reach(row, median, centred.shape[1])) & ~taken
            copies[index] = False
            taken |= copies
            taken[index] = True
            yield [index, *copies.nonzero()[:, 0].tolist()]
            found += 1
            if found == most:
                return


def _reach(row: Tensor, median: float, numbers: int) -> float:
    """Return the distance up to which pictures are copies of one, given all distances from it."""
    same = max(SAME * median, LEVELS * numbers**0.5)
    is_near = row <= FAR * median
    near, others = row[is_near].sort().values[1:], row[~is_near]
    if len(near) < MIN_OTHERS or not len(others):
        return same
    steps = torch.cat([near, others.min()[None]])[MIN_OTHERS - 1 :]
    gaps = (steps[1:] >= GAP * steps[:-1]).nonzero()
    return max(same, steps[int(gaps[0])].item()) if len(gaps) else same


def without_copies(thumbnails: Tensor) -> list[int]:
    """Return pictures that look different, in order, only the first of copies; all if more than `MAX_COMPARED`."""
    count = len(thumbnails)
    if count > MAX_COMPARED:
        return list(range(count))
    return [group[0] for group in groups_of_copies(thumbnails, range(count), count)]


def thumbnail(image: Tensor) -> Tensor:
    """Return the thumbnail by which a picture, (channels, height, width) in 0..1, is compared: (channels · SIDE²,)."""
    small = F.adaptive_avg_pool2d(image, SIDE).flatten(1)
    return (small - small.mean(dim=1, keepdim=True)).flatten()
