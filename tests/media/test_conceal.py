"""What stands in for lost sound: the same pitch, fading, and no click where sound returns."""

import numpy as np
import pytest

from soul.media.conceal import Concealer
from soul.media.packets import Samples


def tone(rate: int, start: int, count: int, pitch: float = 150.0) -> Samples:
    return np.sin(2 * np.pi * pitch * np.arange(start, start + count) / rate).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 44_100, 48_000])
def test_a_voice_goes_on_at_its_pitch(rate: int) -> None:
    concealer = Concealer(rate)
    concealer.real(tone(rate, 0, rate // 10))
    got = concealer.missing(rate // 50)
    wanted = tone(rate, rate // 10, rate // 50)
    assert np.corrcoef(got, wanted)[0, 1] > 0.9
    assert np.abs(got).max() <= 1.0


def test_a_long_gap_becomes_silence() -> None:
    concealer = Concealer(16_000)
    concealer.real(tone(16_000, 0, 1_600))
    concealer.missing(960)
    assert (concealer.missing(3_200) == 0).all()


def test_no_click_at_the_seams() -> None:
    rate = 16_000
    concealer = Concealer(rate)
    parts = [concealer.real(tone(rate, 0, 1_600)), concealer.missing(320)]
    parts.append(concealer.real(tone(rate, 1_920, 1_600)))
    steps = np.abs(np.diff(np.concatenate(parts)))
    assert steps.max() < 3 * np.abs(np.diff(tone(rate, 0, 1_600))).max()


def test_whole_sound_passes_unchanged() -> None:
    concealer = Concealer(48_000)
    for start in range(0, 9_600, 960):
        block = tone(48_000, start, 960)
        assert (concealer.real(block) == block).all()


def test_before_any_sound_there_is_silence() -> None:
    assert (Concealer(48_000).missing(960) == 0).all()


def test_tiny_blocks() -> None:
    concealer = Concealer(48_000)
    concealer.real(tone(48_000, 0, 3))
    assert len(concealer.missing(1)) == 1
    assert len(concealer.real(tone(48_000, 4, 2))) == 2
