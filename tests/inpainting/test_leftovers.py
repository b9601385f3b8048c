"""What is told of masks that are too small, and that nothing is told of those that are not."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from vaetool.inpainting.holes import dilate_hole
from vaetool.inpainting.leftovers import needed_dilation


def disc(radius: float, shape=(107, 160), at=(50, 80)) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - at[0], columns - at[1]) <= radius


def with_disc(photo: np.ndarray, colour, radius: float) -> np.ndarray:
    """A photo with a disc on it, whose edge is soft."""
    share = ndimage.gaussian_filter(disc(radius, photo.shape[:2]).astype(float), 0.7)[..., None]
    return np.rint(photo * (1 - share) + np.array(colour) * share).astype(photo.dtype)


@pytest.fixture(params=["china", "flower"])
def photo(request, photographs) -> np.ndarray:
    return np.array(photographs[request.param])


@pytest.mark.parametrize("scale", [1, 257])
@pytest.mark.parametrize("missing", [2, 3])
def test_a_mask_that_is_too_small_is_found_and_the_dilation_is_enough(photo, missing, scale):
    picture = with_disc(photo, (250, 240, 20), 20).astype(np.uint16 if scale > 1 else np.uint8) * scale
    hole = disc(20 - missing)
    radius = needed_dilation(picture, hole)
    assert missing <= radius <= missing + 2
    assert needed_dilation(picture, dilate_hole(hole, radius)) == 0


def test_nothing_is_told_of_a_mask_that_is_exact(photo):
    assert needed_dilation(with_disc(photo, (250, 240, 20), 20), disc(21)) == 0


@pytest.mark.parametrize("radius", [1, 4, 30])
@pytest.mark.parametrize("at", [(50, 80), (0, 0), (70, 20)], ids=str)
def test_nor_of_a_hole_anywhere_in_a_photo(photo, radius, at):
    assert needed_dilation(photo, disc(radius, at=at)) == 0


def test_of_a_painted_colour_even_a_tinge_is_found(photo):
    painted = with_disc(photo, (255, 0, 255), 20)
    hole = (np.abs(painted - np.array([255, 0, 255])) <= 48).all(axis=2)
    assert needed_dilation(painted, hole) == 0
    radius = needed_dilation(painted, hole, painted=True)
    assert 2 <= radius <= 3
    assert needed_dilation(painted, dilate_hole(hole, radius), painted=True) == 0


@pytest.mark.parametrize("quality", [60, 75, 85])
def test_beside_a_line_in_a_jpeg_hardly_a_tinge_is_left(photographs, quality):
    magenta = np.array([255, 0, 255])
    for photo in photographs.values():
        line = Image.new("L", photo.size)
        ImageDraw.Draw(line).line((20, 90, 140, 15), fill=255, width=7)
        painted = Image.composite(
            Image.new("RGB", photo.size, "magenta"), photo, line.filter(ImageFilter.GaussianBlur(1))
        )
        with_line, without = (saved(image, quality) for image in (painted, photo))
        hole = (np.abs(with_line - magenta) <= 48).all(axis=2)
        hole = dilate_hole(hole, needed_dilation(with_line.astype(np.uint8), hole, painted=True))
        edge = dilate_hole(hole, 1) & ~hole
        way = (magenta - without)[edge]
        shares = ((with_line - without)[edge] * way).sum(axis=1) / (way**2).sum(axis=1)
        assert abs(shares.mean()) < 0.02


def saved(image: Image.Image, quality: int) -> np.ndarray:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(int)


def test_a_hole_that_leaves_nothing_or_hardly_anything(photo):
    hole = np.ones(photo.shape[:2], bool)
    assert needed_dilation(photo, hole) == 0
    hole[3, 3] = False
    assert needed_dilation(photo, hole) == 0
