"""The task behind `vaetool denoise`: one picture cleaned, and facts about its noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from vaetool.denoising.cleaning import DEFAULT, Cleaning
from vaetool.denoising.dae import DAE
from vaetool.denoising.noise.mixture import Noise
from vaetool.denoising.sigma import constant_map
from vaetool.images import Picture
from vaetool.images.jpeg import finer
from vaetool.images.palette import has_few_colours
from vaetool.images.ranges import used_range

TRAINED_SIGMA = Noise.sigma_max
"""Strongest noise that denoisers are trained on, unless a recipe says otherwise."""

_TOO_NOISY = "noise of sigma {:.0f} is more than denoisers are trained on: check the result, or give its --sigma"


def denoise_picture(model: DAE, picture: Picture, cleaning: Cleaning = DEFAULT) -> tuple[Picture, dict[str, Any]]:
    """Clean a picture with all of its pages, keeping everything else; also return facts for a report.

    Facts: `sigma`, in 8-bit units of the range that the picture uses, the median over all places, and `sigma_range`,
    which holds nine of ten places; `changed`, and the `reason` if nothing was; `pages`, if there are several.
    """
    pages = [replace(picture, pages=()), *picture.pages]
    cleaned = [_clean(model, page, cleaning) for page in pages]
    noise = np.concatenate([found.ravel() for _, found in cleaned])
    low, median, high = (round(255 * float(value), 2) for value in np.quantile(noise, (0.05, 0.5, 0.95)))
    changed = any(clean is not page for page, (clean, _) in zip(pages, cleaned, strict=True))
    facts: dict[str, Any] = {"sigma": median, "sigma_range": [low, high], "changed": changed}
    if picture.pages:
        facts["pages"] = len(pages)
    if not changed:
        return picture, {**facts, "reason": _reason(picture, cleaning)}
    first, *others = (clean for clean, _ in cleaned)
    notes = [_TOO_NOISY.format(median)] if cleaning.sigma is None and median > TRAINED_SIGMA else []
    jpeg = None if first.jpeg is None else finer(first.jpeg)
    return replace(first, pages=tuple(others), origin=None, jpeg=jpeg, warnings=(*first.warnings, *notes)), facts


def _clean(model: DAE, page: Picture, cleaning: Cleaning) -> tuple[Picture, np.ndarray]:
    """Return a page without noise, the page itself if it has none, and the map of its noise."""
    if cleaning.sigma is None and _has_few_colours(page):
        return page, constant_map(0)
    pixels = page.visible_pixels()
    clean, noise = model.clean(pixels, used_range(pixels, page.white), cleaning)
    return page.replace_pixels(clean), noise


def _has_few_colours(page: Picture) -> bool:
    """Tell whether the visible part of a page has few colours, as a drawing does; the hidden part may have more."""
    visible = page.pixels if page.alpha is None else page.pixels[page.alpha > 0][None]
    return visible.size > 0 and has_few_colours(visible)


def _reason(page: Picture, cleaning: Cleaning) -> str:
    if cleaning.strength == 0:
        return "nothing is removed at --strength 0"
    if cleaning.sigma is not None:
        return "nothing to remove at this --sigma"
    found = "few colours, so not a photo" if _has_few_colours(page) else "no noise found"
    return f"{found} (--sigma N removes noise of that strength anyway)"
