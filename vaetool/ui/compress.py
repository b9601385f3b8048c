"""The tab Compress: `vaetool compress`, followed by `vaetool decompress`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vaetool.compression.container import SUFFIX
from vaetool.compression.decode import decompress_picture
from vaetool.compression.encode import compress_picture
from vaetool.compression.targets import QUALITY, Target
from vaetool.ui.session import Item, Session, renamed
from vaetool.ui.views import show


@dataclass(frozen=True)
class Pack:
    """A request to compress a picture at a quality, 1..100."""

    picture: str
    quality: int = QUALITY
    model: str = "photo-codec"


def pack(session: Session, request: Pack) -> dict[str, Any]:
    """Compress a picture. The answer describes the decoded picture, and has `file`, where the .vae file is kept.

    It also has the facts of `compress_picture`, and `in_bytes`.
    """
    item = session.find(request.picture)
    target = Target(request.quality)
    with session.working(item.name):
        codec = session.model(request.model, "codec")
        session.say("compressing")
        data, facts = compress_picture(codec, item.picture, target, measure=True)
        session.say("decompressing")
        decoded, _ = decompress_picture(data, codec, max_pixels=session.max_pixels)
    origin = item.picture.origin
    if isinstance(origin, bytes):
        facts["in_bytes"] = len(origin)
    facts["file"] = session.keep(Item(renamed(item.name, "", SUFFIX), data))
    return facts | show(session, Item(renamed(item.name, "decompressed", ".png"), decoded))
