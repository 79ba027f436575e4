"""Which works share a forward."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soul.stream.batch import choose
from soul.stream.types import Work


def work(stream: str, deadline: int, steps: int = 2, chunk: int = 0) -> Work:
    return Work(stream, chunk, np.zeros(4, np.float32), steps, deadline)


def test_the_earliest_come_first_up_to_the_limit() -> None:
    a, b, c = work("a", 30), work("b", 10), work("c", 20)
    assert choose([a, b, c], 2) == (b, c)


def test_the_most_urgent_decides_the_step_count() -> None:
    a, b, c = work("a", 30, steps=1), work("b", 10, steps=1), work("c", 20, steps=2)
    assert choose([a, b, c], 8) == (b, a)


def test_a_stream_gives_one_chunk_its_oldest() -> None:
    early, late = work("a", 10, chunk=0), work("a", 10, chunk=1)
    assert choose([late, early], 8) == (early,)


def test_nothing_waits() -> None:
    assert choose([], 8) == ()


def test_an_impossible_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        choose([], 0)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9), st.integers(1, 2))),
    st.integers(1, 4),
)
def test_every_batch_is_fair_and_of_one_kind(drawn: list[tuple[str, int, int]], limit: int) -> None:
    waiting = [work(stream, deadline, steps) for stream, deadline, steps in drawn]
    chosen = choose(waiting, limit)
    assert len(chosen) <= limit
    assert len({w.stream for w in chosen}) == len(chosen)
    assert len({w.steps for w in chosen}) <= 1
    if waiting:
        assert chosen[0].deadline == min(w.deadline for w in waiting)
