"""The U-Net: how many blocks it has where, and what it computes in."""

from __future__ import annotations

import copy

import pytest
import torch

from vaetool.nn.blocks import UNet


def depths(unet: UNet) -> list[int]:
    return [len(stack) for stack in (*unet.down, unet.bottom, *unet.up)]


def test_blocks_are_the_same_at_all_levels_or_given_for_each():
    assert depths(UNet(1, 1, (8, 8, 8), 2)) == [2, 2, 2, 2, 2]
    assert depths(UNet(1, 1, (8, 8, 8), (3, 2, 1))) == [3, 2, 1, 3, 2]
    assert depths(UNet(1, 1, (8,), 4)) == [4]


def test_dilations_take_the_place_of_the_blocks_at_the_bottom():
    assert depths(UNet(1, 1, (8, 8), 2, dilations=(1, 2, 4))) == [2, 3, 2]


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(0)
    unet = UNet(3, 3, (16, 16, 16), 1, bias=False)
    for block in unet.modules():
        if hasattr(block, "second"):
            torch.nn.init.kaiming_normal_(block.second.weight)
    return unet.requires_grad_(False)


def test_a_fast_network_computes_the_first_level_exactly(unet):
    """What it adds at the first level, with nothing from below, is that of the exact network, bit for bit."""
    x = torch.randn((1, 3, 32, 32))
    above = copy.deepcopy(unet)
    torch.nn.init.zeros_(above.grow[0].weight)
    exact = above(x)
    above.fast = True
    assert torch.equal(above(x), exact)


def test_a_fast_network_is_close_to_the_exact_one(unet):
    x = torch.randn((1, 3, 32, 32))
    exact = unet(x)
    fast = copy.deepcopy(unet)
    fast.fast = True
    assert fast(x).dtype == torch.float32
    difference = (fast(x) - exact).abs().max() / exact.abs().max()
    assert 0 < difference < 0.02
