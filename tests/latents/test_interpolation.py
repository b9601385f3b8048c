"""Ways from code to code."""

from __future__ import annotations

import numpy as np
import pytest

from vaetool.latents.interpolation import PATHS, chain, lerp, slerp

ENDS = np.array([0.0, 1.0])
every_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS)


def codes(count: int, latent: int = 100, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, latent))


def plain_chain(stops: np.ndarray, frames: int, path=slerp, **options) -> np.ndarray:
    latent = stops.shape[1]
    return chain(stops, frames, path, np.zeros(latent), np.ones(latent), **options)


@every_path
def test_a_way_begins_and_ends_with_its_codes(path):
    start, end = codes(2)
    np.testing.assert_allclose(path(start, end, ENDS), [start, end], atol=1e-12)


def test_a_great_circle_keeps_the_distance_from_the_centre_that_a_line_loses():
    start, end = codes(2)
    halfway = np.array([0.5])
    norms = np.linalg.norm([start, end], axis=1)
    assert np.linalg.norm(slerp(start, end, halfway)) == pytest.approx(norms.mean())
    assert np.linalg.norm(lerp(start, end, halfway)) < 0.8 * norms.mean()


def test_norms_and_angles_change_evenly():
    start, end = np.array([1.0, 0.0]), np.array([0.0, 3.0])
    way = slerp(start, end, np.linspace(0, 1, 5))
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), [1, 1.5, 2, 2.5, 3])
    np.testing.assert_allclose(np.degrees(np.arctan2(way[:, 1], way[:, 0])), [0, 22.5, 45, 67.5, 90], atol=1e-9)


@pytest.mark.parametrize(
    ("start", "end"),
    [([0, 0], [2, 1]), ([2, 1], [0, 0]), ([0, 0], [0, 0]), ([1, 2], [1, 2]), ([1, 2], [2, 4]), ([1, 2], [-1, -2])],
    ids=["from zero", "to zero", "zero", "the same", "parallel", "opposite"],
)
def test_where_there_is_no_great_circle_the_way_is_a_line(start, end):
    t = np.linspace(0, 1, 7)
    start, end = np.array(start, float), np.array(end, float)
    np.testing.assert_allclose(slerp(start, end, t), lerp(start, end, t))


def test_a_code_of_one_number_moves_on_its_line():
    np.testing.assert_allclose(slerp(np.array([1.0]), np.array([-3.0]), np.array([0.5])), [[-1.0]])


@every_path
@pytest.mark.parametrize(("stops", "frames"), [(2, 2), (2, 24), (3, 3), (3, 24), (5, 6), (7, 50)])
@pytest.mark.parametrize("loop", [False, True])
def test_every_stop_of_a_chain_is_a_frame(path, stops, frames, loop):
    z = codes(stops, latent=8)
    way = plain_chain(z, frames, path, loop=loop)
    assert way.shape == (frames, 8)
    assert np.abs(way[:, None] - z).max(axis=2).min(axis=0).max() < 1e-5
    np.testing.assert_allclose(way[0], z[0], atol=1e-5)


def test_a_chain_ends_with_its_last_code_and_a_loop_one_step_before_its_first():
    z = codes(3, latent=8)
    np.testing.assert_allclose(plain_chain(z, 9)[-1], z[-1], atol=1e-5)
    looped = plain_chain(z, 9, lerp, loop=True)
    np.testing.assert_allclose(looped[-1], z[2] + 2 / 3 * (z[0] - z[2]), atol=1e-5)


def test_the_frames_of_a_chain_are_spread_evenly():
    corners = 5 * np.eye(3)
    steps = np.diff(plain_chain(corners, 25), axis=0)
    np.testing.assert_allclose(np.linalg.norm(steps, axis=1), np.linalg.norm(steps[0]), rtol=1e-4)


def test_the_circle_is_that_of_whitened_codes():
    rng = np.random.default_rng(0)
    mean, sigma = rng.normal(size=6), rng.uniform(0.1, 9, size=6)
    white = codes(2, latent=6)
    np.testing.assert_allclose(
        chain(white * sigma + mean, 5, slerp, mean, sigma), plain_chain(white, 5) * sigma + mean, atol=1e-4
    )
