"""The task behind `vaetool translate`: from one modality to another by a multimodal VAE, with the uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vaetool.errors import UsageError
from vaetool.images.conversion import from_unit, to_tensor, unpack, whole_picture
from vaetool.latents.mmvae import MMVAE
from vaetool.latents.modalities import Pictures

DRAWS = 32
"""Number of codes drawn from the posterior."""


@dataclass(frozen=True, eq=False)
class Translation:
    """The translation of a picture: another picture, or a label.

    pixels: the mean picture, (size, size, channels) uint8. spread: the root mean square deviation of samples from it,
    (size, size) float32, in 0..1. probabilities: of all labels, by name, the likeliest first.
    """

    pixels: np.ndarray | None = None
    spread: np.ndarray | None = None
    probabilities: dict[str, float] | None = None

    @property
    def label(self) -> str | None:
        """The likeliest label, or None for a picture."""
        return next(iter(self.probabilities), None) if self.probabilities else None

    def facts(self) -> dict[str, Any]:
        """Return `uncertainty`, the mean spread in 8-bit levels, or the label and its probability."""
        if self.spread is not None:
            return {"uncertainty": round(255 * float(self.spread.mean()), 3)}
        return {"label": self.label, "probability": round(max((self.probabilities or {"": 0.0}).values()), 4)}


def direction(model: MMVAE, to: str | None, source: str | None) -> tuple[int, int]:
    """Return the numbers of the modalities to translate from and to; each name may be None if only one is possible.

    Raises UsageError for an unknown or an ambiguous modality, and for labels to translate from.
    """
    names, pictures = model.config.modalities, [planes > 0 for planes in model.config.planes]

    def choose(name: str | None, option: str, possible: list[str]) -> str:
        if name is None and len(possible) == 1:
            return possible[0]
        if name not in possible:
            said = "which modality?" if name is None else f"{name} is not possible:"
            raise UsageError(f"{said} give {option} {' or '.join(possible)}")
        return name

    starts = [name for name, is_picture in zip(names, pictures, strict=True) if is_picture]
    end = choose(to, "--to", [name for name in names if source != name and starts != [name]])
    start = choose(source, "--from", [name for name in starts if name != end])
    return names.index(start), names.index(end)


@torch.inference_mode()
def translate_picture(
    model: MMVAE, image: Any, *, to: str | None = None, source: str | None = None, seed: int = 0
) -> Translation:
    """Translate an image of any kind, of which the middle square is used, to another modality.

    to, source: names of modalities, see `direction`. The same seed gives the same result. Raises UsageError.
    """
    start, end = direction(model, to, source)
    config = model.config
    x = torch.zeros((1, sum(max(1, planes) for planes in config.planes), config.size, config.size))
    pixels = whole_picture(unpack(image)[0], config.size, config.planes[start])
    model.split(x)[start].copy_(to_tensor(pixels))
    x = x.to(model.device)
    seen = torch.zeros_like(model.all_seen(x))
    seen[:, start] = True
    posterior, modality = model.posteriors(x, seen)[0], model.modality(end)
    generator = torch.Generator().manual_seed(seed)
    z = posterior.sample(torch.randn((DRAWS, 1, model.shared), generator=generator).to(x.device))[:, 0]
    w = torch.randn((DRAWS, modality.private), generator=generator).to(x.device)
    usual = modality.decode(torch.cat([z, torch.zeros_like(w)], dim=1))
    if not isinstance(modality, Pictures):
        shares = usual.softmax(dim=1).mean(dim=0).tolist()
        ranked = sorted(zip(config.labels, shares, strict=True), key=lambda item: -item[1])
        return Translation(probabilities=dict(ranked))
    mean = modality.planes_of(usual).mean(dim=0)
    samples = modality.planes_of(modality.decode(torch.cat([z, w], dim=1)))
    spread = (samples - mean).square().mean(dim=(0, 1)).sqrt()
    return Translation(from_unit(mean.permute(1, 2, 0).cpu().numpy(), np.dtype(np.uint8)), spread.float().cpu().numpy())
