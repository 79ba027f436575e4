"""When a worker that died is started again: virtual time only."""

import pytest

from soul.stream.restart import RestartConfig, Restarts
from soul.timebase import NANOSECONDS

SECOND = NANOSECONDS
CONFIG = RestartConfig(first_pause_ms=500, deaths=4, window_seconds=60)


def test_the_pause_grows_until_it_stays_down() -> None:
    restarts = Restarts(CONFIG)
    pauses = []
    for second in range(4):
        restarts.ready(second * SECOND)
        pauses.append(restarts.died(second * SECOND + 1))
    assert pauses == [SECOND // 2, SECOND, 2 * SECOND, None]


def test_deaths_are_forgotten_after_a_minute_of_service() -> None:
    restarts = Restarts(CONFIG)
    for day in range(10):
        restarts.ready(day * 86_400 * SECOND)
        assert restarts.died((day * 86_400 + 60) * SECOND) == SECOND // 2


def test_within_the_minute_they_are_remembered() -> None:
    restarts = Restarts(CONFIG)
    now, pauses = 0, []
    for _ in range(6):
        restarts.ready(now)
        now += 25 * SECOND
        pauses.append(restarts.died(now))
    assert pauses == [SECOND // 2, SECOND, *[2 * SECOND] * 4], "at most three in any minute"


def test_long_loading_and_pauses_are_no_service() -> None:
    restarts = Restarts(CONFIG)
    restarts.ready(0)
    assert restarts.died(3600 * SECOND) is not None
    for hours in (2, 3):
        assert restarts.died(hours * 3600 * SECOND) is not None, "one that never became ready"
    assert restarts.died(4 * 3600 * SECOND) is None


@pytest.mark.parametrize("name", ["first_pause_ms", "deaths", "window_seconds"])
def test_an_impossible_limit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; expected at least 1"):
        RestartConfig(**{name: 0})


def test_one_death_may_be_the_last() -> None:
    assert Restarts(RestartConfig(deaths=1)).died(0) is None
