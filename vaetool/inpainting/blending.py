"""Blending of detail into a picture in the gradient domain, keeping its gradients but not its slow changes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vaetool.inpainting.holes import bounds, widened

WAVELENGTH = 24.0  # pixels: slower changes are kept from the picture, faster ones taken from the detail
STEPS = 120  # of the conjugate gradients, at most
TOLERANCE = 1e-4  # of the right side

Gradients = tuple[np.ndarray, np.ndarray]


def gradients(pixels: np.ndarray) -> Gradients:
    """Return the differences to the lower and to the right neighbour, 0 in the last row and column."""
    return np.diff(pixels, axis=0, append=pixels[-1:]), np.diff(pixels, axis=1, append=pixels[:, -1:])


def blend(pixels: np.ndarray, wanted: Gradients, share: np.ndarray) -> np.ndarray:
    """Return pixels with the wanted gradients that are otherwise close to the original.

    pixels: (height, width, channels) float32. wanted: gradients, of the same shape. share: (height, width), 0..1, how
    much of the difference of gradients is taken; where it is 0, pixels stay as they are.
    The change d minimises |∇d - share (wanted - ∇pixels)|² + (2π / `WAVELENGTH`)² |d|²: the screened Poisson equation
    (Bhat et al. 2008, Fourier Analysis of the 2D Screened Poisson Equation for Gradient Domain Problems).
    """
    box = bounds(share > 0)
    if box is None:
        return pixels
    part = widened(box, 1, share.shape)  # the pixels that change, and their neighbours
    blended = pixels.copy()
    blended[part] += _change(pixels[part], (wanted[0][part], wanted[1][part]), share[part])
    return blended


def _change(pixels: np.ndarray, wanted: Gradients, share: np.ndarray) -> np.ndarray:
    """Return the change d of `blend`."""
    inside = (share > 0)[..., None]
    divergence = np.zeros_like(pixels)
    for axis, (target, now) in enumerate(zip(wanted, gradients(pixels), strict=True)):
        near, far = np.s_[:-1, :] if axis == 0 else np.s_[:, :-1], np.s_[1:, :] if axis == 0 else np.s_[:, 1:]
        least = np.maximum(share[near], share[far])[..., None]
        step = least * (target - now)[near]
        divergence[near] -= step
        divergence[far] += step
    screen = (2 * np.pi / WAVELENGTH) ** 2

    def operator(change: np.ndarray) -> np.ndarray:
        around = np.pad(change, ((1, 1), (1, 1), (0, 0)), mode="edge")  # no gradient across the picture's border
        sides = around[:-2, 1:-1] + around[2:, 1:-1] + around[1:-1, :-2] + around[1:-1, 2:]
        return ((4 + screen) * change - sides) * inside

    return _solve(operator, divergence * inside)


def _solve(operator: Callable[[np.ndarray], np.ndarray], right: np.ndarray) -> np.ndarray:
    """Solve operator(x) = right, with a symmetric positive operator, by conjugate gradients (Hestenes & Stiefel 1952).

    The screen bounds the ratio of the largest to the smallest eigenvalue, so that few steps are enough.
    """
    solution, residual = np.zeros_like(right), right
    direction, left = residual, float(np.square(residual).sum())
    enough = TOLERANCE**2 * left
    for _ in range(STEPS):
        if left <= enough:
            break
        applied = operator(direction)
        length = np.float32(left / float((direction * applied).sum()))
        solution, residual = solution + length * direction, residual - length * applied
        last, left = left, float(np.square(residual).sum())
        direction = residual + np.float32(left / last) * direction
    return solution
