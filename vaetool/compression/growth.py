"""Copying the weights of a smaller codec into a larger one, which starts from them."""

from __future__ import annotations

import torch
from torch import Tensor

from vaetool.compression.settings import CodecConfig


def is_within(small: CodecConfig, large: CodecConfig) -> bool:
    """Tell whether a codec can start from a smaller one."""
    same = ("channels", "latent", "hyper")
    grow = ("encoder_blocks", "decoder_blocks", "prior_width")
    alike = all(getattr(small, name) == getattr(large, name) for name in same)
    return alike and all(getattr(small, name) <= getattr(large, name) for name in grow)


def graft(ours: Tensor, theirs: Tensor, name: str, width: int, wider: int) -> None:
    """Copy a smaller codec's tensor into the tensor of that name in a larger one.

    width: features of the smaller one's prior; wider: number of additional ones in the larger one.
    """
    rows = len(theirs)
    if theirs.ndim < 4:
        ours[:rows] = theirs
        return
    inputs = torch.arange(theirs.shape[1])
    if name.startswith(("prior.look.", "prior.tail.")):  # features come first, then other things
        inputs = torch.where(inputs < width, inputs, inputs + wider)
    ours[:rows] = 0
    ours[:rows, inputs] = theirs
