"""A mosaic of colours, and both ways of filling it in, against pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaetool.denoising.noise.demosaicing import bayer, bilinear, malvar

RED, GREEN, BLUE = range(3)


def colour_at(row: int, column: int) -> int:
    """The colour that a pixel sees."""
    return {(0, 0): RED, (1, 1): BLUE}.get((row % 2, column % 2), GREEN)


@pytest.fixture(scope="module")
def raw() -> np.ndarray:
    return np.random.default_rng(0).random((10, 14)).astype(np.float32)


def of(function, raw: np.ndarray) -> np.ndarray:
    return function(torch.tensor(raw)[None, None])[0].numpy()


def mirrored(raw: np.ndarray):
    """A function that reads a pixel, mirrored at the edges without repeating them."""
    height, width = raw.shape

    def read(row: int, column: int) -> float:
        row, column = abs(row), abs(column)
        row = row if row < height else 2 * height - 2 - row
        column = column if column < width else 2 * width - 2 - column
        return float(raw[row, column])

    return read


def test_each_pixel_sees_one_colour():
    mosaic = bayer(torch.empty(1, 6, 8)).numpy()
    for row in range(6):
        for column in range(8):
            assert mosaic[:, row, column].tolist() == [float(colour_at(row, column) == c) for c in range(3)]


def test_bilinear_is_the_mean_of_the_nearest_pixels_of_a_colour(raw):
    result, read = of(bilinear, raw), mirrored(raw)
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            for colour in range(3):
                near = [
                    (abs(i) + abs(j), read(row + i, column + j))
                    for i in (-1, 0, 1)
                    for j in (-1, 0, 1)
                    if colour_at(row + i, column + j) == colour
                ]
                nearest = [value for distance, value in near if distance == min(d for d, _ in near)]
                assert result[colour, row, column] == pytest.approx(np.mean(nearest), abs=1e-6)


def malvar_pixel(read, row: int, column: int, colour: int) -> float:
    """Malvar, He & Cutler 2004, equations 1 to 3: bilinear, and a share of the known colour's Laplacian."""
    here = colour_at(row, column)
    if here == colour:
        return read(row, column)
    cross = [read(row - 2, column), read(row + 2, column), read(row, column - 2), read(row, column + 2)]
    beside = [read(row, column - 1), read(row, column + 1)]
    above = [read(row - 1, column), read(row + 1, column)]
    corners = [read(row + i, column + j) for i in (-1, 1) for j in (-1, 1)]
    if colour == GREEN:
        return np.mean(beside + above) + 1 / 2 * (read(row, column) - np.mean(cross))
    if here == GREEN:
        along = colour_at(row, column + 1) == colour  # the colour is to the left and right
        mean = np.mean(beside if along else above)
        far = cross[2:] if along else cross[:2]
        other = cross[:2] if along else cross[2:]
        laplacian = read(row, column) - (sum(far) + sum(corners)) / 5 + sum(other) / 10
        return mean + 5 / 8 * laplacian
    return np.mean(corners) + 3 / 4 * (read(row, column) - np.mean(cross))


def test_malvar_adds_a_share_of_the_known_colours_laplacian(raw):
    result, read = of(malvar, raw), mirrored(raw)
    for row in range(raw.shape[0]):
        for column in range(raw.shape[1]):
            for colour in range(3):
                expected = malvar_pixel(read, row, column, colour)
                assert result[colour, row, column] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("function", [bilinear, malvar])
def test_grey_stays_grey(function):
    assert of(function, np.full((8, 8), 0.3, np.float32)) == pytest.approx(0.3, abs=1e-6)
