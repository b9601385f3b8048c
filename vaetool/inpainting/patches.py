"""Nearest patches: for each patch of a hole the most similar known one, and a picture voted from them.

A field maps every place of the hole to the known place that looks most like it (PatchMatch: Barnes et al. 2009), in a
vectorised form: all places try at once their neighbours' matches, shifted accordingly, and random places nearby.
A picture is made from a field by votes: each pixel is the mean over the patches that cover it (Wexler et al. 2007,
Space-Time Completion of Video, section 3.2).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage
from torch.nn import functional as F

SIDE = 7  # pixels of a patch
REACH = SIDE // 2
COMPONENTS = 20  # numbers that describe the pixels of a patch
SAMPLES = 4000  # patches from which these are found

STRIDES = (4, 1)  # pixels, over which places try what others have found; the largest first
NARROWER = 3  # factor by which the search nearby narrows

# Terms added to the distance of a patch, relative to the mean distance:
REUSE = 0.4  # for taking a place twice as often as is usual
COHERENCE = 0.3  # for each of four neighbours that is taken from elsewhere


def describe(pixels: np.ndarray, known: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a description of the patch around each pixel, (height, width, `COMPONENTS`) float32.

    pixels: (height, width, channels) float32. known: (height, width) bool, the middles of patches whose principal
    components these are. The squared distance of two descriptions is about the mean squared difference of the patches'
    pixels (principal components of patches: Zhang et al. 2010, for denoising; here they make a search faster).
    """
    around = ((REACH, REACH), (REACH, REACH), (0, 0))
    padded = np.pad(pixels, around, mode="edge")
    places = np.flatnonzero(known)
    rows, columns = np.divmod(rng.choice(places, min(SAMPLES, len(places)), replace=False), known.shape[1])
    patches = sliding_window_view(padded, (SIDE, SIDE), axis=(0, 1))[rows, columns]  # (count, channels, rows, columns)
    flat = patches.reshape(len(patches), -1)
    _, components = np.linalg.eigh(np.cov(flat.T, ddof=0))  # the smallest first
    kernel = components.T[::-1][:COMPONENTS].reshape(-1, *patches.shape[1:]) / np.sqrt(flat.shape[1])
    x = torch.from_numpy(padded).permute(2, 0, 1)[None]
    return F.conv2d(x, torch.from_numpy(kernel.astype(np.float32)))[0].permute(1, 2, 0).contiguous().numpy()


