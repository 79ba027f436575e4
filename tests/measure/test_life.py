"""Known answers for blinks and stares."""

import numpy as np
import pytest

from soul.measure.life import (
    blink_irregularity,
    blinks,
    blinks_per_minute,
    blinks_shown,
    follows,
    liveliness,
    longest_stare,
    nods,
)


def eyes(frames: int, *starts: int, length: int = 4, usual: float = 1.0) -> list[float]:
    curve = np.full(frames, usual)
    for start in starts:
        curve[start : start + length] = 0.1 * usual
    return curve.tolist()


def test_blinks_are_found_where_they_start() -> None:
    assert blinks(eyes(200, 20, 90)).tolist() == [20, 90]
    assert blinks(eyes(200, 20, usual=0.6)).tolist() == [20]


def test_closed_eyes_and_unfinished_blinks_are_not_counted() -> None:
    assert blinks(eyes(200, 20, length=40)).size == 0
    assert blinks(eyes(200, 197)).size == 0
    assert blinks([]).size == 0


def test_half_closing_is_no_blink() -> None:
    curve = np.ones(100)
    curve[40:44] = 0.6
    assert blinks(curve).size == 0


def test_a_blink_that_was_told_is_shown_if_one_is_near() -> None:
    told = eyes(300, 50, 120, 200, 260)
    assert blinks_shown(told, told) == 1.0
    assert blinks_shown(told, eyes(300, 52, 117, 204)) == 0.5
    assert blinks_shown(told, eyes(300)) == 0.0
    assert np.isnan(blinks_shown(eyes(300), told))


def test_rate_and_stare() -> None:
    curve = eyes(1500, 100, 400, 1300)
    assert blinks_per_minute(curve) == 3.0
    assert longest_stare(curve) == 36.0
    assert longest_stare(eyes(250)) == 10.0
    assert np.isnan(blinks_per_minute([]))


def test_regular_blinks_are_a_clock_and_few_say_nothing() -> None:
    assert blink_irregularity(eyes(300, 50, 100, 150, 200)) == 0.0
    assert blink_irregularity(eyes(400, 50, 100, 150, 300)) == pytest.approx(np.sqrt(2) / 2.5)
    assert np.isnan(blink_irregularity(eyes(300, 50, 100, 150)))


def test_liveliness_adds_what_several_channels_do() -> None:
    there_and_back = np.tile([0.3, -0.3], 50)
    assert liveliness(np.ones(100)) == 0.0
    assert liveliness(there_and_back) == pytest.approx(0.3)
    assert liveliness(there_and_back, there_and_back * 4 / 3) == pytest.approx(0.5)


def test_what_follows_is_found_at_its_lag_only() -> None:
    cause = np.random.default_rng(0).standard_normal(300)
    effect = np.roll(cause, 4) + 7.0
    assert follows([cause, cause], [effect, -effect], 4) == pytest.approx(0.0, abs=1e-9)
    assert follows([cause, 2 * cause], [effect, 2 * effect - 3], 4) == pytest.approx(1.0)
    assert abs(follows([cause], [effect], 0)) < 0.2
    assert follows([cause], [np.ones(300)], 4) == 0.0


def test_nods_are_found_at_their_lowest() -> None:
    at = np.arange(250)
    pitch = 0.1 * np.sin(0.02 * at)  # a slow drift is no nod
    for frame in (60, 130):
        pitch[frame - 6 : frame + 7] -= 0.2 * np.cos(np.pi * np.arange(-6, 7) / 13) ** 2
    assert nods(pitch).tolist() == [60, 130]
    assert nods(-pitch).size == 0


def test_a_head_that_stays_down_or_trembles_does_not_nod() -> None:
    down = np.zeros(100)
    down[50:] = -0.4
    assert nods(down).size == 0
    assert nods(0.03 * (-1.0) ** np.arange(100)).size == 0
    assert nods([]).size == 0
