"""When somebody speaks: WebRTC's voice detector with hysteresis. Knows no clock and no I/O."""

from collections import deque
from dataclasses import dataclass

import numpy as np
import webrtcvad

from soul.media.clock import ms_to_samples
from soul.media.packets import Samples, Sound
from soul.timebase import AUDIO_RATE


@dataclass(frozen=True, slots=True)
class VadConfig:
    """Speech starts when `start_voiced` of the last `start_window` frames are voiced, and stops
    after `stop_ms` without one."""

    frame_ms: int = 20  # 10, 20 or 30: the detector knows no other
    aggressiveness: int = 2  # 0 (hears speech easily) to 3
    start_voiced: int = 3
    start_window: int = 5
    stop_ms: int = 300

    def __post_init__(self) -> None:
        if self.frame_ms not in (10, 20, 30):
            raise ValueError(f"frame_ms is {self.frame_ms}: expected 10, 20 or 30")
        if not 0 <= self.aggressiveness <= 3:
            raise ValueError(f"aggressiveness is {self.aggressiveness}: expected 0 to 3")
        if not 1 <= self.start_voiced <= self.start_window:
            raise ValueError(
                f"start_voiced is {self.start_voiced}: expected 1 to {self.start_window}"
            )


class Vad:
    """Sound on the media clock in; `speaking` says whether somebody speaks at its end."""

    def __init__(self, config: VadConfig | None = None) -> None:
        self._config = config or VadConfig()
        self._detector = webrtcvad.Vad(self._config.aggressiveness)
        self._frame = ms_to_samples(self._config.frame_ms)
        self._rest: Samples = np.zeros(0, np.float32)
        self._recent: deque[bool] = deque(maxlen=self._config.start_window)
        self._last_voiced = 0
        self.speaking = False

    def receive(self, sound: Sound) -> None:
        """Hear `sound`; whatever does not fill a frame waits for the next call."""
        at = sound.start - len(self._rest)
        samples = np.concatenate([self._rest, sound.samples])
        whole = len(samples) // self._frame * self._frame
        self._rest = samples[whole:]
        for offset in range(0, whole, self._frame):
            self._hear(samples[offset : offset + self._frame], at + offset + self._frame)

    def _hear(self, frame: Samples, end: int) -> None:
        pcm = (np.clip(frame, -1, 1) * 32767).astype("<i2").tobytes()
        voiced = self._detector.is_speech(pcm, AUDIO_RATE)
        self._recent.append(voiced)
        if voiced:
            self._last_voiced = end
        if not self.speaking:
            self.speaking = sum(self._recent) >= self._config.start_voiced
        elif end - self._last_voiced >= ms_to_samples(self._config.stop_ms):
            self.speaking = False
            self._recent.clear()
