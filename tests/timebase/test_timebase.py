"""Everything follows from few numbers, by divisions that leave no remainder."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soul import timebase
from soul.timebase import exact_div, ns_to_samples, samples_to_ns


def test_the_numbers_of_the_house() -> None:
    assert timebase.SAMPLES_PER_FRAME == 640
    assert timebase.SAMPLES_PER_LATENT == 2560
    assert timebase.MELS_PER_LATENT == 16
    assert timebase.SAMPLES_PER_PACKET == 320
    assert timebase.PACKETS_PER_LATENT == 8
    assert timebase.NANOSECONDS_PER_SAMPLE == 62_500
    assert samples_to_ns(timebase.SAMPLES_PER_LATENT) == 160_000_000


@given(st.integers(-(10**12), 10**12), st.integers(1, 10**6))
def test_a_division_is_exact_or_refused(quotient: int, by: int) -> None:
    assert exact_div(quotient * by, by) == quotient
    if by > 1:
        with pytest.raises(ValueError, match=f"{quotient * by + 1} is not a multiple of {by}"):
            exact_div(quotient * by + 1, by)


@given(st.integers(0, 10**15))
def test_samples_survive_the_way_through_nanoseconds(samples: int) -> None:
    moment = samples_to_ns(samples)
    assert isinstance(moment, int)
    assert ns_to_samples(moment) == samples


@given(st.integers(-(10**18), 10**18))
def test_nanoseconds_are_rounded_down_to_samples(moment: int) -> None:
    samples = ns_to_samples(moment)
    assert samples_to_ns(samples) <= moment < samples_to_ns(samples + 1)
