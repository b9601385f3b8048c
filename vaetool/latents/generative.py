"""Base of `ae`, `vae` and `gan`: whole pictures of one size, made from codes of one length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vaetool.images.conversion import from_unit, to_tensor, unpack, whole_picture
from vaetool.latents.trunk import Decoder, TrunkConfig
from vaetool.nn.base import Framing, Model, stacked

if TYPE_CHECKING:
    from vaetool.latents.priors import Mixture

BATCH = 256
"""Number of pictures of 64 pixels per side that are processed at once; of other sizes, as many pixels."""


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
"""Small networks as used in lectures: one whose codes can be plotted in two dimensions, and one for faces."""


class Generative(Model):
    """A model that makes a picture of a fixed size from each code of a fixed length."""

    framing = Framing.MIDDLE_SQUARE
    presets = PRESETS
    config: TrunkConfig
    decoder: Decoder
    code_mean: Tensor
    code_sigma: Tensor

    def __init__(self, config: TrunkConfig) -> None:
        super().__init__(config)
        # Mean and spread of codes, (latent,) each: those of N(0, I) until measured.
        self.register_buffer("code_mean", torch.zeros(config.numbers))
        self.register_buffer("code_sigma", torch.ones(config.numbers))

    def render(self, z: Tensor) -> Tensor:
        """Decode codes, (batch, latent), to pictures, (batch, channels, size, size) in 0..1."""
        raise NotImplementedError

    def encode(self, images: Iterable[Any]) -> np.ndarray:
        """Return the codes of images of any kind, (images, latent) float32."""
        raise NotImplementedError

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that a code is decoded to, if there are several."""
        return ()

    def decode_apart(self, codes: np.ndarray) -> Iterator[np.ndarray]:
        """Yield the pictures of codes one by one: for each code, those of all modalities."""
        yield from self.decode(codes)

    @torch.inference_mode()
    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Decode codes, (pictures, latent), to pictures, (pictures, size, size, channels) uint8."""
        parts = torch.from_numpy(np.asarray(codes, np.float32)).split(self.batch_size)
        pictures = [self.render(part.to(self.device)).permute(0, 2, 3, 1).cpu().numpy() for part in parts]
        return from_unit(np.concatenate(pictures), np.dtype(np.uint8))

    @property
    def last_layer(self) -> Tensor:
        """The weight of the decoder's last convolution; see `Model.last_layer`."""
        return self.decoder.tail.weight

    @property
    def usual_error(self) -> float | None:
        """The mean squared error, for pixels in 0..1, of reconstructions of training pictures; None if unknown."""
        return None

    @property
    def mixture(self) -> Mixture | None:
        """The density fitted to the codes of pictures, or None."""
        return None

    def named_directions(self) -> dict[str, tuple[np.ndarray, float]]:
        """Return the named directions: for each a vector, (latent,), and its held-out AUC."""
        return {}

    @property
    def batch_size(self) -> int:
        """Number of pictures that are processed at once."""
        return max(1, BATCH * 64**2 // self.config.size**2)

    def prepare(self, image: Any) -> Tensor:
        """Prepare an image of any kind (see `vaetool.images.conversion.unpack`) as input: (channels, size, size).

        As in training, this is the middle square, at the model's size and in the model's colours.
        """
        return to_tensor(self.as_seen(image))

    def as_seen(self, image: Any) -> np.ndarray:
        """Return an image of any kind as the model sees it: (size, size, channels) uint8."""
        return whole_picture(unpack(image)[0], self.config.size, self.config.channels)

    def prepare_all(self, images: Iterable[Any]) -> Iterator[Tensor]:
        """Yield images of any kind in batches, on the model's device, with one batch in memory at a time."""
        return (x.to(self.device) for x in stacked(map(self.prepare, images), self.batch_size))
