"""RTP timestamps wrap; media time does not."""

from hypothesis import given
from hypothesis import strategies as st

from soul.media.packets import TimestampUnwrapper


@given(
    start=st.integers(0, 2**32 - 1),
    steps=st.lists(st.integers(-100_000, 2**30), max_size=50),
)
def test_unwrapping_follows_the_true_time(start: int, steps: list[int]) -> None:
    unwrapper = TimestampUnwrapper()
    true = start
    assert unwrapper.unwrap(true) == true
    for step in steps:
        true += step
        assert unwrapper.unwrap(true % 2**32) == true
