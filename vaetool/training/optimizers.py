"""The optimizers: AdamW, and Muon for the convolutions inside a network."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vaetool.nn.base import Model
from vaetool.nn.precision import has_bf16_units
from vaetool.training.config import TrainingConfig

MUON_LR_RATIO = 3.0
"""Ratio of Muon's learning rate to AdamW's: 3e-3 with 1e-3 was stable for the denoiser, 4e-3 with plain ReLUs was not.
"""

MAX_WARMUP = 0.1
"""Maximum share of a run for the warm-up, even if that is less than `warmup_steps`."""


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates of weight matrices (Jordan et al. 2024).

    A convolution counts as the matrix (outputs, inputs · height · width). Updates are scaled to the typical size of
    AdamW's, 0.2 per weight (Liu et al. 2025, section 2.2), so that one learning rate serves both. Weight decay is
    decoupled, as in AdamW.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every weight that has a gradient, those of the same shape together."""
        for group in self.param_groups:
            alike: dict[torch.Size, list[Any]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    alike.setdefault(weight.shape, []).append(weight)
            for weights in alike.values():
                self._step(weights, **group)

    def _step(self, weights: list[Any], *, lr: float, momentum: float, weight_decay: float, **others: Any) -> None:
        gradients = [weight.grad for weight in weights]
        momenta = [self.state[weight].setdefault("momentum", torch.zeros_like(weight)) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - momentum)
        updates = torch._foreach_lerp(gradients, momenta, momentum)  # Nesterov
        # Columns are in memory order, channels last: their order does not matter.
        matrices = torch.stack([update.permute(0, 2, 3, 1).flatten(1) for update in updates])
        scale = 0.2 * math.sqrt(max(matrices.shape[1:]))
        rows, columns, height, width = weights[0].shape
        steps = orthogonalised(matrices, precision=self.precision).reshape(-1, rows, height, width, columns)
        torch._foreach_mul_(weights, 1 - lr * weight_decay)
        torch._foreach_add_(weights, list(steps.permute(0, 1, 4, 2, 3)), alpha=-lr * scale)


def orthogonalised(matrices: Tensor, iterations: int = 5, precision: torch.dtype = torch.float32) -> Tensor:
    """Return the nearest matrices whose singular values are all about one, by a quintic Newton-Schulz iteration.

    matrices: (count, rows, columns). The coefficients are Jordan's: singular values end within about 0.7..1.2, in
    bfloat16 as well.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    # The momentum of a dead unit decays until it is denormal, which makes a CPU several times slower: flush it to zero.
    x = torch.nn.functional.hardshrink(x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7), 1e-9).to(precision)
    for _ in range(iterations):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    x = x.to(matrices.dtype)
    return x.mT if is_tall else x


def make_optimizers(model: Model, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Return AdamW for all weights, or Muon for convolutions between the first and last layers and AdamW for the rest.

    A depthwise convolution is not a matrix but many small filters, so it belongs to the rest.
    Each group's `lr` is its peak, scaled by the model's `lr_ratios`; `base_lr` keeps it.
    """
    inner: dict[float, list[nn.Parameter]] = {}
    rest: dict[float, list[nn.Parameter]] = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            is_inner = config.optimizer == "muon" and weight.ndim == 4 and weight.shape[1] > 1 and not _is_edge(name)
            ratio = model.lr_ratios.get(name.partition(".")[0], 1.0)
            (inner if is_inner else rest).setdefault(ratio, []).append(weight)
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        fused = all(weight.device.type in ("cpu", "cuda") for weights in rest.values() for weight in weights)
        groups = _groups(rest, config.lr)
        optimizers.append(
            torch.optim.AdamW(groups, lr=config.lr, betas=model.betas, weight_decay=config.weight_decay, fused=fused)
        )
    if inner:
        groups = _groups(inner, config.lr * MUON_LR_RATIO)
        precision = torch.bfloat16 if config.bf16 and has_bf16_units(model.device) else torch.float32
        lr = config.lr * MUON_LR_RATIO
        optimizers.append(Muon(groups, lr=lr, weight_decay=config.weight_decay, precision=precision))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


def _groups(weights: dict[float, list[nn.Parameter]], lr: float) -> list[dict[str, Any]]:
    return [{"params": group, "lr": ratio * lr} for ratio, group in weights.items()]


def _is_edge(name: str) -> bool:
    return ".head." in name or ".tail." in name


def learning_rate_factor(config: TrainingConfig, step: int, fraction: float) -> float:
    """Return the share of the peak learning rate: linear warm-up, constant, then cosine down to `lr_final`.

    The warm-up counts steps, so that it is the same on a fast and on a slow machine; the rest follows `fraction`, the
    share of the budget that is spent.
    """
    floor = config.lr_final / config.lr
    progress = max(0.0, fraction - config.constant) / (1 - config.constant)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    warmup = max((step + 1) / max(1, config.warmup_steps), fraction / MAX_WARMUP)
    return min(1.0, warmup) * (floor + (1 - floor) * cosine)


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Update the exponential moving average of weights, over fewer steps at the beginning; copy buffers as they are.

    Averaging the statistics of batch normalisation as well made no measurable difference.
    """
    decay = min(decay, (1 + step) / (10 + step))
    ours: list[Tensor] = list(average.parameters())
    theirs: list[Tensor] = list(model.parameters())
    torch._foreach_lerp_(ours, theirs, 1 - decay)
    for ours_too, theirs_too in zip(average.buffers(), model.buffers(), strict=True):
        ours_too.copy_(theirs_too)
