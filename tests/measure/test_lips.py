"""Known answers for the measures of lips."""

import numpy as np
import pytest

from soul.measure.lips import (
    best_lag,
    bilabial_closure,
    closure_in_silence,
    correlation,
    lags,
)


def test_correlation_of_known_curves() -> None:
    curve = np.array([0.0, 1.0, 0.0, 2.0])
    assert correlation(curve, 3 * curve + 1) == pytest.approx(1.0)
    assert correlation(curve, -curve) == pytest.approx(-1.0)
    assert correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert correlation(curve, np.ones(4)) == 0.0


def test_curves_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="expected equal"):
        correlation([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="expected at least 12"):
        best_lag(np.zeros(5), np.zeros(5))


@pytest.mark.parametrize("lag", [-10, -3, 0, 1, 10])
def test_a_shift_is_found_with_its_sign(lag: int) -> None:
    curve = np.random.default_rng(0).random(200)
    found = best_lag(curve, np.roll(curve, lag))
    assert found.frames == lag
    assert found.correlation == pytest.approx(1.0)


def test_every_stretch_that_moves_has_a_lag() -> None:
    curve = np.random.default_rng(0).random(200)
    curve[60:120] = 0.5  # stands still
    assert lags(curve, np.roll(curve, 2)).tolist() == [2, 2]  # the last 20 are no whole stretch
    assert lags(curve[:50], curve[:50]).size == 0


def test_closure_counts_silent_frames_only() -> None:
    opening = [0.0, 0.05, 0.5, 0.0, 1.0]
    assert closure_in_silence(opening, [True, True, True, True, False]) == 0.75
    assert np.isnan(closure_in_silence(opening, [False] * 5))


def test_bilabials_are_met_within_a_frame() -> None:
    opening = [0.5, 0.0, 0.5, 0.5, 0.5, 0.5]
    assert bilabial_closure(opening, [0, 1, 2]) == 1.0
    assert bilabial_closure(opening, [1, 4]) == 0.5
    assert bilabial_closure(opening, [0], reach=0) == 0.0
    assert np.isnan(bilabial_closure(opening, []))
