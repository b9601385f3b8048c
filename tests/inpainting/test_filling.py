"""Smooth fillings, batched."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaetool.images.filling import fill_hidden
from vaetool.inpainting.filling import push_pull

SIZES = [(1, 1), (1, 7), (16, 16), (33, 47), (64, 5)]


def case(height: int, width: int, share: float = 0.6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pictures = torch.rand((2, 3, height, width), generator=generator)
    return pictures, (torch.rand((2, 1, height, width), generator=generator) < share).float()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_it_is_what_is_done_for_hidden_colours(size):
    pictures, hole = case(*size)
    filled = push_pull(pictures, hole)
    for picture, inside, ours in zip(pictures, hole, filled, strict=True):
        theirs = fill_hidden(picture.permute(1, 2, 0).numpy(), inside[0].numpy() == 0)
        np.testing.assert_allclose(ours.permute(1, 2, 0).numpy(), theirs, atol=1e-5)


def test_the_known_stays_exactly_as_it_is():
    pictures, hole = case(33, 47)
    assert torch.equal(push_pull(pictures, hole) * (1 - hole), pictures * (1 - hole))


def test_what_is_filled_is_between_what_is_known():
    pictures, hole = case(40, 40, share=0.95)
    filled = push_pull(pictures, hole)
    known = torch.where(hole > 0, torch.nan, pictures).flatten(2)
    low, high = known.nan_to_num(torch.inf).amin(dim=2), known.nan_to_num(-torch.inf).amax(dim=2)
    assert (filled.flatten(2).amin(dim=2) >= low - 1e-6).all()
    assert (filled.flatten(2).amax(dim=2) <= high + 1e-6).all()


def test_what_is_hidden_has_no_influence():
    pictures, hole = case(33, 47)
    assert torch.equal(push_pull(pictures, hole), push_pull(pictures + 9 * hole, hole))


def test_a_picture_that_is_all_hole_becomes_zero():
    pictures, hole = case(9, 12)
    hole[1] = 1
    filled = push_pull(pictures, hole)
    assert (filled[1] == 0).all()
    assert (filled[0] > 0).all()


def test_pictures_of_a_batch_do_not_touch_each_other():
    pictures, hole = case(16, 24)
    assert torch.equal(push_pull(pictures, hole)[:1], push_pull(pictures[:1], hole[:1]))
