"""The kinds of model: the module of each, and its abilities besides the main task."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """Facts about a kind that are known without importing its module and torch."""

    module: str
    has_codes: bool = False  # of fixed length, one for every picture
    makes_pictures: bool = False  # of codes drawn at random
    gives_scores: bool = False  # says how unusual a picture is
    relates_modalities: bool = False  # says what belongs together: several pictures of a thing, or pictures and labels


KINDS = {
    "ae": Kind("vaetool.latents.ae", has_codes=True, makes_pictures=True),
    "codec": Kind("vaetool.compression.codec"),
    "dae": Kind("vaetool.denoising.dae"),
    "defect": Kind("vaetool.scoring.defect", gives_scores=True),
    "features": Kind("vaetool.scoring.features", gives_scores=True),
    "flaws": Kind("vaetool.inpainting.flaws"),
    "gan": Kind("vaetool.latents.gan", makes_pictures=True),
    "mae": Kind("vaetool.inpainting.mae"),
    "mmvae": Kind("vaetool.latents.mmvae", relates_modalities=True),
    "vae": Kind("vaetool.latents.vae", has_codes=True, makes_pictures=True, gives_scores=True),
}


def kinds_with_codes() -> tuple[str, ...]:
    """Return the names of the kinds that can `encode` pictures and `decode` codes."""
    return tuple(name for name, kind in KINDS.items() if kind.has_codes)


def kinds_with_pictures() -> tuple[str, ...]:
    """Return the names of the kinds that can generate pictures."""
    return tuple(name for name, kind in KINDS.items() if kind.makes_pictures)


def kinds_with_modalities() -> tuple[str, ...]:
    """Return the names of the kinds that translate between modalities and `score` whether they belong together."""
    return tuple(name for name, kind in KINDS.items() if kind.relates_modalities)


def kinds_with_scores() -> tuple[str, ...]:
    """Return the names of the kinds that can `score` pictures."""
    return tuple(name for name, kind in KINDS.items() if kind.gives_scores)
