"""Restoring the picture from the contents of a .vae file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vaetool.compression import container, corrections, salvaging
from vaetool.compression.container import Container
from vaetool.images import Picture
from vaetool.images.tiling import pad_to_multiple

if TYPE_CHECKING:
    from vaetool.compression.codec import Codec


def restore(content: Container, codec: Codec | None, lost: Sequence[int] = (), reduction: int = 1) -> Picture:
    """Restore the picture in a container; codec: that of its streams, None if it has none.

    lost: tiles without a stream, see `salvaging.salvage`; they are marked. reduction: 2, 4 or 8 yields a draft of the
    learned form, that many times smaller, without correction or marks. Raises ImageError for damaged streams.
    """
    if content.coded is None:
        return container.decode_stored(content)
    assert codec is not None
    pixels = learned_pixels(content, codec, lost, reduction)
    if reduction > 1:
        alpha = container.decode_alpha(content.alpha, content.height, content.width, content.depth)
        opaque = container.with_pixels(replace(content, alpha=b""), pixels)
        return opaque if alpha is None else replace(opaque, alpha=_averaged(alpha, reduction))
    if content.correction:
        pixels = corrections.apply(content.correction, pixels)
    if lost:
        salvaging.mark(pixels, content, lost)
    return container.with_pixels(content, pixels)


def _averaged(alpha: np.ndarray, reduction: int) -> np.ndarray:
    """Return the means over squares of an alpha channel, (⌈height / reduction⌉, ⌈width / reduction⌉)."""
    squares = pad_to_multiple(alpha[..., None], reduction)
    height, width = squares.shape[0] // reduction, squares.shape[1] // reduction
    return squares.reshape(height, reduction, width, reduction).mean(axis=(1, 3)).round().astype(alpha.dtype)


def learned_pixels(content: Container, codec: Codec, lost: Sequence[int] = (), reduction: int = 1) -> np.ndarray:
    """Return the pixels of the learned form, (height, width, channels), uint8 or uint16, without correction.

    lost, reduction: see `restore`. Raises ImageError when streams are damaged.
    """
    assert content.coded is not None
    shape = content.height, content.width, content.channels
    if content.range is None:
        dtype = np.uint8 if content.depth == 8 else np.uint16
        return codec.decode_pixels(content.coded, *shape, dtype=dtype, lost=lost, reduction=reduction)
    values = codec.decode_pixels(content.coded, *shape, dtype=np.float32, lost=lost, reduction=reduction)
    return content.range.from_unit(values, np.dtype(np.uint16))
