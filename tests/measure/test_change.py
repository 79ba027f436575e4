"""Known answers for changes that follow, come late, never come, or jump."""

import math

import numpy as np
import pytest

from soul.measure.change import courses, half_way, jump


def ramp(frames: int, start: int, length: int) -> np.ndarray:
    return np.clip((np.arange(frames) - start) / length, 0.0, 1.0)


def test_a_ramp_is_half_way_in_its_middle() -> None:
    assert half_way(ramp(100, 50, 20), 50, 1.0) == 10
    assert half_way(0.3 * ramp(100, 54, 12), 50, 0.3) == 10
    assert half_way(np.ones(100), 50, 1.0) == 0


def test_what_never_comes_or_only_flashes_has_no_half_way() -> None:
    flash = np.zeros(100)
    flash[60:64] = 1.0  # 160 ms: a blink, not a change
    assert math.isnan(half_way(flash, 50, 1.0))
    assert math.isnan(half_way(np.zeros(100), 50, 1.0))


def test_a_blink_does_not_undo_a_change() -> None:
    curve = ramp(100, 50, 2)
    curve[58:62] = 0.0
    assert half_way(curve, 50, 1.0) == 1


def test_a_course_goes_from_usual_to_what_is_wanted() -> None:
    share = ramp(200, 100, 10)
    channels = np.stack((0.2 + 0.6 * share, -0.1 - 0.3 * share, np.sin(np.arange(200))), 1)
    course, end = courses(channels[:, :2], [0.6, -0.3], 100, 150)
    assert np.allclose(course, share)
    assert end == pytest.approx(1.0)
    half, end = courses(0.5 * channels[:, :2], [0.6, -0.3], 100, 150)
    assert end == pytest.approx(0.5)
    _, away = courses(channels[:, :2], [-0.6, 0.3], 100, 150)
    assert away == pytest.approx(-1.0)
    assert half.max() == pytest.approx(0.5)


def test_nowhere_to_go_is_refused() -> None:
    with pytest.raises(ValueError, match="a change by 0 at frame 5, settled at 7, in 10 frames"):
        courses(np.zeros((10, 2)), [0.0, 0.0], 5, 7)
    with pytest.raises(ValueError, match="expected a change, and 0 < at"):
        courses(np.zeros((10, 1)), [1.0], 5, 10)


def test_a_jump_stands_out_of_what_is_usual() -> None:
    usual = 1.0 + 0.2 * np.sin(np.arange(199))
    smooth = jump(usual, 110)
    assert 0.9 < smooth < 1.1
    broken = usual.copy()
    broken[113] = 6.0
    assert jump(broken, 110) == pytest.approx(5.0, abs=0.2)
    elsewhere = usual.copy()
    elsewhere[20] = 6.0  # a nod at another time is not the change's
    assert jump(elsewhere, 110) == pytest.approx(smooth, abs=0.05)


def test_without_a_usual_second_there_is_no_ratio() -> None:
    assert math.isnan(jump(np.ones(40), 20))
    assert math.isnan(jump(np.zeros(200), 100))