class Field:
    """A map from each wanted place of a picture to the known place whose patch it takes.

    wanted, sources: (height, width) bool, the centres of the patches to find and of those to take, none of them within
    `REACH` pixels of the border. Places are numbered row by row.
    """

    def __init__(self, wanted: np.ndarray, sources: np.ndarray, rng: np.random.Generator) -> None:
        self.shape, self._rng = wanted.shape, rng
        self._places, self._sources = np.flatnonzero(wanted), np.flatnonzero(sources)
        self._is_source = sources.ravel()
        number = np.full(wanted.shape, -1)
        number[wanted] = np.arange(len(self._places))
        self._number = np.pad(number, STRIDES[0], constant_values=-1)
        self._beside = {
            (row, column): self._numbers(row, column) for step in STRIDES for row, column in _neighbours(step)
        }
        self._found = self._random()
        self._distance = np.zeros(len(self._places), np.float32)
        self._features = self._sought = np.empty((0, 0), np.float32)  # of all places, and of those wanted
        self._penalty, self._break = self._reuse(), np.float32(0)

    def start_from(self, coarse: Field) -> None:
        """Start from the places found at half the size, where they are sources here."""
        rows, columns = np.divmod(self._places, self.shape[1])
        margin = STRIDES[0]
        number = coarse._number[rows // 2 + margin, columns // 2 + margin]
        found_rows, found_columns = np.divmod(coarse._found[number], coarse.shape[1])
        place = (2 * found_rows + rows % 2) * self.shape[1] + 2 * found_columns + columns % 2
        usable = (number >= 0) & self._usable(place)
        self._found[usable] = place[usable]

    def search(self, features: np.ndarray, rounds: int) -> None:
        """Improve the matches by the squared distance of features, (height, width, any number) float32."""
        self._features = features.reshape(-1, features.shape[2])
        self._sought = self._features[self._places]
        everything = np.arange(len(self._places))
        for _ in range(rounds):
            self._penalty = self._reuse()
            self._distance = self._distances(self._found, everything)
            self._break = np.float32(COHERENCE * self._distance.mean())
            self._try(self._random())
            reach = max(self.shape) // 2
            while reach >= 1:
                self._try(self._nearby(reach))
                reach //= NARROWER
            for step in STRIDES:
                for row, column in _neighbours(step):
                    self._propagate(row, column)
        self._penalty = self._reuse()
        self._distance = self._distances(self._found, everything)

    def vote(self, pixels: np.ndarray, wanted: np.ndarray, reach: int = REACH) -> np.ndarray:
        """Return pixels, (height, width, channels) float32, with the wanted ones voted from the patches over them.

        reach: distance from its middle up to which a patch votes. Good matches count more: exp(-d / 2s), with s the
        third quartile of distances (Wexler et al. 2007).
        """
        scale = max(float(np.quantile(self._distance, 0.75)), 1e-8)
        weight = np.exp(-self._distance / (2 * scale)) + np.float32(1e-6)
        flat, (rows, columns) = pixels.reshape(-1, pixels.shape[2]), np.nonzero(wanted)
        sums, total = np.zeros((len(rows), pixels.shape[2]), np.float32), np.zeros((len(rows), 1), np.float32)
        for row in range(-reach, reach + 1):
            for column in range(-reach, reach + 1):
                number = self._number[rows - row + STRIDES[0], columns - column + STRIDES[0]]
                share = np.where(number >= 0, weight[number], 0)[:, None]
                sums += share * flat[self._found[number] + row * self.shape[1] + column]
                total += share
        voted = pixels.copy()
        voted[wanted] = sums / total
        return voted

    def _numbers(self, row: int, column: int) -> np.ndarray:
        """Return the number of the wanted place at this offset from each; -1 for none."""
        rows, columns = np.divmod(self._places, self.shape[1])
        return self._number[rows + row + STRIDES[0], columns + column + STRIDES[0]]

    def _random(self) -> np.ndarray:
        return self._sources[self._rng.integers(0, len(self._sources), len(self._places))]

    def _nearby(self, reach: int) -> np.ndarray:
        """Return random places at most `reach` rows and columns from the matches."""
        rows, columns = np.divmod(self._found, self.shape[1])
        moves = self._rng.integers(-reach, reach + 1, (2, len(rows)))
        rows, columns = (rows + moves[0]).clip(0, self.shape[0] - 1), (columns + moves[1]).clip(0, self.shape[1] - 1)
        return rows * self.shape[1] + columns

    def _usable(self, place: np.ndarray) -> np.ndarray:
        return self._is_source.take(place, mode="clip")

    def _propagate(self, row: int, column: int) -> None:
        """Try the match of the place at this offset, shifted back."""
        number = self._beside[row, column]
        self._try(np.where(number >= 0, self._found[number] - row * self.shape[1] - column, -1))

    def _try(self, place: np.ndarray) -> None:
        """Take other places where they are better: nearer, or consistent with their neighbours."""
        number = np.flatnonzero(self._usable(place))
        place = place[number]
        distance = self._distances(place, number)
        now = self._distance[number] + self._break * self._breaks(self._found[number], number)
        better = distance + self._break * self._breaks(place, number) < now
        self._found[number[better]], self._distance[number[better]] = place[better], distance[better]

    def _distances(self, place: np.ndarray, number: np.ndarray) -> np.ndarray:
        difference = self._features[place] - self._sought[number]
        return np.einsum("ij,ij->i", difference, difference) + self._penalty[place]

    def _breaks(self, place: np.ndarray, number: np.ndarray) -> np.ndarray:
        """Count the neighbours, of four, that are not taken from beside `place`."""
        count = np.zeros(len(place), np.float32)
        for row, column in _neighbours(1):
            beside = self._beside[row, column][number]
            count += (beside >= 0) & (self._found[beside] != place + row * self.shape[1] + column)
        return count

    def _reuse(self) -> np.ndarray:
        """Return the cost of taking a place once more, which keeps patches from being repeated too often.

        It is proportional to how much more often than others the place and those around it are taken (Kaspar et al.
        2015, Self Tuning Texture Optimization).
        """
        taken = np.bincount(self._found, minlength=self._is_source.size).reshape(self.shape).astype(np.float32)
        taken = ndimage.uniform_filter(taken, SIDE, mode="constant").ravel()
        usual = max(1.0, len(self._places) / len(self._sources))
        return np.float32(REUSE * self._distance.mean()) * (taken / usual - 1).clip(0)


def _neighbours(step: int) -> tuple[tuple[int, int], ...]:
    return (0, step), (0, -step), (step, 0), (-step, 0)
