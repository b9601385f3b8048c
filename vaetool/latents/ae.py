"""Autoencoder: a picture to a code and back, the code a point rather than a distribution (see `vaetool.latents.vae`).

The recipe chooses the regulariser: a narrow code, noise at the input (Vincent et al. 2010), a sparse code, a
contractive encoder (Rifai et al. 2011), or `training.weight_decay`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional as F

from vaetool.errors import UsageError
from vaetool.images.metrics import mean_psnr
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.trunk import Decoder, Encoder, TrunkConfig
from vaetool.nn.base import Batch, Losses, register, zero_of
from vaetool.nn.sections import InnerShare, NotNegativeFloat, Section, Share

MAX_EXACT = 16
"""Units up to which the Jacobian is computed row by row; for longer codes its norm is estimated."""


@dataclass(frozen=True)
class AEConfig(TrunkConfig):
    """The shape of an autoencoder."""

    # "mse" is the squared error; "bce" the cross-entropy, for pixels that are nearly on or off.
    reconstruction: Literal["mse", "bce"] = "mse"


@dataclass(frozen=True)
class InputNoise(Section, name="corruption"):
    """Noise that training adds to clean images."""

    # Of white noise at the input, in 8-bit units; the clean picture is what should come out.
    sigma: Annotated[float, Meta(ge=0, le=255)] = 0.0


@dataclass(frozen=True)
class AEObjective(Section, name="objective"):
    """Objective of training besides reconstruction; penalties are per picture."""

    sparse: NotNegativeFloat = 0.0  # weight of the penalty on codes that are not sparse
    # "l1" is the sum of |z|; "kl" keeps the mean of σ(z), for each unit, near `rho` (Ng 2011).
    sparsity: Literal["l1", "kl"] = "l1"
    rho: InnerShare = 0.05
    # Weight of the squared Frobenius norm of the encoder's Jacobian (Rifai et al. 2011).
    contractive: NotNegativeFloat = 0.0
    stacked: Share = 0.0  # share of the run in which levels are trained one after the other, each on those before


@register("ae")
class AE(Autoencoder):
    """The autoencoder. See the module's docstring."""

    Config = AEConfig
    Corruption = InputNoise
    Objective = AEObjective
    metric = "psnr"
    shown = ("original", "reconstruction")
    config: AEConfig

    def __init__(self, config: AEConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config, config.latent)
        self.decoder = Decoder(config, config.channels)

    def embed(self, x: Tensor) -> Tensor:
        """Return the codes of pictures; see `Autoencoder.embed`."""
        return self.encoder(x).float()

    def render(self, z: Tensor) -> Tensor:
        """Decode codes to pictures; see `Autoencoder.render`."""
        output = self.decoder(z)
        return output.sigmoid() if self.config.reconstruction == "bce" else output.clamp(0, 1)

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: InputNoise) -> Batch:
        """Return pictures, pictures with noise, and the `probes` of `squared_jacobian`."""
        noisy = clean
        if corruption.sigma:
            noise = torch.randn(clean.shape, generator=generator, device=clean.device)
            noisy = clean + corruption.sigma / 255 * noise
        return {"clean": clean, "noisy": noisy, "probes": draw_probes(len(clean), self.config.latent, generator)}

    def loss(self, batch: Batch, objective: AEObjective | None = None, fraction: float = 1.0) -> Losses:
        """Return the loss and its parts, error and penalty.

        The loss is per dimension of the picture: a constant factor, so that all sizes train alike.
        """
        objective = objective or AEObjective()
        x, noisy = batch["clean"], batch["noisy"]
        level = self._level(objective, fraction)
        if level is not None:
            return {"loss": self._level_loss(x, noisy, level)}
        if objective.contractive:
            noisy = noisy.detach().requires_grad_()
        z = self.embed(noisy)
        error = self._error(self.decoder(z), x)
        penalty = torch.zeros((), device=x.device)
        if objective.sparse:
            penalty = penalty + objective.sparse * sparsity(z, objective)
        if objective.contractive:
            penalty = penalty + objective.contractive * squared_jacobian(z, noisy, batch["probes"]).mean()
        return {"loss": error + penalty / x[0].numel(), "reconstruction": error, "penalty": penalty}

    def _level(self, objective: AEObjective, fraction: float) -> int | None:
        """Return the level that is trained alone at a fraction of the run; None if all are trained together."""
        if fraction >= objective.stacked:
            return None
        if self.config.decoder_widths[:-1] != self.config.widths[-2::-1]:
            raise UsageError(
                "objective.stacked needs a decoder that mirrors the encoder: model.decoder_widths must begin with "
                f"{list(self.config.widths[-2::-1])}"
            )
        return int(fraction / objective.stacked * len(self.config.widths))

    def frozen_parameters(self, objective: AEObjective, fraction: float) -> list[nn.Parameter]:
        """Return all weights except those of the level trained alone and of its counterpart in the decoder."""
        level = self._level(objective, fraction)
        if level is None:
            return []
        parts = [self.encoder.levels[level], self.decoder.levels[-1 - level]]
        if level == 0:
            parts.append(self.decoder.tail)
        learning = {id(weight) for part in parts for weight in part.parameters()}
        return [weight for weight in self.parameters() if id(weight) not in learning]

    def _error(self, output: Tensor, x: Tensor) -> Tensor:
        """Return the reconstruction error per dimension of the picture."""
        if self.config.reconstruction == "bce":
            return F.binary_cross_entropy_with_logits(output.float(), x)
        return F.mse_loss(output.float(), x)

    def _level_loss(self, clean: Tensor, noisy: Tensor, level: int) -> Tensor:
        """Return the error of a level and its counterpart in the decoder at denoising their input.

        Their input is the output of the levels before, which stay fixed (Vincent et al. 2010).
        """
        with torch.no_grad():
            target, given = self.encoder.features(clean, level), self.encoder.features(noisy, level)
        output = self.decoder.levels[-1 - level](self.encoder.levels[level](given))
        error = F.mse_loss(output.float(), target.float()) if level else self._error(self.decoder.tail(output), target)
        return error + zero_of(self)

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the mean PSNR, in dB, of reconstructions of clean pictures."""
        clean = batch["clean"]
        back = torch.cat([self.render(self.embed(part)) for part in clean.split(self.batch_size)])
        return {"psnr": mean_psnr((back - clean).square().mean(dim=(1, 2, 3)).cpu().numpy())}

    def example(self, batch: Batch) -> list[Tensor]:
        """Return pictures and their reconstructions."""
        return [batch["clean"], self.render(self.embed(batch["clean"]))]


def sparsity(z: Tensor, objective: AEObjective) -> Tensor:
    """Return the sparsity penalty per picture of codes, (batch, latent): Σ |z|, or Σ KL(rho to the mean activation)."""
    if objective.sparsity == "l1":
        return z.abs().sum(dim=1).mean()
    rho, on = objective.rho, z.sigmoid().mean(dim=0).clamp(1e-6, 1 - 1e-6)
    return (rho * (rho / on).log() + (1 - rho) * ((1 - rho) / (1 - on)).log()).sum()


def draw_probes(count: int, latent: int, generator: torch.Generator) -> Tensor:
    """Draw vectors v for which Σ |vᵀJ|² is the squared Frobenius norm of a Jacobian, exactly or in expectation.

    Returns (count, vectors, latent): all unit vectors for short codes, else one vector of random signs for each picture
    (Hutchinson 1990).
    """
    if latent <= MAX_EXACT:
        return torch.eye(latent, device=generator.device).expand(count, latent, latent)
    signs = torch.randint(2, (count, 1, latent), generator=generator, device=generator.device)
    return 2.0 * signs - 1


def squared_jacobian(z: Tensor, x: Tensor, probes: Tensor) -> Tensor:
    """Return Σ |∂(v·z)/∂x|² over the probes v, (batch, vectors, latent), per picture: (batch,). See `draw_probes`.

    z: (batch, latent), computed from x, (batch, channels, height, width), each code from its own picture alone.
    """
    total = torch.zeros(len(x), device=x.device)
    for probe in probes.unbind(dim=1):
        (gradient,) = torch.autograd.grad((probe * z).sum(), x, create_graph=True)
        total = total + gradient.square().sum(dim=(1, 2, 3))
    return total
