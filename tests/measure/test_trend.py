"""Known answers for a slope and its standard error."""

import numpy as np
import pytest

from soul.measure.trend import trend


def test_a_straight_line_has_its_slope_and_no_error() -> None:
    found = trend([0.0, 1.0, 2.0, 3.0], [5.0, 7.0, 9.0, 11.0])
    assert found.slope == pytest.approx(2.0)
    assert found.error == pytest.approx(0.0, abs=1e-9)
    assert found.seen


def test_a_constant_has_no_trend() -> None:
    assert not trend(np.arange(10), np.full(10, 0.8)).seen
    assert trend(np.arange(10), np.full(10, 0.8)).slope == pytest.approx(0.0)


def test_the_error_is_the_textbooks_where_neighbours_are_unlike() -> None:
    """x = 0 .. 3 and residuals that alternate: s² = Σr² / (n − 2), error = s / sqrt(Σ(x − x̄)²)."""
    found = trend([0, 1, 2, 3], [1.0, -1.0, 1.0, -1.0])
    assert found.slope == pytest.approx(-0.4)
    assert found.error == pytest.approx(np.sqrt(3.2 / 2 / 5.0))


def test_values_that_wander_slowly_are_less_sure_than_noise() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=400)
    slow = np.convolve(rng.normal(size=430), np.ones(31) / np.sqrt(31), "valid")
    assert trend(np.arange(400), slow).error > 3 * trend(np.arange(400), noise).error


def test_noise_alone_seldom_has_a_trend_and_a_real_one_is_seen() -> None:
    rng = np.random.default_rng(1)
    at = np.arange(60) / 60
    found = [trend(at, rng.normal(size=60)).seen for _ in range(100)]
    assert np.mean(found) < 0.15
    assert trend(at, 3.0 * at + rng.normal(size=60) * 0.5).seen


def test_unknown_values_are_left_out_and_two_points_are_no_trend() -> None:
    assert trend([0, 1, 2, 3], [0.0, 1.0, np.nan, 3.0]).slope == pytest.approx(1.0)
    short = trend([0, 1, 2], [0.0, np.nan, 2.0])
    assert np.isnan(short.slope)
    assert not short.seen
    with pytest.raises(ValueError, match="expected equal"):
        trend([0, 1], [0.0, 1.0, 2.0])
