"""The holes that training cuts into pictures."""

from __future__ import annotations

import pytest
import torch

from vaetool.errors import UsageError
from vaetool.inpainting import masks
from vaetool.inpainting.masks import MAX_SHARE, Masks, draw_masks, patches
from vaetool.nn.shapes import Draw

KINDS = (masks._strokes, masks._boxes, masks._blots, masks._scratches, masks._text)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("size", [(64, 64), (48, 96)], ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_every_mask_has_a_hole_and_something_else(size, seed):
    drawn = draw_masks(seeded(seed), 24, *size, Masks())
    share = drawn.mean(dim=(1, 2, 3))
    assert drawn.shape == (24, 1, *size)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert ((share > 0) & (share <= MAX_SHARE)).all()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_draws_holes_that_differ(kind):
    drawn = kind(Draw(seeded(), 16, 96, 96))
    share = drawn.float().mean(dim=(1, 2, 3))
    assert drawn.shape == (16, 1, 96, 96)
    assert (share > 0).float().mean() > 0.7  # some are beyond the border
    assert 0.005 < share.mean() < 0.6
    assert len({bytes(one.numpy().tobytes()) for one in drawn}) > 10


@pytest.mark.parametrize("settings", [Masks(), Masks(patch=8)], ids=["all kinds", "patches"])
def test_the_same_seed_gives_the_same_masks(settings):
    drawn, again, other = (draw_masks(seeded(seed), 12, 64, 64, settings) for seed in (0, 0, 1))
    assert torch.equal(drawn, again)
    assert not torch.equal(drawn, other)


@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("side", [8, 16])
def test_the_share_of_patches_is_exact_in_every_picture(side, ratio):
    drawn = draw_masks(seeded(), 6, 64, 96, Masks(patch=side, ratio=ratio))
    assert drawn.mean(dim=(1, 2, 3)).tolist() == [ratio] * 6
    squares = drawn.unfold(2, side, side).unfold(3, side, side).flatten(4)
    assert torch.equal(squares.amin(dim=4), squares.amax(dim=4))  # each is hidden as a whole or not at all


@pytest.mark.parametrize(("ratio", "hidden"), [(0.01, 1), (0.99, 3)])
def test_one_patch_is_hidden_and_one_is_not(ratio, hidden):
    drawn = patches(Draw(seeded(), 4, 32, 32), 16, ratio)
    assert drawn.sum(dim=(1, 2, 3)).tolist() == [hidden * 256.0] * 4


def test_patches_are_cut_off_at_the_borders():
    assert patches(Draw(seeded(), 2, 30, 41), 16, 0.5).shape == (2, 1, 30, 41)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"patch": -1}, "patch"),
        ({"patch": 257}, "patch"),
        ({"patch": 8, "ratio": 0.0}, "ratio"),
        ({"patch": 8, "ratio": 1.0}, "ratio"),
        ({"ratio": 0.5}, "patch"),
        ({"refined": 1.1}, "refined"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_by_name(wrong, told):
    with pytest.raises(UsageError, match=rf"corruption\.{told}"):
        Masks(**wrong)
