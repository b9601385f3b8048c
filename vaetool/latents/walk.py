"""A page to walk through a latent space: a map of its plane, and sliders for the most active units.

All pictures are decoded beforehand, so that the page needs neither the model nor a network. It blends neighbours on the
map and adds the change that each slider makes to the picture of the mean code. That approximates the decoder, and the
page states the error.
"""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
from jinja2 import Environment, StrictUndefined

from vaetool.images.animation import resize
from vaetool.images.picture import as_pillow
from vaetool.latents.views import Plane, unit_steps

if TYPE_CHECKING:
    from vaetool.latents.autoencoder import Autoencoder

SIDE = 21  # pictures per side of the map
STEPS = np.linspace(-3, 3, 13)  # of a slider, in standard deviations of its unit
LARGEST = 96  # pixels a side of a picture
MAX_BYTES = 2_000_000  # of all pictures; base64 makes a third more of them
QUALITIES = (90, 75, 60, 40, 20)  # of WebP: the first with which they fit
MAX_DOTS, MAX_LABELS = 1000, 10
PROBES = 64  # places at which sums of changes are compared with decoded pictures
SEED = 0


def walk_page(model: Autoencoder, codes: np.ndarray, labels: Sequence[str], units: Sequence[int]) -> bytes:
    """Return the page, UTF-8, for a model and the codes of pictures, (pictures, latent), with a label each.

    units: units with a slider, the most active first.
    """
    chosen = np.random.default_rng(SEED).permutation(len(codes))[:MAX_DOTS]
    plane = Plane(codes[chosen])
    grid = plane.grid(SIDE)
    sliders = unit_steps(codes, units, STEPS)
    on_map, along = (model.decode(each.reshape(-1, each.shape[-1])) for each in (grid, sliders))
    names, numbers = _numbered([labels[k] for k in chosen])
    places = [
        np.interp(values, ends, np.arange(SIDE))
        for values, ends in zip(plane.points.T, plane.spacing(SIDE), strict=True)
    ]
    size = min(LARGEST, model.config.size)
    data = {
        "size": size,
        "side": SIDE,
        "steps": STEPS.tolist(),
        "dots": [[round(x, 1), round(SIDE - 1 - y, 1), k] for x, y, k in zip(*places, numbers, strict=True)],
    }
    page = resources.files("vaetool.latents").joinpath("walk.html").read_text(encoding="utf-8")
    return (
        Environment(autoescape=True, undefined=StrictUndefined)
        .from_string(page)
        .render(
            pictures=len(codes),
            axes=plane.names,
            units=list(units),
            labels=names,
            reach=STEPS[-1],
            side=SIDE,
            error=round(_error_of_sums(model, grid, sliders)),
            data=json.dumps(data),
            sheet=base64.b64encode(_sheet(np.concatenate([on_map, along]), size)).decode(),
        )
        .encode("utf-8", "replace")
    )


def _numbered(labels: Sequence[str]) -> tuple[list[str], list[int]]:
    """Return the most frequent labels, and the number of each picture's among them; −1 for the others."""
    common = [label for label, _ in Counter(label for label in labels if label).most_common(MAX_LABELS)]
    return common, [common.index(label) if label in common else -1 for label in labels]


def _sheet(pictures: np.ndarray, size: int) -> bytes:
    """Return pictures, (pictures, ...) uint8, at a size and in rows of `SIDE`, as a WebP."""
    small = resize(pictures, size)
    full = np.concatenate([small, np.zeros((-len(small) % SIDE, *small.shape[1:]), np.uint8)])
    rows = full.reshape(-1, SIDE, *full.shape[1:]).swapaxes(1, 2)
    image = as_pillow(rows.reshape(-1, SIDE * size, full.shape[3]))
    for quality in QUALITIES:
        image.save(file := io.BytesIO(), "WEBP", quality=quality, method=4)
        if file.tell() <= MAX_BYTES:
            break
    return file.getvalue()


def _error_of_sums(model: Autoencoder, grid: np.ndarray, sliders: np.ndarray) -> float:
    """Return the RMS error, of 255, of the page's picture for a place of the map with two units changed."""
    generator = np.random.default_rng(SEED)
    places = grid.reshape(-1, grid.shape[-1])[generator.integers(0, SIDE**2, PROBES)]
    mean = sliders[0, len(STEPS) // 2]
    steps = sliders[generator.integers(0, len(sliders), (2, PROBES)), generator.integers(0, len(STEPS), (2, PROBES))]
    start, centre, first, second, decoded = (
        model.decode(codes).astype(np.float32)
        for codes in (places, mean[None], *steps, places + (steps - mean).sum(axis=0))
    )
    sums = (start + first + second - 2 * centre).clip(0, 255)
    return float(np.sqrt(np.square(sums - decoded).mean()))
