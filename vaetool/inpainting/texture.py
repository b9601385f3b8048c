"""Texture for wide holes, taken from the known parts of the same picture.

Anything could be in the middle of a wide hole, and a network fills in the mean of all possibilities, which is a blur.
Here the blur is a guide. The nearest known patches are found from coarse to fine (`patches`), by the network's colours
and the surroundings' contrast, and their gradients are blended with the network's low frequencies (`blending`). The
combination of patches over scales follows Wexler et al. 2007, that with gradients Darabi et al. 2012 (Image Melding).

In the middle of a very deep hole, the mean of all possibilities has a colour that may be nowhere in the picture, a fog.
There the network's filling is only the start of a search: see `repaint`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vaetool.images.conversion import from_unit, to_unit
from vaetool.images.filling import fill_hidden
from vaetool.images.tiling import Tile
from vaetool.inpainting.blending import Gradients, blend, gradients
from vaetool.inpainting.holes import deep_part, windows
from vaetool.inpainting.patches import REACH, Field, describe
from vaetool.progress import tracked

# Half the width of a hole in pixels: up to the first only the network fills, from the second texture is added fully.
THIN, WIDE = 16.0, 22.0
EDGE = 2.5  # pixels from known ones, over which texture sets in

CORE = 384  # pixels a side, at most, that a window fills
CONTEXT = (96, 384)  # pixels around them from which texture is taken, at least and at most
FADE = 96  # pixels over which texture ends, where a hole is so deep that windows in its middle know nothing
OVERLAP = 16  # pixels that are sought beyond the core, where a hole goes on

COARSEST = 10  # pixels, the depth of a hole at which search begins
VOTES, ROUNDS = 3, 2  # pictures that are voted at each smaller size, and rounds of search for each
LAST_VOTES, LAST_ROUNDS = 1, 1  # the same at full size, which takes most of the time and changes little
REPAINTED = 4  # pictures that are voted, one from the other, in place of a network's
CHOICE = 2  # patches that have to be known for each pixel that is repainted

SMOOTH = 4.0  # pixels, sigma of the low frequencies taken from the network
LEAST_CONTRAST = 0.01  # of 0..1 from pixel to pixel: less is the same to the search
NO_CONTRAST = 0.001  # the same as none at all
CONTRAST_WEIGHT = 0.1  # difference of colour, in 0..1, that a factor of e in contrast counts as
EXCESS = 2.5  # by how much texture may have more contrast than the surroundings, as patches are of various places

SEED = 0


@dataclass(frozen=True, eq=False)
class Level:
    """A picture at one size, (height, width, ...): its pixels, its hole, where patches are wanted, and the guide."""

    pixels: np.ndarray
    hole: np.ndarray
    wanted: np.ndarray
    guide: np.ndarray

    def halved(self) -> Level:
        """Return the same at half the size, without losing any of the hole."""
        return Level(_means(self.pixels), _any(self.hole), _any(self.wanted), _means(self.guide))


def add_texture(pixels: np.ndarray, hole: np.ndarray) -> None:
    """Add texture to a picture, in place, where a network has filled a wide hole; thin holes stay as they are.

    pixels: (height, width, channels) of any type, filled. hole: (height, width) bool. Time and memory are proportional
    to the wide parts, window by window; the same pixels give the same result.
    """
    for tile in tracked(windows(deep_part(hole, 0), 1, CONTEXT, CORE), "texture"):
        region, inside, kept = pixels[tile.window()], hole[tile.window()], _around(tile, 0)
        share = texture_share(inside) * _around(tile, OVERLAP)
        if inside.all() or not (share * kept).any():
            continue
        filled = to_unit(region).astype(np.float32, copy=False)
        usual = usual_contrast(filled, inside)
        level = Level(filled, inside, share > 0, guide(filled, usual))
        found = synthesise(level, np.random.default_rng(SEED))
        if found is None:
            continue
        share *= kept * (EXCESS * usual / (contrast(found) + NO_CONTRAST)).clip(0, 1)
        values = blend(filled, found, share)
        values = values.clip(filled.min().clip(max=0), filled.max().clip(min=1))  # floats may be beyond 0..1
        region[share > 0] = from_unit(values[share > 0], pixels.dtype)


def repaint(pixels: np.ndarray, hole: np.ndarray) -> None:
    """Repaint the filling of a network, in place, with known patches.

    pixels: (height, width, channels) float32 or wider, about 0..1, filled. hole: (height, width) bool. Starting from
    the network's filling, pictures are voted from the patches nearest to the last one (Wexler et al. 2007). Time and
    memory are bounded as in `add_texture`; where there is little choice of patches, nothing changes.
    """
    for tile in windows(hole, 1, CONTEXT, CORE):
        region, inside = pixels[tile.window()], hole[tile.window()]
        voted, wanted = region.astype(np.float32), inside & _around(tile, OVERLAP)
        sources, rng = _sources(inside), np.random.default_rng(SEED)
        if sources.sum() < CHOICE * wanted.sum() or not sources.any():
            continue
        field = Field(_widened(wanted), sources, rng)
        for _ in range(REPAINTED):
            field.search(describe(voted, sources, rng), ROUNDS)
            voted = field.vote(voted, wanted)
        chosen = inside & _around(tile, 0)
        region[chosen] = voted[chosen]


def texture_share(hole: np.ndarray) -> np.ndarray:
    """Return the share of texture of each pixel, (height, width) in 0..1: 0 in thin parts and beyond `CONTEXT`.

    Half the width of a hole at a place is the radius of the largest disc in the hole that covers it (local thickness,
    Hildebrand & Rüegsegger 1997).
    """
    depth = ndimage.distance_transform_edt(hole)
    share, radii = np.zeros(hole.shape, np.float32), np.linspace(THIN, WIDE, 4)
    for radius in radii:
        core = depth > radius
        if core.any():
            share += ndimage.distance_transform_edt(~core) <= radius
    edges = (depth / EDGE).clip(0, 1) * ((CONTEXT[1] - depth) / FADE).clip(0, 1)
    return share / len(radii) * edges.astype(np.float32) * hole


def contrast(changes: Gradients) -> np.ndarray:
    """Return the root mean square of gradients around each pixel, (height, width)."""
    energy = np.square(changes[0]).mean(axis=2) + np.square(changes[1]).mean(axis=2)
    return np.sqrt(ndimage.gaussian_filter(energy, SMOOTH, mode="nearest").clip(0))


def usual_contrast(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return the contrast of a picture, (height, width), interpolated smoothly inside its hole."""
    logarithm = np.log(contrast(gradients(pixels)) + NO_CONTRAST)
    known = ~_widened(hole)
    return np.exp(fill_hidden(np.where(known, logarithm, 0)[..., None], known))[..., 0]


