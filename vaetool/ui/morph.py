"""The tab Morph: the pictures between pictures, as made by `vaetool morph`, and sliders for the code of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from vaetool.errors import UsageError
from vaetool.images import Picture
from vaetool.images.animation import encode_frames, resize, strip
from vaetool.latents.morph import frame_size, morph
from vaetool.latents.portraits import portrait
from vaetool.ui.sample import MAX_COUNT, autoencoder
from vaetool.ui.session import Item, Session, renamed
from vaetool.ui.views import inline, show


@dataclass(frozen=True)
class Encode:
    """A request for the code of a picture."""

    picture: str
    model: str = "faces"


@dataclass(frozen=True)
class Morph:
    """A request for the frames between pictures; the parameters are those of `vaetool.latents.morph.morph`."""

    pictures: list[str]
    frames: int = 24
    path: Literal["slerp", "lerp"] = "slerp"
    loop: bool = False
    model: str = "faces"


def encode(session: Session, request: Encode) -> dict[str, Any]:
    """Encode a picture: its `code`, and the part of it that was `seen`, at the model's size."""
    item = session.find(request.picture)
    with session.working(item.name):
        model = autoencoder(session, request.model)
        taken = portrait(model, item.picture).seen(model)
        seen = model.as_seen(taken)
        code = model.encode([taken])[0]
    return {"code": code.tolist(), "seen": inline(seen)}


def frames(session: Session, request: Morph) -> dict[str, Any]:
    """Morph pictures. The answer has the `frames`, the keys of `gif` and `webp` files, and describes a strip of all."""
    if request.frames > MAX_COUNT:
        raise UsageError(f"the page shows at most {MAX_COUNT} frames: `vaetool morph --frames` makes more")
    items = [session.find(key) for key in request.pictures]
    pictures = []
    for item in items:
        with session.working(item.name):
            model = autoencoder(session, request.model)
            pictures.append(portrait(model, item.picture).seen(model))
    with session.working():
        model = autoencoder(session, request.model)
        pixels = morph(model, pictures, frames=request.frames, path=request.path, loop=request.loop)
        pixels = resize(pixels, frame_size(model))
    name = items[0].name
    animated = {
        suffix: session.keep(Item(renamed(name, "morph", f".{suffix}"), encode_frames(pixels, f".{suffix}")))
        for suffix in ("gif", "webp")
    }
    described = show(session, Item(renamed(name, "morph", ".png"), Picture(strip(pixels))))
    return {**described, **animated, "frames": [inline(frame) for frame in pixels]}
