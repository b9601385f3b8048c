"""The end of training: what is found out about codes, and about good pictures, once, and travels in a model's file."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaetool.errors import ImageError
from vaetool.images.sources import Source
from vaetool.latents.autoencoder import Autoencoder
from vaetool.latents.baseline import MOST_NUMBERS, pca_psnr
from vaetool.latents.directions import named_directions
from vaetool.latents.priors import MOST_CODES, fit_mixture
from vaetool.latents.vae import VAE
from vaetool.nn.base import Batch
from vaetool.scoring.measurement import FEWEST_IMAGES
from vaetool.scoring.scorer import Scorer
from vaetool.store import weights
from vaetool.training.config import Recipe
from vaetool.training.data import PixelStore
from vaetool.training.preparation import Images

IWAE_SAMPLES = 50


def complete_file(path: Path, images: Images, held_out: Batch, recipe: Recipe, generator: torch.Generator) -> list[str]:
    """`complete` for the model in a file, which is written again, with what was found among its facts as `codes`.

    A model that scores pictures is calibrated as well, with the images that are kept for that.
    Returns what was found, in words; nothing for a model of another kind. Raises WeightsError, FileError.
    """
    model = weights.load(path, device=str(generator.device))
    about, words = weights.read_header(path).training, []
    if isinstance(model, Autoencoder):
        clean = held_out["clean"]
        about["codes"] = complete(model, images.training, clean, recipe.corruption, generator, recipe.training.seed)
        words.append(summary(about["codes"]))
    if isinstance(model, Scorer):
        words.append(_calibrate(model, images.unseen))
    if words:
        weights.save(path, model, about)
    return words


def _calibrate(model: Scorer, unseen: Iterable[Source]) -> str:
    """Returns what became of it, in words."""
    good = []
    for source in unseen:
        with suppress(ImageError):  # small as the model sees them, and kept so: a thousand photographs are gigabytes
            good.append(model.prepare(source.read()).mul(255).round().byte())
    if len(good) < FEWEST_IMAGES:
        return "not calibrated: p-values for scores need thirty images or more, of which ten or more are kept for them"
    model.calibrate(good)
    return f"calibrated with {len(good)} images that were neither trained nor measured on"


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
