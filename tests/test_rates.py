"""The scales that the benchmarks compare codecs on."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from vaetool.errors import UsageError

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    rates = importlib.import_module("rates")
bd_rate, ms_ssim_db = rates.bd_rate, rates.ms_ssim_db

QUALITIES = np.array([28.0, 31.0, 33.5, 37.0, 40.0])
REFERENCE = np.stack([np.exp(0.2 * QUALITIES - 6) * (1 + 0.1 * np.sin(QUALITIES)), QUALITIES], axis=1)


def above(curve: np.ndarray, decibels: float) -> np.ndarray:
    """The same rates at a quality so much higher."""
    return np.stack([curve[:, 0], curve[:, 1] + decibels], axis=1)


@pytest.mark.parametrize(("factor", "percent"), [(0.5, -50), (1, 0), (1.17, 17), (3, 200)])
def test_so_much_more_bits_at_every_quality_are_the_bd_rate(factor, percent):
    assert bd_rate(REFERENCE, REFERENCE * [factor, 1]) == pytest.approx(percent, abs=1e-9)


def test_a_gap_that_grows_with_quality_is_averaged_in_log_rate():
    """20 % more bits at one end, 80 % at the other, and log rate linear over quality in both."""
    flat, steep = [(1, 30), (8, 40)], [(1.2, 30), (8 * 1.8, 40)]
    assert bd_rate(flat, steep) == pytest.approx(100 * (np.sqrt(1.2 * 1.8) - 1))
    assert bd_rate(steep, flat) == pytest.approx(100 * (1 / np.sqrt(1.2 * 1.8) - 1))


def test_between_points_log_rate_is_the_monotone_cubic():
    """By hand: log rates 0, 1, 5 have the slopes 0, 2·1·4 / (1 + 4) = 1.6, (3·4 - 1) / 2 = 5.5.

    A cubic's mean over an interval of length 1 is that of its ends plus the difference of their slopes / 12.
    """
    mean = ((0.5 + (0 - 1.6) / 12) + (3 + (1.6 - 5.5) / 12)) / 2
    line, curved = [(1, 30), (np.exp(2), 32)], [(1, 30), (np.exp(1), 31), (np.exp(5), 32)]
    assert bd_rate(line, curved) == pytest.approx(100 * (np.exp(mean - 1) - 1))


def test_only_qualities_that_both_reach_count():
    q = np.arange(20, 51, 2.0)
    halved_within = np.where((q >= 28) & (q <= 38), 0.5, 30.0) * np.exp(0.2 * q)
    halved_within[-6:] *= 1000  # rates still rise with quality
    halved_within[:4] /= 1e6
    reference = np.stack([np.exp(0.2 * q), q], axis=1)[(q >= 30) & (q <= 36)]
    assert bd_rate(reference, np.stack([halved_within, q], axis=1)) == pytest.approx(-50)


def test_the_order_of_the_points_and_the_unit_of_rate_do_not_matter():
    other = above(REFERENCE * [0.8, 1], 0.7)
    expected = bd_rate(REFERENCE, other)
    assert abs(expected) > 20
    assert bd_rate(REFERENCE[::-1], other[[2, 0, 4, 1, 3]]) == pytest.approx(expected)
    assert bd_rate(REFERENCE * [8, 1], other * [8, 1]) == pytest.approx(expected)


def test_a_point_that_costs_more_and_is_no_better_is_left_out():
    bits, quality = REFERENCE[2]
    for wasteful in ([1.01 * bits, quality], [1.01 * bits, quality - 0.1], [bits, quality - 0.1]):
        assert bd_rate(REFERENCE, [*REFERENCE, wasteful]) == pytest.approx(0, abs=1e-9)
    recovering = [[1.01 * bits, quality - 0.3], [1.02 * bits, quality - 0.1]]
    assert bd_rate(REFERENCE, [*REFERENCE, *recovering]) == pytest.approx(0, abs=1e-9)
    assert bd_rate(REFERENCE, [*REFERENCE, [1.01 * bits, quality + 0.5]]) < -0.1


@pytest.mark.parametrize("gap", [12, 20])
def test_curves_without_qualities_in_common_are_refused(gap):
    with pytest.raises(UsageError, match=r"no qualities in common: 28\.00 to 40\.00 dB"):
        bd_rate(REFERENCE, above(REFERENCE, gap))
    assert bd_rate(REFERENCE, above(REFERENCE, 11)) < 0


@pytest.mark.parametrize(
    ("curve", "words"),
    [
        ([], "two points"),
        ([(1, 30)], "two points"),
        ([(1, 30), (2, 29)], "two points"),
        ([(0, 30), (2, 35)], "above zero"),
        ([(1, 30), (2, float("inf"))], "finite"),
        ([(float("nan"), 30), (2, 35)], "finite"),
    ],
    ids=str,
)
def test_what_is_no_curve_is_refused(curve, words):
    for pair in ((curve, REFERENCE), (REFERENCE, curve)):
        with pytest.raises(UsageError, match=words):
            bd_rate(*pair)


def test_ms_ssim_in_db_counts_nines():
    assert [ms_ssim_db(value) for value in (0.0, 0.9, 0.999)] == pytest.approx([0, 10, 30])
    assert ms_ssim_db(1.0) == float("inf")
