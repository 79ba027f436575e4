"""Places, limits and idleness, with time turned by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soul.signaling.registry import Limits, Registry, RegistryFull
from soul.timebase import NANOSECONDS

LIMITS = Limits(max_sessions=2, session_seconds=100, idle_seconds=10)


def at(seconds: float) -> int:
    return int(seconds * NANOSECONDS)


def test_the_places_are_counted_and_given_back() -> None:
    registry = Registry(LIMITS)
    registry.admit("a", at(0))
    registry.admit("b", at(7))
    with pytest.raises(RegistryFull, match="all 2 places are taken"):
        registry.admit("c", at(30))
    registry.release("a")
    registry.release("a")
    registry.admit("c", at(31))
    assert len(registry) == 2


def test_one_session_takes_one_place() -> None:
    registry = Registry(LIMITS)
    registry.admit("a", 0)
    with pytest.raises(ValueError, match="already"):
        registry.admit("a", 1)


def test_silence_ends_a_session_and_a_sign_of_life_does_not() -> None:
    registry = Registry(LIMITS)
    registry.admit("a", at(0))
    registry.heard("a", at(9))
    assert registry.overdue("a", at(18.9)) is None
    assert registry.deadline("a") == at(19)
    assert "10 s" in (registry.overdue("a", at(19)) or "")


def test_the_longest_conversation_ends_however_lively() -> None:
    registry = Registry(LIMITS)
    registry.admit("a", at(0))
    for second in range(0, 100, 5):
        registry.heard("a", at(second))
    assert registry.overdue("a", at(99.9)) is None
    assert "limit of 100 s" in (registry.overdue("a", at(100)) or "")


def test_who_is_not_inside_has_no_deadline() -> None:
    registry = Registry(LIMITS)
    registry.heard("ghost", 1)
    assert registry.deadline("ghost") is None
    assert registry.overdue("ghost", at(1000)) is None
    assert len(registry) == 0


@pytest.mark.parametrize("name", ["max_sessions", "session_seconds", "idle_seconds"])
def test_limits_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0; expected at least 1"):
        Limits(**{name: 0})


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.integers(0, 50))))
def test_never_more_inside_than_places(steps: list[tuple[str, bool, int]]) -> None:
    registry, now = Registry(LIMITS), 0
    inside: set[str] = set()
    for name, enters, seconds in steps:
        now += at(seconds)
        if not enters:
            registry.release(name)
            inside.discard(name)
        elif name not in inside and len(inside) == 2:
            with pytest.raises(RegistryFull):
                registry.admit(name, now)
        elif name not in inside:
            registry.admit(name, now)
            inside.add(name)
        assert len(registry) == len(inside) <= 2
