"""Growing masks to the edges of the things they mark, so that these may be painted over roughly.

The cut between the thing and what is behind it is the cheapest one that passes where neighbours differ and separates
the colours inside the mask from those far around it (GrabCut: Rother, Kolmogorov & Blake 2004, with one cut instead of
several, which found no more).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage, sparse
from scipy.cluster.vq import kmeans2
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from vaetool.errors import ImageError
from vaetool.images.filling import halved
from vaetool.images.ranges import white
from vaetool.inpainting.holes import TOUCHING, dilate_hole, widened
from vaetool.progress import tracked

LEAST_REACH = 12  # pixels by which a mask may grow; more if it is deeper, as single strokes mark small things
SOFT = 3  # pixels that are added for edges that fade

COLOURS, SAMPLES = 5, 5000  # Gaussians of a mixture, and pixels that it is fitted to
LEAST_VARIANCE = 4.0  # of colours in 0..255
UNKNOWN_INSIDE, UNKNOWN_OUTSIDE = 0.3, 0.01
"""Shares of unseen colours: a thing has more of these than its surroundings, which are visible all around."""

SMOOTHNESS = 20.0  # nepers, the cost of a cut between two pixels that are the same
NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
PRECISION = 100  # costs are whole numbers of 1/100 neper

MOST_PIXELS = 50_000  # in which a cut is sought; more are first cut at half the size
RIM = 4  # pixels on either side of that coarse cut, in which it is made fine


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of Gaussians over colours in 0..255, and a share `unknown` of uniformly distributed colours."""

    shares: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    unknown: float

    @classmethod
    def of(cls, colours: np.ndarray, unknown: float) -> Mixture:
        """Fit a mixture to colours, (count, channels): a Gaussian for each cluster (k-means, Lloyd 1982), seeded."""
        rng = np.random.default_rng(0)
        if len(colours) > SAMPLES:
            colours = colours[rng.choice(len(colours), SAMPLES, replace=False)]
        distinct = len(np.unique(colours, axis=0))
        _, labels = kmeans2(colours, min(COLOURS, distinct), minit="++", rng=rng)
        parts = [colours[labels == label] for label in np.unique(labels)]
        least = LEAST_VARIANCE * np.eye(colours.shape[1])
        return cls(
            np.array([len(part) / len(colours) for part in parts]),
            np.array([part.mean(axis=0) for part in parts]),
            np.array([np.cov(part.T, ddof=0).reshape(least.shape) + least for part in parts]),
            unknown,
        )

    def cost(self, colours: np.ndarray) -> np.ndarray:
        """Return minus the logarithm of the density of colours, (count, channels), in nepers, (count,)."""
        density = np.full(len(colours), self.unknown / 256 ** colours.shape[1])
        for share, mean, covariance in zip(self.shares, self.means, self.covariances, strict=True):
            offset = colours - mean
            square = np.einsum("ij,jk,ik->i", offset, np.linalg.inv(covariance), offset)
            height = (1 - self.unknown) * share / np.sqrt(np.linalg.det(2 * np.pi * covariance))
            density += height * np.exp(-square / 2)
        return -np.log(density)


