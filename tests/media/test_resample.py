"""Any rate becomes 16 kHz, in place: output sample n stands for the moment n / 16000."""

import numpy as np
import pytest

from soul.media.resample import Resampler, to_mono
from soul.timebase import AUDIO_RATE


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 24_000, 44_100, 48_000, 96_000])
def test_a_tone_stays_where_it_is(rate: int) -> None:
    tone = np.sin(2 * np.pi * 300 * np.arange(rate) / rate).astype(np.float32)
    resampler = Resampler(rate)
    blocks = [resampler.push(block) for block in np.array_split(tone, 50)]
    got = np.concatenate([*blocks, resampler.flush()])
    wanted = np.sin(2 * np.pi * 300 * np.arange(len(got)) / AUDIO_RATE)
    assert abs(len(got) - AUDIO_RATE) <= 16
    assert np.abs(got[200:-200] - wanted[200:-200]).max() < 1e-3


def test_channels_are_averaged() -> None:
    stereo = np.stack([np.ones(10), -np.ones(10)], axis=1).astype(np.float32)
    assert (to_mono(stereo) == 0).all()
    assert to_mono(stereo[:, 0]).shape == (10,)


@pytest.mark.parametrize("rate", [0, -1, 3_999, 10**6])
def test_no_rate_of_sound(rate: int) -> None:
    with pytest.raises(ValueError, match=f"sample rate {rate} Hz: expected"):
        Resampler(rate)
