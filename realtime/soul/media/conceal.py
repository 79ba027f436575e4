"""What stands in for sound that did not come: the last pitch period, repeated and faded out.

Knows neither packets nor time: it hears what was played and continues it.
"""

import numpy as np

from soul.media.packets import Samples

_HISTORY_MS = 30
_FADE_MS = 60  # a longer gap is silence: a voice held for longer buzzes
_CROSSFADE_MS = 4
_PITCH_MS = (2.5, 15.0)  # 66-400 Hz, the range of speaking voices


class Concealer:
    """Continues a mono stream at `rate` over gaps, and joins the real sound on again."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._history: Samples = np.zeros(rate * _HISTORY_MS // 1000, np.float32)
        self._period: Samples | None = None  # set while a gap lasts
        self._phase = 0
        self.seam = False  # the next real samples do not follow the last ones played

    def real(self, samples: Samples) -> Samples:
        """`samples` [n] as they should be played, cross-faded with a gap that ends here."""
        if self.seam or self._period is not None:
            samples = self._join(samples)
        self._remember(samples)
        return samples

    def missing(self, count: int) -> Samples:
        """[count] samples in place of sound that is not there."""
        samples = self._continue(count)
        self._remember(samples)
        self.seam = True
        return samples

    def _join(self, samples: Samples) -> Samples:
        count = min(len(samples), self._rate * _CROSSFADE_MS // 1000)
        rise = np.linspace(0, 1, count, endpoint=False, dtype=np.float32)
        joined = samples.copy()
        joined[:count] = samples[:count] * rise + self._continue(count) * (1 - rise)
        self.seam, self._period = False, None
        return joined

    def _continue(self, count: int) -> Samples:
        if self._period is None:
            self._period, self._phase = self._last_period(), 0
        start, end = self._phase, self._rate * _FADE_MS // 1000
        self._phase += count
        if start >= end:
            return np.zeros(count, np.float32)
        index = np.arange(start, start + count)
        fade = 1 - index / end
        period = self._period
        return np.asarray(period[index % len(period)] * np.maximum(fade, 0), dtype=np.float32)

    def _last_period(self) -> Samples:
        """The end of the history, as long as the lag at which it resembles itself most."""
        step = max(self._rate // 8_000, 1)
        coarse = self._history[::-1][::step][::-1]
        shortest, longest = (int(ms * self._rate / 1000 / step) for ms in _PITCH_MS)
        window = coarse[-longest:]
        scores = [
            float(np.dot(window, coarse[-longest - lag : len(coarse) - lag]))
            for lag in range(shortest, longest + 1)
        ]
        return self._history[-(shortest + int(np.argmax(scores))) * step :]

    def _remember(self, samples: Samples) -> None:
        keep = len(self._history)
        self._history = np.concatenate([self._history, samples])[-keep:]
