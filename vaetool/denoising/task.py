"""The task behind `vaetool denoise`: one picture cleaned, and what was found out about it."""

from __future__ import annotations

from typing import Any

import numpy as np

from vaetool.denoising.dae import DAE, constant_map
from vaetool.images import Picture
from vaetool.images.palette import has_few_colours


def denoise_picture(
    model: DAE, picture: Picture, *, sigma: float | None = None, strength: float = 1.0, tile: int | None = None
) -> tuple[Picture, dict[str, Any]]:
    """Return the picture without its noise, all else kept, and facts for a report.

    Facts: `sigma`, in 8-bit units, the median over all places, and `sigma_range`, which nine of ten places are within;
    `changed`, and the `reason` if nothing was.
    The parameters are those of `DAE.denoise`.
    """
    pixels = picture.visible_pixels()
    noise = model.noise_map(pixels, tile) if sigma is None else constant_map(sigma)
    clean = picture.replace_pixels(model.denoise_pixels(pixels, noise, strength, tile))
    low, median, high = (round(255 * float(value), 2) for value in np.quantile(noise, (0.05, 0.5, 0.95)))
    facts: dict[str, Any] = {"sigma": median, "sigma_range": [low, high], "changed": clean is not picture}
    if clean is picture:
        facts["reason"] = _reason(pixels, sigma)
    return clean, facts


def _reason(pixels: np.ndarray, sigma: float | None) -> str:
    if sigma is not None:
        return "nothing to remove at this --sigma and --strength"
    found = "few colours, so not a photo" if has_few_colours(pixels) else "no noise found"
    return f"{found} (--sigma N removes noise of that strength anyway)"
