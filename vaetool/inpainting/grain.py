"""Grain for filled holes: a network fills a hole with the mean of all possibilities, which has no noise and shows as a
smooth spot in a noisy picture.

Noise is everywhere, details are not: the calmest blocks of a picture show its strength for each brightness (as in Liu,
Freeman, Szeliski & Kang 2006, Noise Estimation from a Single Image), and near a hole it is at most that of the calmest
block there. Grain of the same spectrum and colours is white noise, convolved with parts of the picture's own (Galerne,
Gousseau & Morel 2011, Random Phase Textures).
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

from vaetool.images.conversion import from_unit, to_unit
from vaetool.inpainting.holes import windows
from vaetool.progress import tracked

CONTEXT = (32, 32)  # pixels around a hole whose grain is looked at
COARSE = 2.0  # pixels, sigma: slower changes are not grain
BLOCK = 8  # pixels a side, over which its energy is measured
LEAST_PIXELS = 24  # of a block that must be there
SAMPLE, SAMPLES = 64, 12  # pixels a side of the parts of a picture that are looked at, and how many, each way
SHADES, LEAST_BLOCKS = 8, 40  # ranges of brightness, and the blocks that must be seen of one
CALM = 0.05  # share of these that has nothing but noise
STEEPEST = 2.0  # factor from shade to shade by which the energy of noise changes at most
SPOT, SPOTS = 15, 6  # pixels a side of the squares that grain is made like, and their number
INVISIBLE = 0.5 / 255  # strength of grain, of 0..1, that is left out

SEED = 0


def add_grain(pixels: np.ndarray, hole: np.ndarray) -> None:
    """Add grain to a picture, in place, where it is filled more smoothly than its surroundings.

    pixels: (height, width, channels) of any type, filled. hole: (height, width) bool. The same pixels give the same
    result.
    """
    rng, noise = np.random.default_rng(SEED), noise_energy(pixels, hole)
    if noise[1].max() < INVISIBLE**2:
        return
    for tile in tracked(windows(hole, 1, CONTEXT), "grain"):
        region, inside = pixels[tile.window()], hole[tile.window()]
        values, coarse = _with_coarse(region)
        fine, kept = values - coarse, inside[tile.middle()]
        energy = _energy(fine)
        usual = np.interp(coarse.mean(axis=2), *noise).clip(max=_least_energy(energy, ~inside))
        if usual.max() < INVISIBLE**2:
            continue
        missing = np.sqrt((usual - _least_energy(energy, inside)).clip(0))
        grain = grain_like(fine, ~inside, kept, rng)
        if grain is not None:
            low, high = values.min().clip(max=0), values.max().clip(min=1)  # floats may be beyond 0..1
            grained = values[tile.middle()][kept] + missing[tile.middle()][kept][:, None] * grain
            region[tile.middle()][kept] = from_unit(grained.clip(low, high), pixels.dtype)


def noise_energy(pixels: np.ndarray, hole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the shades in the known parts of a picture, in 0..1, and the mean energy of noise at each."""
    shades, energies = [np.zeros(0)], [np.zeros(0)]
    rows, columns = (
        np.unique(np.linspace(0, max(0, size - SAMPLE), min(SAMPLES, -(-size // SAMPLE))).astype(int))
        for size in hole.shape
    )
    for row, column in product(rows, columns):
        part = np.s_[row : row + SAMPLE, column : column + SAMPLE]
        values, coarse = _with_coarse(pixels[part])
        usable = ~hole[part] & ((values > 0) & (values < 1)).all(axis=2)  # noise is cut off at black and white
        whole = _block_sums(usable) == BLOCK**2
        shades.append(_block_sums(coarse.mean(axis=2))[whole] / BLOCK**2)
        energies.append(_block_sums(_energy(values - coarse))[whole] / BLOCK**2)
    number, energy = (SHADES * np.concatenate(shades)).astype(int).clip(0, SHADES - 1), np.concatenate(energies)
    seen = np.flatnonzero(np.bincount(number, minlength=SHADES) >= LEAST_BLOCKS)
    if not seen.size:
        return np.zeros(1), np.zeros(1)
    calm = np.array([np.quantile(energy[number == each], CALM) for each in seen])
    return (seen + 0.5) / SHADES, (calm * STEEPEST ** abs(seen[:, None] - seen)).min(axis=1)


def grain_like(fine: np.ndarray, known: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """Return grain of mean energy 1 at the wanted pixels, (count, channels), like that of the calmest squares.

    fine: (height, width, channels) float32, the high frequencies. known: (height, width) bool. wanted: a bool array of
    any size. Returns None if no square is known, or all are flat.
    """
    side = min(SPOT, *known.shape)
    grid = np.s_[:: side // 2 + 1, :: side // 2 + 1]
    whole = sliding_window_view(known, (side, side))[grid].all(axis=(2, 3))
    spots = sliding_window_view(fine, (side, side), axis=(0, 1))[grid][whole]  # (count, channels, side, side)
    energy = np.square(spots).mean(axis=(1, 2, 3))
    visible = energy > INVISIBLE**2
    spots = spots[visible][energy[visible].argsort()[:SPOTS]]
    if not len(spots):
        return None
    spots /= np.sqrt(np.square(spots).sum() / fine.shape[2])
    grain = np.zeros((np.count_nonzero(wanted), fine.shape[2]), np.float32)
    for spot in spots:  # only where grain is wanted: a thin hole is a small part of its window
        noise = rng.standard_normal([size + side - 1 for size in wanted.shape], np.float32)
        around = sliding_window_view(noise, (side, side))[wanted].reshape(len(grain), -1)
        grain += around @ spot.reshape(len(spot), -1).T
    return grain


def _with_coarse(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels in 0..1, float32, and their low frequencies."""
    values = to_unit(pixels).astype(np.float32, copy=False)
    return values, ndimage.gaussian_filter(values, (COARSE, COARSE, 0), mode="nearest")


def _energy(fine: np.ndarray) -> np.ndarray:
    """Return the mean square over the channels: (height, width)."""
    return np.einsum("ijk,ijk->ij", fine, fine) / fine.shape[2]


def _least_energy(energy: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the least mean energy of chosen pixels in a block near each pixel, (height, width).

    Where there are no chosen pixels, it is that of the nearest block with some; 0 if there is no such block.
    """
    count, sums = _block_sums(chosen), _block_sums(energy * chosen)
    least = ndimage.minimum_filter(np.where(count < LEAST_PIXELS, np.inf, sums / count.clip(1)), 3, mode="nearest")
    if np.isinf(least).all():
        return np.zeros(chosen.shape, np.float32)
    nearest = ndimage.distance_transform_edt(np.isinf(least), return_distances=False, return_indices=True)
    pixels = least[tuple(nearest)].repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[: len(chosen), : chosen.shape[1]]
    return ndimage.uniform_filter(pixels, BLOCK, mode="nearest")


def _block_sums(x: np.ndarray) -> np.ndarray:
    """Return the sum of each block, incomplete ones at the end included."""
    rows = np.add.reduceat(x, np.arange(0, len(x), BLOCK), axis=0, dtype=np.float32)
    return np.add.reduceat(rows, np.arange(0, x.shape[1], BLOCK), axis=1)
