"""Which holes a network is unsure of: what it makes of them depends on how the picture is turned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import vaetool
from vaetool.inpainting.holes import BLOCK
from vaetool.inpainting.mae import UNKNOWN
from vaetool.inpainting.uncertainty import UNSURE, fill_in_orientations, unsure_holes


def hole_of(*boxes: tuple[int, int, int, int], shape=(200, 300)) -> np.ndarray:
    hole = np.zeros(shape, bool)
    for top, bottom, left, right in boxes:
        hole[top:bottom, left:right] = True
    return hole


def tensors(hole: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    inside = torch.from_numpy(hole).float()[None, None]
    return torch.rand((1, 3, *hole.shape), generator=generator) * (1 - inside), UNKNOWN * inside


def left_to_right(filled: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Fill holes with a ramp that goes up to the right, however the picture is turned."""
    ramp = torch.linspace(0, 1, filled.shape[3]).expand_as(filled)
    return torch.where(mask > 0, ramp, filled)


def test_what_is_the_same_in_all_orientations_is_kept_and_sure():
    filled, mask = tensors(hole_of((50, 90, 60, 140)))
    result, spread = fill_in_orientations(lambda x, mask: torch.where(mask > 0, 0.25, x), filled, mask)
    assert torch.equal(result, torch.where(mask > 0, 0.25, filled))
    assert not spread.any()


def test_what_depends_on_the_orientation_is_averaged_and_unsure():
    """The ramp, once to each side."""
    filled, mask = tensors(hole_of((50, 90, 60, 140)))
    result, spread = fill_in_orientations(left_to_right, filled, mask)
    row, column = 70, 100
    right, down = column / 299, row / 199
    values = np.array([right, 1 - right, down, 1 - down])
    assert result[0, :, row, column].numpy() == pytest.approx(values.mean(), abs=1e-6)
    assert spread[0, 0, row, column].item() == pytest.approx(values.std(ddof=1), abs=1e-5)
    assert torch.equal(result[mask.expand_as(result) == 0], filled[mask.expand_as(filled) == 0])
    assert not spread[mask == 0].any()


def test_only_holes_of_a_large_spread_are_guesses_and_the_worst_comes_first():
    hole = hole_of((16, 64, 16, 64), (16, 64, 120, 168), (120, 168, 16, 64), (100, 104, 100, 290))
    spread = np.zeros(hole.shape, np.float32)
    spread[16:64, 16:64] = 1.1 * UNSURE / 255
    spread[16:64, 120:168] = 0.9 * UNSURE / 255
    spread[120:168, 16:64] = 2 * UNSURE / 255
    spread[100:104, 100:290] = 1  # thin
    assert unsure_holes(hole, spread) == [(144, 40), (40, 40)]
    assert unsure_holes(hole, np.zeros_like(spread)) == unsure_holes(np.zeros_like(hole), spread) == []


def test_only_wide_holes_take_the_time_of_several(tiny_mae):
    model, calls = vaetool.load(tiny_mae, device="cpu"), []
    model.unet.register_forward_hook(lambda *_: calls.append(1))
    pixels = np.zeros((200, 300, 3), np.uint8)
    model.inpaint_pixels(pixels, hole_of((40, 40 + BLOCK - 1, 50, 200)), texture=False)
    assert len(calls) == 1
    model.inpaint_pixels(pixels, hole_of((40, 80, 100, 140)), texture=False)
    assert len(calls) == 1 + 4
