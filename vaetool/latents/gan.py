"""Generative adversarial network (Goodfellow et al. 2014): codes drawn at random to pictures that pass for real ones.

A generator, which is a VAE's decoder, and a discriminator, which is its encoder with one output, play a game: the
discriminator learns to tell real pictures from the generator's, the generator to mislead it. There is no likelihood, so
the blur of a mean is not rewarded; but neither is variety (see `GAN.diagnose`), and the code of a picture has to be
searched for (see `GAN.encode`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.latents.fidelity import features, frechet_distance, precision_and_recall, spread_ratio
from vaetool.latents.generative import Generative
from vaetool.latents.trunk import Decoder, Encoder, TrunkConfig
from vaetool.nn.base import Batch, Losses, Nothing, register
from vaetool.nn.sections import NotNegativeFloat, Section

ALIKE = 0.3
"""Spread of samples, relative to that of real pictures, below which the generator has collapsed."""

RARE, REAL = 0.02, 0.2
"""Recall below which it has collapsed if precision exceeds the second number: samples are good, but of few kinds."""

FEW = 100
"""Number of held-out pictures below which precision and recall mean little."""

GUESSES = 256
"""Number of codes drawn for each picture; the search for its own starts from the closest."""

SEARCH_STEPS, SEARCH_LR = 200, 0.05
"""Steps and learning rate of Adam in that search."""

PULL = 1e-4
"""Weight of |z|² per unit beside the squared error per value, which keeps codes where the generator was trained."""


@dataclass(frozen=True)
class GANObjective(Section, name="objective"):
    """Objective of the game."""

    r1: NotNegativeFloat = 0.1  # weight of the penalty on the discriminator's slope at real pictures (R1)


class Discriminator(nn.Module):
    """Judge of whether pictures are real: the encoder of the generator's trunk, with one output.

    It has no normalisation, so that its gradient at a picture, which R1 keeps small, depends on that picture alone. It
    also sees how much the pictures of a batch, or of a process's share of it, differ, which exposes a generator that
    makes the same picture of all codes (Karras et al. 2018, section 3).
    """

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__()
        config = dataclasses.replace(config, norm="none", dropout=0.0)
        self.encoder = Encoder(config, 1)
        self.encoder.tail = nn.Linear((config.widths[-1] + 1) * config.grid**2, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.weight.any():  # not where a residual block begins as nothing
                nn.init.kaiming_normal_(layer.weight)  # PyTorch's own start fades from layer to layer without norms

    def forward(self, x: Tensor) -> Tensor:
        """Return log-odds of "real", (batch, 1), for (batch, channels, size, size) in 0..1."""
        features = self.encoder.features(2 * x - 1)
        spread = (features.float().var(dim=0, unbiased=False) + 1e-8).sqrt().mean().to(features.dtype)
        return self.encoder.tail(torch.cat([features, spread.expand_as(features[:, :1])], dim=1).flatten(1))


@register("gan")
class GAN(Generative):
    """The generator. See the module's docstring."""

    Config = TrunkConfig
    Corruption = Nothing
    Objective = GANObjective
    metric = "frechet"
    shown = ("real", "new")
    lower_is_better = True
    meets_adversary = True
    only_adversary = True
    betas = (0.0, 0.99)
    defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "model": {"channels": 0},
        "data": {"held_out": 0.1},
        "training": {"batch": 64, "lr": 1e-3, "constant": 0.5, "validations": 10, "bf16": True},
    }

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__(config)
        self.decoder = Decoder(config, config.channels)

    def render(self, z: Tensor) -> Tensor:
        """Make pictures of codes; see `Generative.render`."""
        return self.decoder(z).sigmoid()

    def discriminator(self) -> nn.Module:
        """Return an untrained opponent."""
        return Discriminator(self.config)

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Nothing) -> Batch:
        """Return real pictures, and codes for generated ones."""
        codes = torch.randn((len(clean), self.config.latent), generator=generator, device=clean.device)
        return {"clean": clean, "codes": codes}

    def loss_and_fakes(
        self, batch: Batch, objective: GANObjective | None = None, fraction: float = 1.0
    ) -> tuple[Losses, Tensor]:
        """Return no loss, since the adversary's is the only one, and the generated pictures."""
        return {}, self.render(batch["codes"]).float()

    def validate(self, batch: Batch) -> dict[str, float]:
        """Compare samples with held-out pictures, see `vaetool.latents.fidelity`.

        `spread` is the spread of samples as a multiple of that of the pictures.
        """
        samples = torch.cat([self.render(z) for z in batch["codes"].split(self.batch_size)])
        theirs, ours = features(batch["clean"]), features(samples)
        found = {"frechet": frechet_distance(theirs, ours)}
        if len(theirs) > 1:
            found["spread"] = spread_ratio(theirs, ours)
        if len(theirs) >= FEW:
            found["precision"], found["recall"] = precision_and_recall(theirs, ours)
        return found

    def diagnose(self, figures: Mapping[str, float]) -> str | None:
        """Return advice if the generator has collapsed to a few pictures, else None."""
        spread, precision, recall = (figures.get(name, 1.0) for name in ("spread", "precision", "recall"))
        if spread >= ALIKE and not (recall < RARE and precision > REAL):
            return None
        among = f", and {recall:.0%} of those are among them" if "recall" in figures else ""
        return (
            f"the generator has collapsed: its pictures differ {spread:.2f} times as much as real ones{among}. Try a "
            "larger --set objective.r1, a lower --set training.lr, longer training, or more pictures; a vae (vaetool "
            "train vae) needs fewer"
        )

    def example(self, batch: Batch) -> list[Tensor]:
        """Return real pictures, and samples."""
        return [batch["clean"], self.render(batch["codes"])]

    def encode(self, images: Iterable[Any]) -> np.ndarray:
        """Search for the codes of images of any kind, (images, latent) float32.

        The search takes the same few seconds for every batch, and its result only resembles the image, since a GAN
        makes what it has learnt to make. It starts from the closest of `GUESSES` samples and descends on the squared
        error (Zhu et al. 2016, section 3.1).
        """
        codes = [self._search(x).cpu() for x in self.prepare_all(images)]
        return torch.cat(codes).numpy() if codes else np.empty((0, self.config.latent), np.float32)

    @torch.enable_grad()
    def _search(self, x: Tensor) -> Tensor:
        """Return codes, (batch, latent), whose pictures are close to the given ones, (batch, channels, size, size)."""
        generator = torch.Generator().manual_seed(0)
        guesses = torch.randn((GUESSES, self.config.latent), generator=generator).to(x.device)
        with torch.no_grad():
            pictures = torch.cat([self.render(part) for part in guesses.split(self.batch_size)])
            nearest = torch.cdist(x.flatten(1), pictures.flatten(1)).argmin(dim=1)
        z = guesses[nearest].clone().requires_grad_()
        optimizer = torch.optim.Adam([z], SEARCH_LR)
        for _ in range(SEARCH_STEPS):
            optimizer.zero_grad()
            error = F.mse_loss(self.render(z), x, reduction="none").flatten(1).mean(dim=1)
            (error + PULL * z.square().mean(dim=1)).sum().backward()
            optimizer.step()
        return z.detach()
