"""How well the bundled codec does on photographs that it has never seen.

The floors are guards, well below what was measured: the figures themselves are in docs/benchmarks.md.
"""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from vaetool.images.metrics import psnr

MODEL = "photo-codec"
QUALITIES = (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100)


@pytest.fixture(scope="module")
def pictures(photos) -> list[np.ndarray]:
    """Twelve parts of both photographs, each 192 x 208 pixels."""
    corners = list(itertools.product((0, 200), (0, 190, 420)))
    return [photo[y : y + 192, x : x + 208] for photo in photos.values() for y, x in corners]


@pytest.fixture(scope="module")
def curves(model, pictures) -> list[list[tuple[float, float]]]:
    """For each picture, bits per pixel and PSNR at each quality."""
    found = []
    for pixels in pictures:
        coded = [model.encode_pixels(pixels, quality)[0] for quality in QUALITIES]
        decoded = [model.decode_pixels(one, *pixels.shape[:2]) for one in coded]
        sizes = [8 * sum(map(len, one.streams)) / pixels[..., 0].size for one in coded]
        found.append([(size, psnr(back, pixels, 255)) for size, back in zip(sizes, decoded, strict=True)])
    return found


def test_a_higher_quality_is_larger_and_better_for_every_picture(curves):
    for curve in curves:
        sizes, figures = zip(*curve, strict=True)
        assert list(sizes) == sorted(sizes)
        assert list(figures) == sorted(figures)


def test_the_lowest_quality_is_small_and_the_highest_good(curves):
    assert np.mean([curve[0][0] for curve in curves]) < 0.1
    assert np.mean([curve[-1][1] for curve in curves]) > 38


def test_it_takes_fewer_bits_than_jpeg_for_the_same_psnr(model, pictures, curves):
    ratios = []
    for pixels, curve in zip(pictures, curves, strict=True):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=60, optimize=True)
        figure = psnr(np.asarray(Image.open(file)), pixels, 255)
        sizes, figures = zip(*curve, strict=True)
        bits = np.exp(np.interp(figure, figures, np.log(sizes)))
        data = file.getvalue()
        scan = len(data) - data.index(b"\xff\xda")  # what is before it, tables mostly, costs small parts more
        ratios.append(bits * pixels[..., 0].size / 8 / scan)
    assert np.mean(ratios) < 0.75
