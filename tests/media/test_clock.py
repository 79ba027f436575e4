"""Media time and moments map onto each other exactly."""

from hypothesis import given
from hypothesis import strategies as st

from soul.media.clock import MediaClock, ms_to_samples, to_rate
from soul.timebase import samples_to_ns


@given(epoch=st.integers(0, 10**18), sample=st.integers(-(10**9), 10**12))
def test_there_and_back(epoch: int, sample: int) -> None:
    clock = MediaClock(epoch)
    assert clock.sample_at(clock.instant_of(sample)) == sample
    assert clock.sample_at(clock.instant_of(sample) + samples_to_ns(1) - 1) == sample
    assert clock.sample_at(clock.instant_of(sample) - 1) == sample - 1


@given(ticks=st.integers(0, 10**9))
def test_whole_packets_are_exact_at_every_rtp_clock(ticks: int) -> None:
    assert to_rate(ticks * 320, 48_000) == ticks * 960
    assert to_rate(ticks * 320, 90_000) == ticks * 1800


def test_milliseconds() -> None:
    assert ms_to_samples(20) == 320
    assert ms_to_samples(20, 44_100) == 882
