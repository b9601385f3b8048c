"""Variational autoencoder (Kingma & Welling 2014): a picture to a distribution over codes, and a code to a picture.

Training maximises the ELBO, log p(x given z) − KL(q(z given x) to p(z)), with one z drawn per picture by the
reparameterisation z = mean + sigma · noise. Both terms are sums, in nats per picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vaetool.images.conversion import from_unit
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.likelihoods import LIKELIHOODS, ELBOObjective, Gaussian, bits_per_dim, gaussian_kl, log_normal
from vaetool.latents.priors import Normal
from vaetool.latents.trunk import Decoder, Encoder, TrunkConfig
from vaetool.nn.base import Batch, ImageStore, Losses, register
from vaetool.nn.sections import NotNegative, NotNegativeFloat, Section
from vaetool.scoring.scorer import Scorer
from vaetool.scoring.statistics import lossless_bits, mean_of_largest

LOG_VAR_LIMITS = (-12.0, 6.0)
ACTIVE = 0.01
"""Variance of the posterior mean over pictures above which a unit is active (Burda et al. 2016, section 4.1.2)."""

IWAE_SAMPLES = 16
"""Number of importance samples for the score of a picture."""

BOUND_SAMPLES = 50
"""Number of importance samples for the bound measured when training ends."""

REGRET_STEPS, REGRET_LR = 32, 0.05
"""Steps and learning rate of Adam in the search for a picture's own posterior."""

REGRET_DRAWS = 8
"""Number of draws for estimates of the ELBO before and after that search."""

COLLAPSED = 0.1
"""Share of active units below which the decoder has learned to ignore the code."""


@dataclass(frozen=True)
class VAEConfig(TrunkConfig):
    """The shape of a VAE."""

    # "gaussian" has the likeliest sigma; "logistic" gives true bits.
    likelihood: Literal["bernoulli", "gaussian", "logistic"] = "gaussian"
    calibration: NotNegative = 0  # good images that p-values of scores are based on; 0: none yet
    statistics: tuple[str, ...] = ()  # names of the components known of each


@dataclass(frozen=True)
class Binarisation(Section, name="corruption"):
    """Corruption of clean images in training."""

    binarise: bool = False  # each pixel is on with its brightness as the probability, drawn anew in every step


@dataclass(frozen=True)
class VAEObjective(ELBOObjective):
    """Objective: modifications of the ELBO in training."""

    free_nats: NotNegativeFloat = 0.0  # KL per unit that costs nothing (Kingma et al. 2016, appendix C.8)


@dataclass(frozen=True)
class Posterior:
    """q(z given x): independent normal units, (batch, latent) each."""

    mean: Tensor
    log_var: Tensor

    def sample(self, noise: Tensor) -> Tensor:
        """Draw a code, mean + sigma · noise; noise: standard normal, (..., batch, latent)."""
        return self.mean + (0.5 * self.log_var).exp() * noise

    def kl(self) -> Tensor:
        """Return the KL of every unit to the prior, (batch, latent), in nats."""
        return gaussian_kl(self.mean, self.log_var)


