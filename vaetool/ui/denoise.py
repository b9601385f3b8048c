"""The tab Denoise: `vaetool denoise`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaetool.denoising.cleaning import Cleaning
from vaetool.denoising.task import denoise_picture
from vaetool.ui.session import Item, Session, renamed
from vaetool.ui.views import show


@dataclass(frozen=True)
class Clean:
    """A request to clean a picture; the numbers are those of `Cleaning`."""

    picture: str
    strength: float = 1.0
    grain: float = 0.0
    colour_noise: float = 0.0
    sigma: float | None = None
    model: str = "photo-denoise"


def clean(session: Session, request: Clean) -> dict[str, Any]:
    """Clean a picture. The answer describes the new picture, and has the facts of `denoise_picture`."""
    item = session.find(request.picture)
    cleaning = Cleaning(request.sigma, request.strength, request.grain, request.colour_noise)
    with session.working(item.name):
        cleaned, facts = denoise_picture(session.model(request.model, "dae"), item.picture, cleaning)
    if "reason" in facts:
        facts["reason"] = facts["reason"].partition(" (--")[0].replace("--", "")
    return show(session, Item(renamed(item.name, "denoised"), cleaned)) | facts
