"""Speech starts and stops once each, not at every frame; streamed equals at once."""

import numpy as np
import pytest

from soul.media.packets import Samples, Sound
from soul.media.vad import Vad, VadConfig
from soul.timebase import AUDIO_RATE


def speech_like(seconds: float) -> Samples:
    """A vowel: harmonics of 120 Hz under two formants, with a syllable's rise and fall."""
    t = np.arange(int(seconds * AUDIO_RATE)) / AUDIO_RATE
    wave = np.zeros_like(t)
    for n in range(1, 30):
        f = 120 * n
        formants = np.exp(-(((f - 700) / 300) ** 2)) + 0.6 * np.exp(-(((f - 1200) / 300) ** 2))
        wave += formants * np.sin(2 * np.pi * f * t)
    return np.asarray(0.2 * wave * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * t)), np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * AUDIO_RATE), np.float32)


def run(samples: Samples, block: int, config: VadConfig | None = None) -> list[int]:
    """Ends of the blocks at which speech began, stopped, began, ..."""
    vad = Vad(config)
    changes: list[int] = []
    for start in range(0, len(samples), block):
        before = vad.speaking
        vad.receive(Sound(start, samples[start : start + block]))
        if vad.speaking != before:
            changes.append(start + block)
    return changes


def test_one_utterance_is_one_start_and_one_stop() -> None:
    samples = np.concatenate([silence(1), speech_like(1), silence(1)])
    began, stopped = run(samples, 320)
    assert abs(began - AUDIO_RATE) < 0.25 * AUDIO_RATE
    assert abs(stopped - 2.3 * AUDIO_RATE) < 0.2 * AUDIO_RATE


def test_a_short_pause_does_not_stop_speech() -> None:
    samples = np.concatenate([speech_like(1), silence(0.15), speech_like(1), silence(1)])
    assert len(run(samples, 320)) == 2


@pytest.mark.parametrize("block", [7, 160, 200, 320, 2560])
@pytest.mark.parametrize("frame_ms", [20, 30])
def test_blocks_do_not_matter(block: int, frame_ms: int) -> None:
    samples = np.concatenate([silence(0.5), speech_like(0.7), silence(0.7)])
    config = VadConfig(frame_ms=frame_ms)
    exact = run(samples, frame_ms * 16, config)
    assert len(exact) == 2
    late = np.subtract(run(samples, block, config), exact)
    assert ((late >= 0) & (late < block)).all()


def test_silence_says_nothing() -> None:
    assert run(silence(2), 320) == []


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="frame_ms is 25: expected 10, 20 or 30"):
        VadConfig(frame_ms=25)
    with pytest.raises(ValueError, match="aggressiveness is 4"):
        VadConfig(aggressiveness=4)
    with pytest.raises(ValueError, match="start_voiced is 6"):
        VadConfig(start_voiced=6)
