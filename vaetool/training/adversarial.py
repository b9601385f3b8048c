"""Training against an adversary, for pictures that are sharp rather than the mean of all possible ones.

A likelihood of independent pixels favours blur wherever a code leaves details open. A discriminator recognises blur, so
the model is also trained to mislead it, while it learns to tell real pictures from the model's. It is part of the run
and of its saved state, never of the model.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vaetool.nn.adversary import discriminator_loss, generator_loss, r1_penalty
from vaetool.nn.base import Model
from vaetool.training.config import Recipe
from vaetool.training.distributed import Processes

RISES = 0.1
"""Share of the run over which the weight rises from zero, once the model has learnt what the pictures show."""

FASTER = 2.0
"""Ratio of the discriminator's learning rate to the model's: it has to keep ahead (Heusel et al. 2017)."""

BETAS = (0.0, 0.99)  # no momentum: with it, the two chase each other (Mescheder et al. 2018, section 4)
R1_WEIGHT = 0.3
R1_EVERY = 8  # steps, and a factor of the penalty, which costs as much as two steps (Karras et al. 2020, section 3.1)


class Adversary:
    """The discriminator of a run and its training."""

    def __init__(self, recipe: Recipe, model: Model, processes: Processes) -> None:
        self.weight = recipe.training.adversarial
        self.r1 = getattr(recipe.objective, "r1", R1_WEIGHT)
        self.begins = recipe.training.adversarial_from
        self.processes = processes
        self.bf16 = recipe.training.bf16
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(recipe.training.seed)
            self.network = model.discriminator()
        self.network.to(processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        lr = FASTER * recipe.training.lr
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=lr, betas=BETAS, weight_decay=0.0, fused=True)
        self.optimizer.param_groups[0]["base_lr"] = lr

    def mislead(self, fakes: Tensor) -> Tensor:
        """Return −log D(fakes) in nats, with the discriminator fixed."""
        self.network.requires_grad_(False)
        with self.processes.precision(self.bf16):
            loss = generator_loss(self.network(fakes))
        self.network.requires_grad_(True)
        return loss

    def verdict(self, loss: Tensor | None, fakes: Tensor, last_layer: Tensor, fraction: float, share: float) -> Tensor:
        """Return a loss term whose gradient at `last_layer` is `weight` times as long as that of `loss`.

        So the same weight suits every likelihood, size and stage (Esser, Rombach & Ommer 2021, equation 7). Without
        another loss, the term is the whole loss. share: the weight of this process's losses, from `Processes.weight`.
        """
        if loss is None:
            return self.mislead(fakes)
        (gradient,) = torch.autograd.grad(self.mislead(fakes), fakes)
        ours, theirs = self.processes.mean(
            share * torch.autograd.grad(loss, last_layer, retain_graph=True)[0],
            share * torch.autograd.grad(fakes, last_layer, gradient, retain_graph=True)[0],
        )
        strength = self.weight * min(1.0, (fraction - self.begins) / RISES)
        return strength * ours.norm() / theirs.norm().clamp_min(1e-12) * (gradient * fakes).sum()

    def learn(self, real: Tensor, fakes: Tensor, step: int, share: float) -> Tensor:
        """Return the discriminator's loss in nats, leaving the gradients for its next step in its weights."""
        with self.processes.precision(self.bf16):
            loss = discriminator_loss(self.network(real), self.network(fakes.detach()))
            penalised = loss
            if step % R1_EVERY == 0:
                penalised = loss + self.r1 * R1_EVERY * r1_penalty(self.network, real)
        weights = list(self.network.parameters())
        gradients = self.processes.mean(*torch.autograd.grad(share * penalised, weights))
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        return loss.detach()
