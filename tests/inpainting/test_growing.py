"""A thing that is painted over roughly is taken in whole, and little else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from vaetool.errors import ImageError
from vaetool.inpainting import growing
from vaetool.inpainting.growing import LEAST_REACH, SOFT, Mixture, grow_hole

MIDDLE = (50, 80)


def ellipse(height: float, width: float, shape, at=MIDDLE) -> np.ndarray:
    rows, columns = np.indices(shape[:2])
    return np.hypot((rows - at[0]) / height, (columns - at[1]) / width) <= 1


def with_thing(photo: np.ndarray, at=MIDDLE) -> tuple[np.ndarray, np.ndarray]:
    """A photo with an ellipse of two colours on it, whose edge is soft; and where that is."""
    thing = ellipse(30, 40, photo.shape, at)
    share = ndimage.gaussian_filter(thing.astype(float), 0.7)[..., None]
    stripes = np.where(np.indices(photo.shape[:2])[:1].transpose(1, 2, 0) % 16 < 8, (30, 60, 220), (240, 20, 200))
    return np.rint(photo * (1 - share) + stripes * share).astype(photo.dtype), share[..., 0] > 0.02


@pytest.fixture(params=["china", "flower"])
def photo(request, photographs) -> np.ndarray:
    return np.array(photographs[request.param])


@pytest.mark.parametrize("kind", ["colour", "16 bits", "grey"])
def test_most_of_a_thing_is_enough(photo, kind):
    picture, thing = with_thing(photo)
    if kind == "16 bits":
        picture = picture.astype(np.uint16) * 257
    elif kind == "grey":
        picture = picture[:, :, 2:]
    painted = ellipse(20, 30, photo.shape, at=(53, 77))
    grown = grow_hole(picture, painted)
    assert (grown & thing).sum() >= 0.99 * thing.sum()
    assert (grown & ~thing).sum() <= 0.15 * thing.sum()
    assert (grown >= painted).all()


def test_two_things_one_of_them_in_the_corner(photo):
    picture, first = with_thing(photo, at=(5, 8))
    picture, second = with_thing(picture, at=(75, 120))
    painted = ellipse(22, 32, photo.shape, at=(5, 8)) | ellipse(22, 32, photo.shape, at=(75, 120))
    assert (grow_hole(picture, painted) & (first | second)).sum() >= 0.99 * (first | second).sum()


@pytest.mark.parametrize("radius", [3, 20])
def test_nothing_grows_further_than_half_its_width_or_a_few_pixels(radius):
    picture = np.full((120, 160, 3), 90, np.uint8)  # no edge anywhere
    picture[:, :100] += np.random.default_rng(0).integers(0, 60, (120, 100, 3), np.uint8)
    painted = ellipse(radius, radius, picture.shape)
    distance = ndimage.distance_transform_edt(~painted)
    assert distance[grow_hole(picture, painted)].max() <= max(LEAST_REACH, radius + 1) + SOFT


def test_a_thing_is_cut_out_coarsely_first_where_it_is_large(photo, monkeypatch):
    picture, thing = with_thing(photo)
    painted = ellipse(20, 30, photo.shape)
    fine = grow_hole(picture, painted)
    monkeypatch.setattr(growing, "MOST_PIXELS", 700)
    coarse = grow_hole(picture, painted)
    assert (coarse & thing).sum() >= 0.99 * thing.sum()
    assert (coarse != fine).sum() <= 0.03 * fine.sum()


def test_a_hole_that_is_nowhere_or_leaves_hardly_anything(photo):
    everywhere = np.ones(photo.shape[:2], bool)
    assert not grow_hole(photo, ~everywhere).any()
    assert grow_hole(photo, everywhere).all()
    everywhere[3, 3] = False
    assert (grow_hole(photo, everywhere) >= everywhere).all()


def test_floating_point_is_refused(photo):
    with pytest.raises(ImageError, match="holds floating-point values of any range"):
        grow_hole(photo / np.float32(255), ellipse(9, 9, photo.shape))


def test_a_mixture_is_a_density_that_is_high_where_colours_were_seen():
    seen = np.random.default_rng(0).normal((60, 180), 3, (2000, 2))
    mixture = Mixture.of(np.concatenate([seen, seen + 50]), unknown=0.2)
    colours = np.indices((256, 256)).reshape(2, -1).T
    density = np.exp(-mixture.cost(colours.astype(float)))
    assert density.sum() == pytest.approx(1, abs=0.01)
    near = np.hypot(*(colours - (60, 180)).T) < 15
    assert density[near].sum() == pytest.approx(0.4, abs=0.02)
