"""Detection of foreign pictures among the good ones: a photograph in a folder of parts, for instance.

Each good picture is scored by a fit to others, so a foreign one scores higher than defects do, and p-values based on it
find no defects. A warning names pictures that are far from the bulk as whole pictures, if they are few.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetool.nn.base import ImageStore
from vaetool.scoring.calibration import Calibration
from vaetool.scoring.examples import different_ones
from vaetool.scoring.whole import WHOLE

FACTOR = 7.0
"""A picture is far if its score is this many times the median, which is up to 5 times in clean folders, and at least 10
times for photographs among parts; see docs/scoring.md,"""

FAR = 3.5
"""and if its logarithm is this many spreads above: the modified z-score of Iglewicz & Hoaglin 1993."""

SPREAD = 1.4826
"""The standard deviation of normal variables, in units of their median absolute deviation."""

MIN_TO_TELL = 10
"""Minimum number of good pictures for telling foreign ones from the bulk."""

MAX_NAMED = 3
MAX_NAME = 80
"""Maximum number of pictures named, and of characters in each name, since a model's file stores the message."""


def names_in_folds(images: ImageStore, folds: int) -> list[str]:
    """Return the names of the `different_ones`, fold after fold, as they are scored; empty without names."""
    different = different_ones(images)[0] if images.origins else []
    return [images.origins[index].name for fold in range(folds) for index in different[fold::folds]]


def foreign(calibration: Calibration, names: Sequence[str]) -> str | None:
    """Return a warning with the names of good pictures that are far from all others, the farthest first, or None.

    calibration: with good pictures, each scored by a fit to others. names: of these pictures, in the same order.
    """
    if len(names) < MIN_TO_TELL:
        return None
    scores = np.log(calibration.columns([WHOLE])[:, 0])
    above = scores - np.median(scores)
    least = max(np.log(FACTOR), FAR * SPREAD * np.median(np.abs(above)))
    far = [names[index] for index in np.argsort(-above) if above[index] > least]
    if not far:
        return None
    named = ", ".join(name if len(name) <= MAX_NAME else f"…{name[1 - MAX_NAME :]}" for name in far[:MAX_NAMED])
    if len(far) == 1:
        return (
            f"{named} is far from all other good pictures: is it good? If not, leave it out, or less distant defects "
            "pass for good"
        )
    count = f" and {len(far) - MAX_NAMED} more" if len(far) > MAX_NAMED else ""
    return (
        f"{named}{count} are far from all other good pictures: are they good? If not, leave them out, or less "
        "distant defects pass for good"
    )
