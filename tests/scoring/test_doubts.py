"""What is said against verdicts, and against good pictures."""

from __future__ import annotations

import numpy as np
import pytest

from vaetool.scoring.calibration import Level
from vaetool.scoring.doubts import too_few_for


@pytest.mark.parametrize(("least", "needed"), [(1, 299), (2, 149), (4, 74)])
def test_how_many_good_pictures_a_false_discovery_rate_takes_is_said(least, needed):
    level = Level(None, 0.1, 40)

    def p_values(count: int) -> np.ndarray:
        return np.repeat([1 / (count + 1), 0.5], [least, 30 - least])

    words = too_few_for(level, p_values(40), 40)
    assert f"{least} of these 30 pictures" in words
    assert words.endswith(f"takes {needed} good pictures or more")
    assert level.threshold(p_values(needed - 1)) < 0 < level.threshold(p_values(needed))
    assert too_few_for(level, p_values(needed), needed) is None


def test_nothing_is_said_of_good_pictures_too_few_where_none_is_less_usual_than_all():
    assert too_few_for(Level(None, 0.1, 40), np.full(30, 2 / 41), 40) is None
    assert too_few_for(Level(0.05, None, 40), np.full(30, 1 / 41), 40) is None