def grow_hole(pixels: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return the hole, (height, width) bool, grown to the edges of what it marks, part by part.

    pixels: (height, width, channels) of an integer type, not yet filled. No part grows by more than `LEAST_REACH`
    pixels, or by half its own width where that is more, and `SOFT` pixels.
    Raises ImageError for floating point, which has no scale by which colours are alike.
    """
    if pixels.dtype.kind == "f":
        raise ImageError("holds floating-point values of any range, for which edges are undefined")
    grown, scale = hole.copy(), np.float32(255 / white(pixels))
    labels, _ = ndimage.label(hole, TOUCHING)
    for number, box in enumerate(tracked(ndimage.find_objects(labels), "looking for edges"), 1):
        depth = ndimage.distance_transform_edt(np.pad(labels[box] == number, 1)).max()
        reach = max(LEAST_REACH, int(depth))
        window = widened(box, 2 * reach, hole.shape)
        distance = ndimage.distance_transform_edt(labels[window] != number)
        marked, within = hole[window], distance <= reach
        part, around = pixels[window] * scale, (distance <= 2 * reach) & ~within & ~marked
        if around.any():
            inside, outside = Mixture.of(part[marked], UNKNOWN_INSIDE), Mixture.of(part[around], UNKNOWN_OUTSIDE)
            found = _connected(_found(part, marked, within & ~marked, inside, outside), marked)
            grown[window] |= dilate_hole(found, SOFT)
    return grown


def _found(pixels: np.ndarray, marked: np.ndarray, band: np.ndarray, inside: Mixture, outside: Mixture) -> np.ndarray:
    """Return the marked pixels and the part of the band that the cut leaves with them, (height, width) bool.

    Marked pixels and the band do not overlap. A wide band is cut at half the size first, then only near that cut
    (banded graph cuts: Lombaert et al. 2005).
    """
    if np.count_nonzero(band) > MOST_PIXELS:
        small, _ = halved(pixels, np.ones_like(marked))
        _, unmarked = halved(pixels[..., :1], ~marked)
        _, near = halved(pixels[..., :1], band | marked)
        coarse = _found(small, ~unmarked, near & unmarked, inside, outside)
        coarse = coarse.repeat(2, axis=0).repeat(2, axis=1)[: len(marked), : marked.shape[1]]
        kept = ~dilate_hole(~coarse, RIM)
        marked, band = marked | (kept & band), band & ~kept & dilate_hole(coarse, RIM)
    return marked | _cut(pixels, marked, band, inside, outside)


def _cut(pixels: np.ndarray, marked: np.ndarray, band: np.ndarray, inside: Mixture, outside: Mixture) -> np.ndarray:
    """Return the part of the band that a minimum cut leaves with the marked pixels, (height, width) bool.

    The nodes of the graph are the pixels of the band, one for all marked pixels (the source), and one for all others.
    """
    count = np.count_nonzero(band)
    source, sink = count, count + 1
    node = np.where(marked, source, sink)
    node[band] = np.arange(count)
    ends, squares, lengths = [], [], []
    for row, column in NEIGHBOURS:
        one = np.s_[: len(band) - row, max(0, -column) : band.shape[1] - max(0, column)]
        other = np.s_[row:, max(0, column) : band.shape[1] + min(0, column)]
        pairs = band[one] | band[other]
        ends.append((node[one][pairs], node[other][pairs]))
        squares.append(np.square(pixels[one][pairs] - pixels[other][pairs]).sum(axis=1))
        lengths.append(np.full(len(squares[-1]), np.hypot(row, column)))
    first, second = np.concatenate(ends, axis=1)
    square = np.concatenate(squares)
    alike = SMOOTHNESS * np.exp(-square / (2 * square.mean() + 1e-6)) / np.concatenate(lengths)
    likely, pixel = outside.cost(pixels[band]) - inside.cost(pixels[band]), np.arange(count)
    costs = np.concatenate([alike, alike, likely.clip(0), (-likely).clip(0)])
    starts = np.concatenate([first, second, np.full(count, source), pixel])
    stops = np.concatenate([second, first, pixel, np.full(count, sink)])
    graph = sparse.csr_array((np.rint(PRECISION * costs).astype(np.int32), (starts, stops)), shape=2 * (count + 2,))
    left = graph - maximum_flow(graph, source, sink).flow
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(left > 0, source, return_predecessors=False)] = True
    return reached[node] & band


def _connected(found: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Return the found parts that have a marked pixel, with gaps filled."""
    labels, count = ndimage.label(found, TOUCHING)
    chosen = np.zeros(count + 1, bool)
    chosen[labels[marked]] = True
    return ndimage.binary_fill_holes(chosen[labels])
