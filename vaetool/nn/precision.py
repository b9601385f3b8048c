"""Arithmetic in bfloat16, if the device has units for it and the result hardly differs."""

from __future__ import annotations

from typing import Literal

import torch

from vaetool.nn.base import Model
from vaetool.nn.blocks import UNet

Precision = Literal["auto", "float32", "bfloat16"]


def has_bf16_units(device: torch.device) -> bool:
    """Tell whether a device computes faster in bfloat16; a CPU without units for it takes ten times as long."""
    return device.type == "cuda" or (device.type == "cpu" and torch.cpu._is_avx512_bf16_supported())


def set_precision(model: Model, precision: Precision) -> None:
    """Set the precision of a model's U-Nets; other networks stay at float32.

    float32: throughout. bfloat16: in all levels but the first, which makes the fine corrections, so that a cleaned
    picture differs by less than one 8-bit level. auto: bfloat16 if the model's device has units for it.
    """
    for part in model.modules():
        if isinstance(part, UNet):
            part.fast = precision == "bfloat16" or (precision == "auto" and has_bf16_units(model.device))