def guide(pixels: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return the expected features of each pixel, (height, width, channels + 1): colour, and logarithm of contrast.

    The colour is that of the low frequencies of the pixels: in the hole, the network's.
    """
    colour = ndimage.gaussian_filter(pixels, (SMOOTH, SMOOTH, 0), mode="nearest")
    return np.concatenate([colour, CONTRAST_WEIGHT * np.log(usual + LEAST_CONTRAST)[..., None]], axis=2)


def synthesise(level: Level, rng: np.random.Generator) -> Gradients | None:
    """Return the gradients of the nearest known patches where wanted, else the picture's.

    Returns None if no patch is known. From coarse to fine: at each size a picture is voted from the patches found so
    far, and patches nearer to it are searched.
    """
    levels, depth = [level], float(ndimage.distance_transform_edt(level.wanted).max())
    while depth > COARSEST and _sources(levels[-1].halved().hole).any():
        levels.append(levels[-1].halved())
        depth /= 2
    coarser: Field | None = None
    for each in reversed(levels):
        sources = _sources(each.hole)
        if not sources.any():
            return None
        field = Field(_widened(each.wanted), sources, rng)
        if coarser:
            field.start_from(coarser)
        field.search(each.guide, 0 if coarser else ROUNDS)
        votes, rounds = (LAST_VOTES, LAST_ROUNDS) if each is level else (VOTES, ROUNDS)
        for _ in range(votes):
            voted = field.vote(each.pixels, each.wanted)
            field.search(np.concatenate([describe(voted, sources, rng), each.guide], axis=2), rounds)
        coarser = field
    down, right = gradients(level.pixels)
    return field.vote(down, level.wanted, reach=0), field.vote(right, level.wanted, reach=0)


def _around(tile: Tile, margin: int) -> np.ndarray:
    """Return a mask of the pixels of a tile's window that are kept, or within `margin` rows and columns of those."""
    rows, columns = tile.window()
    inside = np.zeros((rows.stop - rows.start, columns.stop - columns.start), bool)
    kept = (slice(max(0, part.start - margin), part.stop + margin) for part in tile.middle())
    inside[tuple(kept)] = True
    return inside


def _sources(hole: np.ndarray) -> np.ndarray:
    """Return the middles of entirely known patches."""
    known = ~_widened(hole)
    known[:REACH] = known[-REACH:] = known[:, :REACH] = known[:, -REACH:] = False
    return known


def _widened(inside: np.ndarray) -> np.ndarray:
    """Return the middles of patches that overlap the inside."""
    return ndimage.binary_dilation(inside, np.ones((3, 3), bool), REACH)


def _even(pixels: np.ndarray) -> np.ndarray:
    """Repeat the last row or column to make their number even."""
    beyond = [(0, size % 2) for size in pixels.shape[:2]]
    return np.pad(pixels, beyond + [(0, 0)] * (pixels.ndim - 2), mode="edge")


def _means(pixels: np.ndarray) -> np.ndarray:
    """Return the mean of each 2x2 of pixels."""
    even = _even(pixels)
    return even.reshape(len(even) // 2, 2, even.shape[1] // 2, 2, -1).mean(axis=(1, 3))


def _any(inside: np.ndarray) -> np.ndarray:
    """Halve the size of a mask: true where any of 2x2 pixels is."""
    even = _even(inside)
    return np.any(even.reshape(len(even) // 2, 2, even.shape[1] // 2, 2), axis=(1, 3))
