"""Known answers for blinks and stares."""

import numpy as np

from soul.measure.life import blinks, blinks_per_minute, blinks_shown, longest_stare


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
