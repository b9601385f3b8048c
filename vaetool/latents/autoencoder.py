"""What `ae` and `vae` share: whole pictures of one size, a code for each, and what is known of all the codes.

What is known is found once, when training ends: how codes are spread, a mixture that is a density for them, and the
directions in which labels change them. It travels in the model file, so that sampling and morphing need no data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from vaetool.images.conversion import from_unit, unpack, whole_picture
from vaetool.latents.trunk import TrunkConfig
from vaetool.nn.base import Model

if TYPE_CHECKING:
    from vaetool.latents.priors import Mixture

BATCH = 256
"""Pictures of 64 pixels a side, or as many pixels, that are computed at once."""


PRESETS = {
    "lecture-2d": {
        "model": {
            "channels": 1,
            "size": 32,
            "latent": 2,
            "widths": (32, 64, 128),
            "blocks": (0, 0, 0),
            "decoder_widths": (128, 64, 32),
            "norm": "none",
            "upsample": "transpose",
        }
    },
    "lecture-faces": {
        "model": {
            "channels": 3,
            "size": 64,
            "latent": 200,
            "widths": (32, 64, 64, 64),
            "blocks": (0, 0, 0, 0),
            "decoder_widths": (64, 64, 32, 32),
            "norm": "batch",
            "dropout": 0.25,
            "upsample": "transpose",
        }
    },
}
"""Small networks as they are taught: a code that can be drawn on paper, and faces."""

FOUND = {"mixture_weights", "mixture_means", "mixture_factors", "prior_scores", "directions", "direction_aucs"}
"""Buffers that are there once training has ended."""


class Autoencoder(Model):
    """A model with a code of fixed length for each picture of a fixed size. See the module's docstring."""

    whole_images: ClassVar[bool] = True
    defaults: ClassVar[dict[str, dict[str, Any]]] = {"model": {"channels": 0}, "training": {"batch": 128, "lr": 2e-3}}
    presets = PRESETS
    config: TrunkConfig
    code_mean: Tensor
    code_sigma: Tensor
    mixture_weights: Tensor
    mixture_means: Tensor
    mixture_factors: Tensor
    prior_scores: Tensor
    directions: Tensor
    direction_aucs: Tensor

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__(config)
        latent, components, names = config.latent, config.mixture, len(config.directions)
        self.register_buffer("code_mean", torch.zeros(latent))
        self.register_buffer("code_sigma", torch.ones(latent))
        if components:
            self.register_buffer("mixture_weights", torch.zeros(components))
            self.register_buffer("mixture_means", torch.zeros(components, latent))
            self.register_buffer("mixture_factors", torch.zeros(components, latent, latent))
            self.register_buffer("prior_scores", torch.zeros(2))
        if names:
            self.register_buffer("directions", torch.zeros(names, latent))
            self.register_buffer("direction_aucs", torch.zeros(names))

    def embed(self, x: Tensor) -> Tensor:
        """The codes, (batch, latent), of pictures, (batch, channels, size, size) in 0..1: means where they have one."""
        raise NotImplementedError

    def draw_codes(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Codes as the decoder meets them in training: drawn from the posterior where there is one."""
        return self.embed(x)

    def render(self, z: Tensor) -> Tensor:
        """The pictures, (batch, channels, size, size) in 0..1, of codes, (batch, latent)."""
        raise NotImplementedError

    @property
    def batch_size(self) -> int:
        """Pictures that are computed at once."""
        return max(1, BATCH * 64**2 // self.config.size**2)

    def prepare(self, image: Any) -> Tensor:
        """An image of any kind (see `vaetool.images.conversion.unpack`) for the network: (channels, size, size).

        The middle square of it, at the model's size, in its colours: as in training.
        """
        pixels = whole_picture(unpack(image)[0], self.config.size, self.config.channels)
        return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255

    def prepare_all(self, images: Iterable[Any]) -> Iterator[Tensor]:
        """Images of any kind in batches, on the model's device, so that a million need no more memory than that."""
        batch: list[Tensor] = []
        for image in images:
            batch.append(self.prepare(image))
            if len(batch) == self.batch_size:
                yield torch.stack(batch).to(self.device)
                batch = []
        if batch:
            yield torch.stack(batch).to(self.device)

    @torch.inference_mode()
    def encode(self, images: Iterable[Any]) -> np.ndarray:
        """The codes of images of any kind, (images, latent) float32."""
        codes = [self.embed(x).cpu() for x in self.prepare_all(images)]
        return torch.cat(codes).numpy() if codes else np.empty((0, self.config.latent), np.float32)

    @torch.inference_mode()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """The pictures of codes, (pictures, latent): (pictures, size, size, channels) uint8."""
        parts = torch.from_numpy(np.asarray(codes, np.float32)).split(self.batch_size)
        pictures = [self.render(part.to(self.device)).permute(0, 2, 3, 1).cpu().numpy() for part in parts]
        return from_unit(np.concatenate(pictures), np.dtype(np.uint8))

    def kl_per_unit(self, images: Iterable[Any]) -> np.ndarray | None:
        """Mean KL of every unit to the prior, (latent,), in nats; None where a code is no distribution."""
        return None

    @property
    def mixture(self) -> Mixture | None:
        """The density that was fitted to the codes, if one was."""
        from vaetool.latents.priors import Mixture

        if not self.config.mixture:
            return None
        parts = (self.mixture_weights, self.mixture_means, self.mixture_factors, self.prior_scores)
        return Mixture(*(part.cpu().numpy() for part in parts))

    def keep_mixture(self, mixture: Mixture) -> None:
        """Make a fitted density part of the model."""
        self._know(mixture=len(mixture.weights))
        for name in ("weights", "means", "factors"):
            self._keep(f"mixture_{name}", getattr(mixture, name))
        self._keep("prior_scores", mixture.scores)

    def keep_directions(self, found: dict[str, tuple[np.ndarray, float]]) -> None:
        """Make named directions part of the model: for each name a vector, (latent,), and its held-out AUC."""
        self._know(directions=tuple(found))
        if found:
            self._keep("directions", np.stack([vector for vector, _ in found.values()]))
            self._keep("direction_aucs", np.array([auc for _, auc in found.values()]))

    def keep_spread(self, codes: np.ndarray) -> None:
        """Make the mean and the standard deviation of codes, (codes, latent), part of the model."""
        self._keep("code_mean", codes.mean(axis=0))
        self._keep("code_sigma", codes.std(axis=0).clip(1e-6))

    def named_directions(self) -> dict[str, tuple[np.ndarray, float]]:
        """See `keep_directions`."""
        if not self.config.directions:
            return {}
        vectors, aucs = self.directions.cpu().numpy(), self.direction_aucs.tolist()
        return {name: (vectors[k], aucs[k]) for k, name in enumerate(self.config.directions)}

    def forget(self) -> None:
        """Drop the density and the directions: they are of codes that further training changes."""
        self._know(mixture=0, directions=())
        for name in FOUND & self._buffers.keys():
            delattr(self, name)

    def _know(self, **changed: Any) -> None:
        self.config = dataclasses.replace(self.config, **changed)

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32, device=self.device))
