"""Base of `ae` and `vae`: an encoder, so that pictures have codes, and a description of the codes as a whole.

The description is computed when training ends: the spread of the codes, a mixture fitted as their density, and the
directions in which labels change them. It is stored in the model file, so that sampling and morphing need no data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from vaetool.images.conversion import require_numbers
from vaetool.latents.baseline import MAX_NUMBERS, pca_psnr
from vaetool.latents.directions import named_directions
from vaetool.latents.generative import Generative
from vaetool.latents.priors import MAX_CODES, fit_mixture
from vaetool.latents.trunk import TrunkConfig
from vaetool.nn.base import Batch, Facts, ImageStore, TrainingImages

if TYPE_CHECKING:
    from vaetool.latents.priors import Mixture

DESCRIBED = 10_000
"""Minimum number of training pictures whose codes are described; of small ones, as many as `MAX_NUMBERS` allows."""

FOUND = {"mixture_weights", "mixture_means", "mixture_factors", "prior_scores", "directions", "direction_aucs"}
"""Buffers that exist once training has ended."""


class Autoencoder(Generative):
    """A model that also has a code for each picture. See the module's docstring."""

    defaults: ClassVar[dict[str, dict[str, Any]]] = {"model": {"channels": 0}, "training": {"batch": 0, "lr": 2e-3}}
    mixture_weights: Tensor
    mixture_means: Tensor
    mixture_factors: Tensor
    prior_scores: Tensor
    directions: Tensor
    direction_aucs: Tensor

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__(config)
        latent, components, names = config.numbers, config.mixture, len(config.directions)
        if components:
            self.register_buffer("mixture_weights", torch.zeros(components))
            self.register_buffer("mixture_means", torch.zeros(components, latent))
            self.register_buffer("mixture_factors", torch.zeros(components, latent, latent))
            self.register_buffer("prior_scores", torch.zeros(2))
        if names:
            self.register_buffer("directions", torch.zeros(names, latent))
            self.register_buffer("direction_aucs", torch.zeros(names))

    def embed(self, x: Tensor) -> Tensor:
        """Return the codes, (batch, latent), of pictures, (batch, channels, size, size) in 0..1.

        Where a code is a distribution, that is its mean.
        """
        raise NotImplementedError

    def draw_codes(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return codes as the decoder sees them in training: drawn from the posterior, if there is one."""
        return self.embed(x)

    @torch.inference_mode()
    def encode(self, images: Iterable[Any]) -> np.ndarray:
        """Return the codes of images of any kind, (images, latent) float32.

        Raises ImageError for codes that are not finite.
        """
        codes = torch.cat(
            [torch.empty(0, self.config.numbers), *(self.embed(x).cpu() for x in self.prepare_all(images))]
        )
        require_numbers(codes)
        return codes.numpy()

    def kl_per_unit(self, images: Iterable[Any]) -> np.ndarray | None:
        """Return the mean KL of every unit to the prior, (latent,), in nats; None if codes are not distributions."""
        return None

    @property
    def mixture(self) -> Mixture | None:
        """The density fitted to the codes, or None."""
        from vaetool.latents.priors import Mixture

        if not self.config.mixture:
            return None
        parts = (self.mixture_weights, self.mixture_means, self.mixture_factors, self.prior_scores)
        return Mixture(*(part.cpu().numpy() for part in parts))

    def keep_mixture(self, mixture: Mixture) -> None:
        """Store a fitted density in the model."""
        self._know(mixture=len(mixture.weights))
        for name in ("weights", "means", "factors"):
            self._keep(f"mixture_{name}", getattr(mixture, name))
        self._keep("prior_scores", mixture.scores)

    def keep_directions(self, found: dict[str, tuple[np.ndarray, float]]) -> None:
        """Store named directions in the model: for each name a vector, (latent,), and its held-out AUC."""
        self._know(directions=tuple(found))
        if found:
            self._keep("directions", np.stack([vector for vector, _ in found.values()]))
            self._keep("direction_aucs", np.array([auc for _, auc in found.values()]))

    def keep_spread(self, codes: np.ndarray) -> None:
        """Store the mean and the standard deviation of codes, (codes, latent), in the model."""
        self._keep("code_mean", codes.mean(axis=0))
        self._keep("code_sigma", codes.std(axis=0).clip(1e-6))

    def named_directions(self) -> dict[str, tuple[np.ndarray, float]]:
        """Return the named directions, as `keep_directions` took them."""
        if not self.config.directions:
            return {}
        vectors, aucs = self.directions.cpu().numpy(), self.direction_aucs.tolist()
        return {name: (vectors[k], aucs[k]) for k, name in enumerate(self.config.directions)}

    def complete(self, images: TrainingImages, held_out: Batch, corruption: Any, generator: torch.Generator) -> Facts:
        """Describe the distribution of codes and store the description in the model. See `Model.complete`.

        The values get an entry `codes`: log-densities in nats per code, AUCs of directions, and the `baseline`.
        """
        codes = self._find_codes(images.training, held_out["clean"], corruption, generator)
        words, values = super().complete(images, held_out, corruption, generator)
        return Facts([summary(codes), *words], {**values, "codes": codes})

    def _find_codes(
        self, training: ImageStore, held_out: Tensor, corruption: Any, generator: torch.Generator
    ) -> dict[str, Any]:
        """Store the spread of codes, a mixture as their density, and directions for labels; return facts about them.

        Uses at most sixty thousand training images, fewer if they are large, corrupted as in training.
        """
        self.forget()
        count = max(DESCRIBED, min(MAX_CODES, MAX_NUMBERS // held_out[0].numel()))
        batches = islice(training.batches(self.config.size, self.batch_size), -(-count // self.batch_size))
        corrupted = (self.corrupt(x, generator, corruption)["clean"] for x in batches)
        means, drawn = self._codes(corrupted, generator)
        unseen = self._codes(held_out.split(self.batch_size), generator)[1]
        mixture = fit_mixture(drawn, unseen, generator.initial_seed() % 2**31)
        directions = self.find_directions(means[:DESCRIBED], training.labels[:DESCRIBED])
        # The spread is that of drawn codes: the means of an inactive unit are all the same, yet it is no narrower.
        self.keep_spread(drawn)
        self.keep_mixture(mixture)
        self.keep_directions(directions)
        normal, fitted = mixture.scores.tolist()
        return {
            "components": len(mixture.weights),
            "log_density": {"normal": round(normal, 3), "mixture": round(fitted, 3)},
            "better": "mixture" if mixture.is_better else "normal",
            "directions": {name: round(auc, 4) for name, (_, auc) in directions.items()},
            **self.baseline(training, held_out, generator),
        }

    @torch.inference_mode()
    def _codes(self, batches: Iterable[Tensor], generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the codes of pictures as given by `embed` and by `draw_codes`, (pictures, latent) each."""
        pairs = [(self.embed(x).cpu(), self.draw_codes(x, generator).cpu()) for x in batches]
        means, drawn = (torch.cat(part).numpy() for part in zip(*pairs, strict=True))
        return means, drawn

    def find_directions(self, codes: np.ndarray, labels: Sequence[str]) -> dict[str, tuple[np.ndarray, float]]:
        """Return directions for labels, as `keep_directions` takes them."""
        return named_directions(codes, labels)

    def baseline(self, training: ImageStore, held_out: Tensor, generator: torch.Generator) -> dict[str, Any]:
        """Return `pca_psnr`, the PSNR in dB of a linear code of the same width, as a plain value."""
        pictures = training.centre_crops(self.config.size, slice(MAX_NUMBERS // held_out[0].numel()))
        seen, unseen = (x.flatten(1).cpu().numpy() for x in (pictures, held_out))
        return {"pca_psnr": round(pca_psnr(seen, unseen, self.config.numbers), 2)}

    def forget(self) -> None:
        """Drop the density and the directions, which describe codes that further training changes."""
        super().forget()
        self._know(mixture=0, directions=())
        for name in FOUND & self._buffers.keys():
            delattr(self, name)

    def _know(self, **changed: Any) -> None:
        self.config = dataclasses.replace(self.config, **changed)

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32, device=self.device))


def summary(codes: dict[str, Any]) -> str:
    """Summarise the facts about the codes in one line."""
    densities = codes["log_density"]
    line = (
        f"held-out codes: {densities['normal']:.1f} nats under N(0, I), {densities['mixture']:.1f} under a mixture of "
        f"{codes['components']}"
    )
    if "iwae" in codes:
        line += f"; IWAE bound {codes['iwae']['bound']:.1f} nats, {codes['iwae']['samples']} samples"
    if "pca_psnr" in codes:
        line += f"; principal components of the same width: {codes['pca_psnr']:.2f} dB"
    if codes["directions"]:
        line += f"; AUC of directions: {', '.join(f'{name} {auc:.2f}' for name, auc in codes['directions'].items())}"
    return line
