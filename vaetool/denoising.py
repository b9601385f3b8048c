"""The task behind `vaetool denoise`: one picture cleaned, and what was found out about it."""

from __future__ import annotations

from typing import Any

from vaetool.images import Picture
from vaetool.models.dae import DAE, constant_map, median_sigma


def denoise_picture(
    model: DAE, picture: Picture, *, sigma: float | None = None, strength: float = 1.0, tile: int | None = None
) -> tuple[Picture, dict[str, Any]]:
    """The picture without its noise, all else kept, and facts for a report: `sigma` in 8-bit units.

    The parameters are those of `DAE.denoise`.
    """
    pixels = picture.visible_pixels()
    noise = model.noise_map(pixels, tile) if sigma is None else constant_map(sigma)
    clean = model.denoise_pixels(pixels, noise, strength, tile)
    return picture.replace_pixels(clean), {"sigma": round(median_sigma(noise), 2)}
