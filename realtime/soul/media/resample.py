"""Sound of any rate → 16 kHz. One continuous stream through PyAV's resampler; knows no time."""

import numpy as np
from av import AudioFrame, AudioResampler

from soul.media.packets import Samples
from soul.timebase import AUDIO_RATE


def to_mono(samples: Samples) -> Samples:
    """[n] or [n, channels] → [n], the mean of the channels."""
    mono = samples if samples.ndim == 1 else samples.mean(axis=1)
    return np.asarray(mono, dtype=np.float32)


class Resampler:
    """[n] float32 at `rate` → [m] float32 at 16 kHz; holds back a few samples for its filter.

    The first output sample stands for the first input sample, so counting samples is enough to
    stay aligned.
    """

    def __init__(self, rate: int) -> None:
        if not 4_000 <= rate <= 384_000:
            raise ValueError(f"sample rate {rate} Hz: expected one from 4000 to 384000")
        self._rate = rate
        self._swr = AudioResampler(format="fltp", layout="mono", rate=AUDIO_RATE)

    def push(self, samples: Samples) -> Samples:
        """What the resampler can already give once `samples` [n] has been added."""
        if self._rate == AUDIO_RATE or not len(samples):
            return samples
        frame = AudioFrame.from_ndarray(
            np.ascontiguousarray(samples[None]), format="fltp", layout="mono"
        )
        frame.sample_rate = self._rate
        return _join(self._swr.resample(frame))

    def flush(self) -> Samples:
        """The held-back rest, at the end of a stream."""
        if self._rate == AUDIO_RATE:
            return np.zeros(0, np.float32)
        return _join(self._swr.resample(None))


def _join(frames: list[AudioFrame]) -> Samples:
    parts = [frame.to_ndarray()[0] for frame in frames]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)
