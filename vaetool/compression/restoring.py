"""From what is in a .vae file to the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from vaetool.compression import container, corrections, salvaging
from vaetool.compression.container import Container
from vaetool.images import Picture

if TYPE_CHECKING:
    from vaetool.compression.codec import Codec


def restore(content: Container, codec: Codec | None, lost: Sequence[int] = ()) -> Picture:
    """Return the picture in a container; the codec is that of its streams, None where it has none.

    lost: tiles without a stream, see `salvaging.salvage`; they are marked. Raises ImageError when streams are damaged.
    """
    if content.coded is None:
        return container.decode_stored(content)
    assert codec is not None
    pixels = learned_pixels(content, codec, lost)
    if content.correction:
        pixels = corrections.apply(content.correction, pixels)
    if lost:
        salvaging.mark(pixels, content, lost)
    return container.with_pixels(content, pixels)


def learned_pixels(content: Container, codec: Codec, lost: Sequence[int] = ()) -> np.ndarray:
    """Return the pixels of the learned form, (height, width, channels), uint8 or uint16, without correction.

    Raises ImageError when streams are damaged.
    """
    assert content.coded is not None
    shape = content.height, content.width, content.channels
    if content.range is None:
        dtype = np.uint8 if content.depth == 8 else np.uint16
        return codec.decode_pixels(content.coded, *shape, dtype=dtype, lost=lost)
    values = codec.decode_pixels(content.coded, *shape, dtype=np.float32, lost=lost)
    return content.range.from_unit(values, np.dtype(np.uint16))
