"""Drawn defects are where the mask says, and can be seen."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from vaetool.errors import UsageError
from vaetool.scoring.drawn import Defects, Draw, add_defects, draw_shapes

SIZE = 64


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def textured(count: int, channels: int = 1) -> torch.Tensor:
    """Grey pictures with grain, as of metal."""
    return 0.5 + 0.05 * torch.randn((count, channels, SIZE, SIZE), generator=seeded(1))


ALWAYS = Defects(clean=0.0, lighting=0.0)


def test_a_picture_that_is_left_as_it_is_has_no_defect_marked():
    drawn = add_defects(textured(200), seeded(), Defects(clean=0.5))
    untouched = (drawn.defective == drawn.clean).all(dim=(1, 2, 3))
    assert 60 < untouched.sum() < 140
    assert not drawn.mask[untouched].any()


def test_what_is_marked_has_changed_and_can_be_seen():
    drawn = add_defects(textured(100), seeded(), ALWAYS)
    change = (drawn.defective - drawn.clean).abs()
    per_picture = (change * drawn.mask).sum(dim=(1, 2, 3)) / drawn.mask.sum(dim=(1, 2, 3)).clamp_min(1)
    marked = drawn.mask.any(dim=3).any(dim=2)[:, 0]
    assert marked.float().mean() > 0.8
    assert (per_picture[marked] > 2 / 255).all()


def test_far_from_what_is_marked_nothing_changes_much():
    drawn = add_defects(textured(100), seeded(), ALWAYS)
    near = F.max_pool2d(drawn.mask, 15, 1, 7)
    change = F.avg_pool2d((drawn.defective - drawn.clean).abs(), 7, 1, 3)
    assert (change * (1 - near)).max() < 8 / 255


def test_most_defects_are_small_and_some_are_large():
    share = add_defects(textured(300), seeded(), ALWAYS).mask.mean(dim=(1, 2, 3))
    assert (share < 0.05).float().mean() > 0.3
    assert (share > 0.2).float().mean() > 0.1
    assert (share < 0.95).all()


def test_cracks_are_long_and_thin():
    draw = Draw(seeded(), 99, SIZE, SIZE)
    shapes = draw_shapes(draw)
    covered = (shapes.cover > 0.5).float()
    cores = 1 - F.max_pool2d(1 - covered, 13, 1, 6)  # what is left without six pixels all around
    slim = shapes.thin.flatten()
    assert slim.sum() >= 33
    assert not cores[slim].any()
    assert cores[~slim].any()


def test_defects_in_colour_pictures_are_where_they_are_in_all_colours():
    drawn = add_defects(textured(12, channels=3), seeded(), ALWAYS)
    assert drawn.defective.shape == (12, 3, SIZE, SIZE)
    assert drawn.mask.shape == (12, 1, SIZE, SIZE)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_batch_may_be_small_and_pictures_need_not_be_square(count):
    drawn = add_defects(torch.rand((count, 1, 40, 72)), seeded(), ALWAYS)
    assert drawn.defective.shape == (count, 1, 40, 72)
    assert 0 <= drawn.defective.min() <= drawn.defective.max() <= 1
    assert set(drawn.mask.unique().tolist()) <= {0.0, 1.0}


def test_the_same_seed_draws_the_same_defects():
    first, again = (add_defects(textured(6), seeded(3), ALWAYS) for _ in range(2))
    assert torch.equal(first.defective, again.defective)
    assert torch.equal(first.mask, again.mask)


def test_light_changes_without_being_a_defect():
    drawn = add_defects(textured(50), seeded(), Defects(clean=0.999, lighting=0.3))
    assert drawn.clean.mean(dim=(1, 2, 3)).std() > 0.03


@pytest.mark.parametrize("key", ["clean", "lighting"])
def test_a_share_out_of_range_is_refused_by_name(key):
    with pytest.raises(UsageError, match=f"corruption.{key} must be at least 0 and below 1"):
        Defects(**{key: 1.0})
