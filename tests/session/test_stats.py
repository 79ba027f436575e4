"""Figures of a session: medians, percentiles and rates that JSON can carry."""

import json

import pytest

from soul.session.stats import Meter, SessionStats
from soul.stream.types import StageTimes
from soul.timebase import NANOSECONDS


def test_nothing_measured_is_zero() -> None:
    meter = Meter()
    assert meter.fps(NANOSECONDS, 10) == 0
    assert meter.delay_ms(95) == 0
    assert meter.stages_ms() == StageTimes()


def test_pictures_a_second_over_the_last_seconds() -> None:
    meter = Meter()
    for second in range(20):
        meter.sample(second * NANOSECONDS, 0 if second < 10 else 25 * (second - 10))
    assert meter.fps(20 * NANOSECONDS, 250) == pytest.approx(25)


def test_delays_and_stages() -> None:
    meter = Meter()
    for ms in range(1, 101):
        meter.leaving(ms, heard=7)
        meter.left(ms, now=7 + ms * 1_000_000)
    assert meter.delay_ms(50) == pytest.approx(50.5)
    assert meter.delay_ms(95) == pytest.approx(95, abs=1)
    for seconds in (0.001, 0.002, 0.009):
        meter.computed(StageTimes(seconds, 2 * seconds, 0, 0))
    assert meter.stages_ms() == StageTimes(2.0, 4.0, 0.0, 0.0)


def test_a_delay_counts_when_its_own_picture_has_left() -> None:
    meter = Meter()
    for pts in (640, 1280, 1920):
        meter.leaving(pts, heard=pts)
    assert meter.delay_ms(50) == 0, "an encoder still has them"
    meter.left(1280, now=1280 + 5_000_000)  # the encoder dropped the first
    assert (meter.delay_ms(0), meter.delay_ms(100)) == (5, 5)
    meter.left(1300, now=10**12)  # a repeated picture is driven by no sound
    assert meter.delay_ms(100) == 5
    meter.left(1920, now=1920 + 9_000_000)
    assert meter.delay_ms(100) == 9


def test_pictures_that_never_leave_are_forgotten() -> None:
    meter = Meter()
    for pts in range(1000):
        meter.leaving(pts, heard=0)
    meter.left(5, now=1)
    assert meter.delay_ms(100) == 0


def test_json() -> None:
    assert json.loads(json.dumps(SessionStats().to_json()))["state"] == "new"
