"""The end of training a model of codes: what is found out about them, once, and travels in its file."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaetool import weights
from vaetool.latent.baseline import MOST_NUMBERS, pca_psnr
from vaetool.latent.directions import named_directions
from vaetool.latent.priors import MOST_CODES, fit_mixture
from vaetool.models.autoencoder import Autoencoder
from vaetool.models.base import Batch
from vaetool.models.vae import VAE
from vaetool.training.config import Recipe
from vaetool.training.data import PixelStore

IWAE_SAMPLES = 50


def complete_file(
    path: Path, training: PixelStore, held_out: Batch, recipe: Recipe, generator: torch.Generator
) -> dict[str, Any] | None:
    """`complete` for the model in a file, which is written again, with what was found among its facts as `codes`.

    Returns that; None if the model is of a kind that has no codes. Raises WeightsError, FileError.
    """
    model = weights.load(path, device=str(generator.device))
    if not isinstance(model, Autoencoder):
        return None
    found = complete(model, training, held_out["clean"], recipe.corruption, generator, recipe.training.seed)
    weights.save(path, model, {**weights.read_header(path).training, "codes": found})
    return found


def complete(
    model: Autoencoder, training: PixelStore, held_out: Tensor, corruption: Any, generator: torch.Generator, seed: int
) -> dict[str, Any]:
    """Find the spread of codes, a mixture as their density, and directions for labels, and make them part of the model.

    training: the images it was trained on; corruption: what its training did to them. held_out: other ones as the
    figures were measured on them, (images, channels, size, size). Ten thousand training images are looked at, at most.
    Returns plain values for the model file: log-densities in nats per code, AUCs of directions, and for a VAE the bound
    on log p(x) by 50 importance samples, else the PSNR in dB of a linear code of the same width.
    """
    model.forget()
    count = -(-MOST_CODES // model.batch_size)
    batches = islice(training.batches(model.config.size, model.batch_size), count)
    means, drawn = _codes(model, (model.corrupt(x, generator, corruption)["clean"] for x in batches), generator)
    mixture = fit_mixture(drawn, _codes(model, held_out.split(model.batch_size), generator)[1], seed)
    directions = named_directions(means, training.labels[: len(means)])
    # Of codes as they are drawn: a unit that says nothing has means that are all the same, and is no narrower for it.
    model.keep_spread(drawn)
    model.keep_mixture(mixture)
    model.keep_directions(directions)
    normal, fitted = mixture.scores.tolist()
    facts = {
        "components": len(mixture.weights),
        "log_density": {"normal": round(normal, 3), "mixture": round(fitted, 3)},
        "better": "mixture" if mixture.is_better else "normal",
        "directions": {name: round(auc, 4) for name, (_, auc) in directions.items()},
    }
    if isinstance(model, VAE):
        return {**facts, "iwae": _bound(model, held_out, generator)}
    return {**facts, "pca_psnr": _linear_baseline(model, training, held_out)}


def summary(facts: dict[str, Any]) -> str:
    """What `complete` found, in one line."""
    densities = facts["log_density"]
    line = (
        f"held-out codes: {densities['normal']:.1f} nats under N(0, I), {densities['mixture']:.1f} under a mixture of "
        f"{facts['components']}"
    )
    if "iwae" in facts:
        line += f"; IWAE bound {facts['iwae']['bound']:.1f} nats, {facts['iwae']['samples']} samples"
    if "pca_psnr" in facts:
        line += f"; principal components of the same width: {facts['pca_psnr']:.2f} dB"
    if facts["directions"]:
        line += f"; AUC of directions: {', '.join(f'{name} {auc:.2f}' for name, auc in facts['directions'].items())}"
    return line


@torch.inference_mode()
def _codes(model: Autoencoder, batches: Iterable[Tensor], generator: torch.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Of all pictures the codes as `embed` and as `draw_codes` gives them, (pictures, latent) each."""
    pairs = [(model.embed(x).cpu(), model.draw_codes(x, generator).cpu()) for x in batches]
    means, drawn = (torch.cat(part).numpy() for part in zip(*pairs, strict=True))
    return means, drawn


def _linear_baseline(model: Autoencoder, training: PixelStore, held_out: Tensor) -> float:
    """What PSNR a linear code of the same width comes to."""
    pictures = training.centre_crops(model.config.size, slice(MOST_NUMBERS // held_out[0].numel()))
    seen, unseen = (x.flatten(1).cpu().numpy() for x in (pictures, held_out))
    return round(pca_psnr(seen, unseen, model.config.latent), 2)


def _bound(model: VAE, held_out: Tensor, generator: torch.Generator) -> dict[str, Any]:
    """Of as many images as two batches hold, which takes a minute or less on two cores, and their ELBO beside it."""
    batches = held_out[: 2 * model.batch_size].split(model.batch_size)

    def mean(samples: int) -> float:
        return round(torch.cat([model.iwae(x, samples, generator) for x in batches]).mean().item(), 3)

    return {"bound": mean(IWAE_SAMPLES), "samples": IWAE_SAMPLES, "elbo": mean(1), "images": sum(map(len, batches))}
