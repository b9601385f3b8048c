"""Views of the latent space: the positions of pictures, the effects of directions, and what lies in between.

The contents of all plots, computed with a model; drawing is in `vaetool.latents.plots`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vaetool.errors import UsageError
from vaetool.latents.priors import Normal

if TYPE_CHECKING:
    from vaetool.latents.autoencoder import Autoencoder

LOOKED_AT = 1000
"""Maximum number of pictures in a view: enough to show a space, and processed in seconds."""

GRID = 12  # pictures per side of the manifold
OUTERMOST = 0.03  # the share of codes that lies beyond each edge of the manifold
TRAVERSED = 8  # units
STEPS = np.linspace(-3, 3, 9)  # of a traversal, in standard deviations of the unit
SHOWN, SAMPLES = 30, 60  # reconstructions, samples
MIN_FOR_TSNE = 10
SEED = 0


@dataclass(frozen=True)
class View:
    """The contents of plots. Pictures are (..., size, size, channels) uint8.

    points: (pictures, 2), the codes in two dimensions; axes: names of these; labels: of the pictures, "" for none.
    manifold: (rows, columns, ...), decoded from a plane; a row has the same second coordinate, the largest on top.
    traversals: (units, steps, ...), of `units`, the most active ones, each changing alone.
    kl: (latent,), mean nats per unit, None for codes that are not distributions.
    """

    points: np.ndarray
    axes: tuple[str, str]
    labels: tuple[str, ...]
    manifold: np.ndarray
    traversals: np.ndarray
    units: tuple[int, ...]
    originals: np.ndarray
    reconstructions: np.ndarray
    samples: np.ndarray
    kl: np.ndarray | None


def look(model: Autoencoder, images: Sequence[Any], labels: Sequence[str], *, tsne: bool = False) -> View:
    """Compute the contents of plots of a model's latent space from one or more images of any kind and their labels.

    tsne: place points by t-SNE (van der Maaten & Hinton 2008) instead of the first two principal components; codes of
    two dimensions are used as they are.
    """
    codes = model.encode(images)
    kl = model.kl_per_unit(images)
    plane = Plane(codes)
    units = np.argsort(-(codes.std(axis=0) if kl is None else kl), kind="stable")[:TRAVERSED]
    show = images[:SHOWN]
    density = model.mixture if model.mixture is not None and model.mixture.is_better else Normal(codes.shape[1])
    return View(
        points=_tsne(codes) if tsne else plane.points,
        axes=("t-SNE", "") if tsne else plane.names,
        labels=tuple(labels),
        manifold=_decode(model, plane.grid()),
        traversals=_decode(model, unit_steps(codes, units)),
        units=tuple(units.tolist()),
        originals=np.stack(list(map(model.as_seen, show))),
        reconstructions=model.decode(codes[:SHOWN]),
        samples=model.decode(density.sample(SAMPLES, 1.0, np.random.default_rng(SEED))),
        kl=kl,
    )


class Plane:
    """The plane in which codes, (codes, latent), spread most; the whole space if they have one or two dimensions."""

    def __init__(self, codes: np.ndarray) -> None:
        latent = codes.shape[1]
        self.mean, self.directions, self.names = np.zeros(latent), np.eye(2, latent), ("z0", "z1")
        if min(codes.shape) > 2:
            self.mean = codes.mean(axis=0)
            _, spreads, directions = np.linalg.svd(codes - self.mean, full_matrices=False)
            first, second, *_ = np.square(spreads) / max(np.square(spreads).sum(), 1e-12)
            self.directions = directions[:2]
            self.names = (f"principal component 1 ({first:.0%})", f"principal component 2 ({second:.0%})")
        self.points = (codes - self.mean) @ self.directions.T

    def spacing(self, side: int) -> np.ndarray:
        """Return the coordinates of a grid, (2, side): across and upwards, by quantiles of the points."""
        return np.quantile(self.points, np.linspace(OUTERMOST, 1 - OUTERMOST, side), axis=0).T

    def grid(self, side: int = GRID) -> np.ndarray:
        """Return codes in the plane, (rows, columns, latent), spaced by quantiles of the points, the highest on top."""
        across, upwards = self.spacing(side)
        columns, rows = np.meshgrid(across, upwards[::-1])
        return self.mean + np.stack([columns, rows], axis=-1) @ self.directions


def unit_steps(codes: np.ndarray, units: Sequence[int] | np.ndarray, steps: np.ndarray = STEPS) -> np.ndarray:
    """Return the mean code with one unit moved, (units, steps, latent), by steps in its standard deviations."""
    moved = np.broadcast_to(codes.mean(axis=0), (len(units), len(steps), codes.shape[1])).copy()
    for row, unit in zip(moved, units, strict=True):
        row[:, unit] += steps * codes[:, unit].std()
    return moved


def _tsne(codes: np.ndarray) -> np.ndarray:
    from sklearn.manifold import TSNE

    if len(codes) < MIN_FOR_TSNE:
        raise UsageError(f"t-SNE needs {MIN_FOR_TSNE} pictures or more, not {len(codes)}")
    return TSNE(perplexity=min(30, (len(codes) - 1) / 3), random_state=SEED).fit_transform(codes)


def _decode(model: Autoencoder, codes: np.ndarray) -> np.ndarray:
    """Return the pictures of codes, (rows, columns, latent)."""
    pictures = model.decode(codes.reshape(-1, codes.shape[-1]))
    return pictures.reshape(*codes.shape[:2], *pictures.shape[1:])