@register("vae")
class VAE(Autoencoder, Scorer):
    """The variational autoencoder. See the module's docstring."""

    Config = VAEConfig
    Corruption = Binarisation
    Objective = VAEObjective
    metric = "elbo"
    shown = ("original", "reconstruction", "new")
    meets_adversary = True
    defaults: ClassVar[dict[str, dict[str, Any]]] = {**Autoencoder.defaults, "data": {"calibration": 0.2}}
    methods = ("typical", "elbo", "recon", "kl", "iwae", "complexity", "regret")
    slow_methods = ("iwae", "regret")
    default_method = "typical"
    config: VAEConfig

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.likelihood = LIKELIHOODS[config.likelihood]()
        self.encoder = Encoder(config, 2 * config.latent)
        self.decoder = Decoder(config, config.channels * self.likelihood.outputs_per_channel)

    @property
    def dims(self) -> int:
        """The number of values of a picture: pixels times channels."""
        return self.config.channels * self.config.size**2

    @property
    def usual_error(self) -> float | None:
        """The likeliest variance of a Gaussian likelihood; see `Generative.usual_error`."""
        return self.likelihood.variance.item() if isinstance(self.likelihood, Gaussian) else None

    def posterior(self, x: Tensor) -> Posterior:
        """Return the posterior of pictures, (batch, channels, size, size) in 0..1."""
        mean, log_var = self.encoder(x).float().chunk(2, dim=1)
        return Posterior(mean, log_var.clamp(*LOG_VAR_LIMITS))

    def embed(self, x: Tensor) -> Tensor:
        """Return the means of the posteriors."""
        return self.posterior(x).mean

    def draw_codes(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one code from each posterior."""
        posterior = self.posterior(x)
        return posterior.sample(torch.randn(posterior.mean.shape, generator=generator, device=x.device))

    @torch.inference_mode()
    def kl_per_unit(self, images: Iterable[Any]) -> np.ndarray:
        """Return the mean KL of every unit to the prior; see `Autoencoder.kl_per_unit`."""
        return torch.cat([self.posterior(x).kl() for x in self.prepare_all(images)]).mean(dim=0).cpu().numpy()

    def render(self, z: Tensor) -> Tensor:
        """Decode codes to pictures; see `Autoencoder.render`."""
        return self.likelihood.picture(self.decoder(z))

    def corrupt(self, clean: Tensor, generator: torch.Generator, corruption: Binarisation) -> Batch:
        """Return pictures, also the originals if binarised, and the noise for drawing codes."""
        seen = torch.bernoulli(clean, generator=generator) if corruption.binarise else clean
        noise = torch.randn((len(clean), self.config.latent), generator=generator, device=clean.device)
        batch = {"clean": seen, "noise": noise}
        return batch | {"real": clean} if corruption.binarise else batch

    def terms(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log p(x given z), (batch,), the KL of units, (batch, latent), in nats, and the decoder's output."""
        posterior = self.posterior(x)
        output = self.decoder(posterior.sample(noise))
        return self.likelihood(output, x), posterior.kl(), output

    def loss(self, batch: Batch, objective: VAEObjective | None = None, fraction: float = 1.0) -> Losses:
        """Return the negative ELBO per dimension of the picture: a constant factor, so that all sizes train alike."""
        return self._loss(batch, objective or VAEObjective(), fraction)[0]

    def _loss(self, batch: Batch, objective: VAEObjective, fraction: float) -> tuple[Losses, Tensor]:
        """Return the loss, see `loss`, and the decoder's output."""
        log_likelihood, kl, output = self.terms(batch["clean"], batch["noise"])
        costly = kl.mean(dim=0).clamp_min(objective.free_nats).sum()
        loss = (objective.kl_weight(fraction) * costly - log_likelihood.mean()) / self.dims
        return {"loss": loss, "reconstruction": log_likelihood.mean(), "kl": kl.sum(dim=1).mean()}, output

    def loss_and_fakes(
        self, batch: Batch, objective: VAEObjective | None = None, fraction: float = 1.0
    ) -> tuple[Losses, Tensor]:
        """Return the loss, and as fakes reconstructions of half the batch and as many samples from the prior."""
        losses, output = self._loss(batch, objective or VAEObjective(), fraction)
        half = (len(output) + 1) // 2
        # The noise that draws a code from a posterior is itself a code drawn from the prior.
        fakes = torch.cat([self.likelihood.picture(output[:half]), self.render(batch["noise"][:half])])
        return losses, fakes.float()

    def validate(self, batch: Batch) -> dict[str, float]:
        """Return the ELBO and its terms in nats per picture, the ELBO in bits per dimension, and the active units."""
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

    def diagnose(self, figures: Mapping[str, float]) -> str | None:
        """Return advice if the posterior has collapsed, else None."""
        active, latent = figures["active_units"], self.config.latent
        if active >= max(1, COLLAPSED * latent):
            return None
        return (
            f"the posterior has collapsed: {active:.0f} of {latent} units carry information about a picture, the "
            "others stay at the prior. Try a lower --beta, a slower start (--set objective.warmup=0.3), free nats "
            "(--set objective.free_nats=0.1), another model.likelihood, or a smaller --latent"
        )

    def example(self, batch: Batch) -> list[Tensor]:
        """Return pictures, their reconstructions, and samples from the prior."""
        clean = batch["clean"]
        return [clean, self.render(self.embed(clean)), self.render(batch["noise"])]

    @torch.inference_mode()
    def components(self, x: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the components of scores, which `vaetool.scoring.statistics` lists; see `Scorer.components`."""
        posterior = self.posterior(x)
        noise = torch.randn(self.config.latent, generator=generator).to(x.device)  # the same for every picture
        output = self.decoder(posterior.sample(noise))
        log_likelihood, kl = self.likelihood(output, x), posterior.kl().sum(dim=1)
        elbo = log_likelihood - kl
        residuals = (self.likelihood.picture(output) - x).abs().flatten(1)
        bits = lossless_bits(from_unit(x.permute(0, 2, 3, 1).cpu().numpy(), np.dtype(np.uint8)))
        density = self.mixture or Normal(self.config.latent)
        arrays = {
            "top": mean_of_largest(residuals.cpu().numpy()),
            "code": -density.log_density(posterior.mean.cpu().numpy()),
            "bits": bits,
            "complexity": bits_per_dim(elbo, self.dims, self.likelihood.is_density).cpu().numpy() - bits,
        }
        tensors = {"elbo": elbo, "recon": -log_likelihood / self.dims, "kl": kl}
        return tensors | {name: torch.from_numpy(values) for name, values in arrays.items()}

    def slow_components(self, x: Tensor, by: str, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the component of a slow method; see `Scorer.slow_components`."""
        draws = {"iwae": IWAE_SAMPLES, "regret": REGRET_STEPS}[by]
        noise = torch.randn((draws, 1, self.config.latent), generator=generator).to(x.device)  # for every picture
        return {by: self._bound(x, noise) if by == "iwae" else self.regret(x, noise)}

    @torch.enable_grad()
    def regret(self, x: Tensor, noise: Tensor) -> Tensor:
        """Return the gain of the ELBO, (batch,) in nats, when the posterior is optimised for each picture.

        Likelihood regret (Xiao, Yan & Amit 2020, equation 6), of the posterior's mean and sigma rather than of the
        encoder's weights. noise: standard normal, (steps, 1, latent); the ELBOs are estimated with its last part.
        """
        with torch.no_grad():
            start = self.posterior(x)

        def elbos(posterior: Posterior, noise: Tensor) -> Iterator[Tensor]:
            return (self.likelihood(self.decoder(posterior.sample(e)), x) - posterior.kl().sum(dim=1) for e in noise)

        best = Posterior(start.mean.clone().requires_grad_(), start.log_var.clone().requires_grad_())
        optimizer = torch.optim.Adam([best.mean, best.log_var], REGRET_LR)
        for elbo in elbos(best, noise):
            optimizer.zero_grad()
            (-elbo.sum()).backward()
            optimizer.step()
        with torch.no_grad():
            final, first = (torch.stack(list(elbos(each, noise[-REGRET_DRAWS:]))) for each in (best, start))
        return (final - first).mean(dim=0)

    def iwae(self, x: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """Return the importance-weighted bound on log p(x), per picture, (batch,), in nats; the ELBO if samples is 1.

        log 1/k Σ p(x given z) p(z) / q(z given x), z from q (Burda, Grosse & Salakhutdinov 2016, equation 8).
        """
        shape = (len(x), self.config.latent)
        return self._bound(x, (torch.randn(shape, generator=generator, device=x.device) for _ in range(samples)))

    def baseline(self, training: ImageStore, held_out: Tensor, generator: torch.Generator) -> dict[str, Any]:
        """Return `iwae`, the importance-weighted bound on log p(x), with the ELBO for comparison, as plain values.

        It uses at most two batches of images, which takes up to a minute on two cores.
        """
        batches = held_out[: 2 * self.batch_size].split(self.batch_size)

        def mean(samples: int) -> float:
            return round(torch.cat([self.iwae(x, samples, generator) for x in batches]).mean().item(), 3)

        found = {"bound": mean(BOUND_SAMPLES), "samples": BOUND_SAMPLES, "elbo": mean(1)}
        return {"iwae": {**found, "images": sum(map(len, batches))}}

    @torch.inference_mode()
    def _bound(self, x: Tensor, noise: Iterable[Tensor]) -> Tensor:
        """Return the importance-weighted bound, with one sample for each noise, (batch or 1, latent)."""
        posterior = self.posterior(x)
        weights = []
        for each in noise:
            z = posterior.sample(each)
            log_q = log_normal(z, posterior.mean, posterior.log_var)
            weights.append(self.likelihood(self.decoder(z), x) + log_normal(z) - log_q)
        return torch.logsumexp(torch.stack(weights), dim=0) - math.log(len(weights))
