"""Variational autoencoder (Kingma & Welling 2014): a picture as a distribution over codes, a code as a picture.

Training maximises the ELBO, log p(x given z) − KL(q(z given x) to p(z)), with one z drawn per picture by the
reparameterisation z = mean + sigma · noise. Both terms are sums, in nats per picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaetool.errors import UsageError
from vaetool.likelihoods import LIKELIHOODS, bits_per_dim, gaussian_kl, log_normal
from vaetool.models.autoencoder import Autoencoder
from vaetool.models.base import Batch, Losses, register
from vaetool.models.trunk import Decoder, Encoder, TrunkConfig

LOG_VAR_LIMITS = (-12.0, 6.0)
ACTIVE = 0.01
"""A unit is active if the variance of its posterior mean over pictures is larger (Burda et al. 2016, section 4.1.2)."""

COLLAPSED = 0.1
"""Share of units: with fewer active ones, the decoder has learned to do without the code."""


@dataclass(frozen=True)
class VAEConfig(TrunkConfig):
    """What shapes a VAE."""

    likelihood: str = "gaussian"  # with the likeliest sigma; or "bernoulli", or "logistic" for honest bits

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.likelihood not in LIKELIHOODS:
            raise UsageError(f"model.likelihood must be {', '.join(LIKELIHOODS)}, not {self.likelihood!r}")


@dataclass(frozen=True)
class Objective:
    """What training does with clean images and the ELBO."""

    binarise: bool = False  # each pixel on with its brightness as the probability, anew in every step
    beta: float = 1.0  # weight of the KL (Higgins et al. 2017); 1 is the ELBO
    warmup: float = 0.0  # share of the run over which that weight rises from zero (Sønderby et al. 2016)
    free_nats: float = 0.0  # KL per unit that costs nothing (Kingma et al. 2016, appendix C.8)

    def __post_init__(self) -> None:
        for name in ("beta", "free_nats"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"corruption.{name} must be 0 or more, not {getattr(self, name):g}")
        if not 0 <= self.warmup <= 1:
            raise UsageError(f"corruption.warmup is a share of the run, from 0 to 1, not {self.warmup:g}")


@dataclass(frozen=True)
class Posterior:
    """q(z given x): independent normal units, (batch, latent) each."""

    mean: Tensor
    log_var: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """A code, mean + sigma · noise; noise: standard normal, (..., batch, latent)."""
        return self.mean + (0.5 * self.log_var).exp() * noise

    def kl(self) -> Tensor:
        """To the prior, of every unit, (batch, latent), in nats."""
        return gaussian_kl(self.mean, self.log_var)


@register("vae")
class VAE(Autoencoder):
    """The variational autoencoder. See the module's docstring."""

    Config = VAEConfig
    Corruption = Objective
    figure = "elbo"
    meets_adversary = True
    config: VAEConfig

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.likelihood = LIKELIHOODS[config.likelihood]()
        self.encoder = Encoder(config, 2 * config.latent)
        self.decoder = Decoder(config, config.channels * self.likelihood.outputs_per_channel)
        self.kl_weight = 1.0

    @property
    def dims(self) -> int:
        """Numbers in a picture."""
        return self.config.channels * self.config.size**2

    def posterior(self, x: Tensor) -> Posterior:
        """Of pictures, (batch, channels, size, size) in 0..1."""
        mean, log_var = self.encoder(x).float().chunk(2, dim=1)
        return Posterior(mean, log_var.clamp(*LOG_VAR_LIMITS))

    def embed(self, x: Tensor) -> Tensor:
        """The means of the posteriors."""
        return self.posterior(x).mean

    def draw_codes(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """One code drawn from each posterior."""
        posterior = self.posterior(x)
        return posterior.sample(torch.randn(posterior.mean.shape, generator=generator, device=x.device))

    @torch.inference_mode()
    def kl_per_unit(self, images: Iterable[Any]) -> np.ndarray:
        """See `Autoencoder.kl_per_unit`."""
        return torch.cat([self.posterior(x).kl() for x in self.prepare_all(images)]).mean(dim=0).cpu().numpy()

    def render(self, z: Tensor) -> Tensor:
        """See `Autoencoder.render`."""
        return self.likelihood.picture(self.decoder(z))

    def begin_step(self, fraction: float, corruption: Objective) -> None:
        """The KL's weight, where it warms up."""
        self.kl_weight = min(1.0, fraction / corruption.warmup) if corruption.warmup else 1.0

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Objective) -> Batch:
        """Pictures, the noise that draws their codes, and what the objective makes of their KL."""
        if corruption.binarise:
            clean = torch.bernoulli(clean, generator=generator)
        noise = torch.randn((len(clean), self.config.latent), generator=generator, device=clean.device)
        settings = torch.tensor([corruption.beta, corruption.free_nats], device=clean.device)
        return {"clean": clean, "noise": noise, "settings": settings.expand(len(clean), 2)}

    def terms(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Per picture log p(x given z), (batch,), and the KL of units, (batch, latent), in nats; what is decoded."""
        posterior = self.posterior(x)
        output = self.decoder(posterior.sample(noise))
        return self.likelihood(output, x), posterior.kl(), output

    def loss(self, batch: Batch) -> Losses:
        """The negative ELBO per number of the picture: a constant factor, with which all sizes train alike."""
        return self._loss(batch)[0]

    def _loss(self, batch: Batch) -> tuple[Losses, Tensor]:
        """It, and the decoder's output."""
        log_likelihood, kl, output = self.terms(batch["clean"], batch["noise"])
        beta, free = batch["settings"][0]
        costly = kl.mean(dim=0).maximum(free).sum()
        loss = (self.kl_weight * beta * costly - log_likelihood.mean()) / self.dims
        return {"loss": loss, "reconstruction": log_likelihood.mean(), "kl": kl.sum(dim=1).mean()}, output

    def loss_and_fakes(self, batch: Batch) -> tuple[Losses, Tensor]:
        """The loss; of half the batch the reconstructions, and as many samples of the prior."""
        losses, output = self._loss(batch)
        half = (len(output) + 1) // 2
        # What draws a code from a posterior is a code drawn from the prior.
        fakes = torch.cat([self.likelihood.picture(output[:half]), self.render(batch["noise"][:half])])
        return losses, fakes.float()

    @property
    def last_layer(self) -> Tensor:
        """See `Model.last_layer`."""
        return self.decoder.tail.weight

    def validate(self, batch: Batch) -> dict[str, float]:
        """The ELBO and its terms in nats per picture, in bits per number, and the number of active units."""
        parts = [
            (*self.terms(x, noise)[:2], self.embed(x))
            for x, noise in zip(
                batch["clean"].split(self.batch_size), batch["noise"].split(self.batch_size), strict=True
            )
        ]
        log_likelihood, kl, mean = (torch.cat(part) for part in zip(*parts, strict=True))
        elbo = (log_likelihood - kl.sum(dim=1)).mean()
        return {
            "elbo": elbo.item(),
            "reconstruction": log_likelihood.mean().item(),
            "kl": kl.sum(dim=1).mean().item(),
            "bits_per_dim": bits_per_dim(elbo, self.dims, self.likelihood.is_density).item(),
            "active_units": float((mean.var(dim=0) > ACTIVE).sum()) if len(mean) > 1 else float(self.config.latent),
        }

    def advice(self, figures: Mapping[str, float]) -> str | None:
        """For a posterior that has collapsed."""
        active, latent = figures["active_units"], self.config.latent
        if active >= max(1, COLLAPSED * latent):
            return None
        return (
            f"the posterior has collapsed: {active:.0f} of {latent} units say anything of a picture, the others are as "
            "in the prior. Try a lower --beta, a slower start (--set corruption.warmup=0.3), free nats "
            "(--set corruption.free_nats=0.1), another model.likelihood, or a smaller --latent"
        )

    def example(self, batch: Batch) -> list[Tensor]:
        """As they were, reconstructed, and samples of the prior."""
        clean = batch["clean"]
        return [clean, self.render(self.embed(clean)), self.render(batch["noise"])]

    @torch.inference_mode()
    def iwae(self, x: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """The bound on log p(x) by importance sampling, per picture, (batch,), in nats; the ELBO if samples is 1.

        log 1/k Σ p(x given z) p(z) / q(z given x), z from q (Burda, Grosse & Salakhutdinov 2016, equation 8).
        """
        posterior = self.posterior(x)
        weights = []
        for _ in range(samples):
            noise = torch.randn(posterior.mean.shape, generator=generator, device=x.device)
            z = posterior.sample(noise)
            log_q = log_normal(z, posterior.mean, posterior.log_var)
            weights.append(self.likelihood(self.decoder(z), x) + log_normal(z) - log_q)
        return torch.logsumexp(torch.stack(weights), dim=0) - math.log(samples)
