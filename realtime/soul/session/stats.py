"""What a session measures about itself, as plain numbers that JSON can carry."""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from soul.stream.types import StageTimes
from soul.timebase import NANOSECONDS, Instant


@dataclass(frozen=True, slots=True)
class SessionStats:
    """One look at a session. Times are milliseconds unless named otherwise."""

    uptime_s: float
    state: str  # of the connection
    speaking: bool
    fps: float  # pictures handed to the network, over the last seconds
    frames_shown: int
    frames_repeated: int
    frames_skipped: int
    pictures_dropped: int  # by the encoder
    queued_pictures: int
    queued_sound_ms: float
    waiting_chunks: int
    chunks_late: int
    chunks_skipped: int
    degraded: bool
    delay_p50_ms: float  # sound in → the picture it drove out
    delay_p95_ms: float
    playout_delay_ms: float
    ingest_delay_ms: float
    skew_max_ms: float  # largest lag of a picture behind its sound
    listen_ms: float  # stages of a chunk, median of the last ones
    denoise_ms: float
    decode_ms: float
    commit_ms: float
    packets_in: int
    packets_lost: int
    packets_late: int
    packets_dropped: int
    concealed_ms: float
    video_bitrate: int
    key_frames: int

    def to_json(self) -> dict[str, Any]:
        """Field names → numbers, strings and booleans."""
        return asdict(self)


class Meter:
    """Collects moments and durations of the last seconds."""

    def __init__(self) -> None:
        self._delays: deque[Instant] = deque(maxlen=250)
        self._times: deque[StageTimes] = deque(maxlen=25)
        self._sent: deque[tuple[Instant, int]] = deque(maxlen=6)

    def shown(self, delay: Instant) -> None:
        """A picture left `delay` nanoseconds after the sound that drove it had come in."""
        self._delays.append(delay)

    def computed(self, times: StageTimes) -> None:
        self._times.append(times)

    def sample(self, now: Instant, pictures: int) -> None:
        """`pictures` have been sent until `now`; call once a second."""
        self._sent.append((now, pictures))

    def fps(self, now: Instant, pictures: int) -> float:
        """Pictures a second since the oldest sample."""
        if not self._sent or now <= self._sent[0][0]:
            return 0.0
        since, before = self._sent[0]
        return (pictures - before) * NANOSECONDS / (now - since)

    def delay_ms(self, percentile: float) -> float:
        if not self._delays:
            return 0.0
        return float(np.percentile(self._delays, percentile)) / 1e6

    def stages_ms(self) -> StageTimes:
        """Median of each stage, in milliseconds."""
        if not self._times:
            return StageTimes()
        rows = [(t.listen, t.denoise, t.decode, t.commit) for t in self._times]
        return StageTimes(*(float(value) * 1000 for value in np.median(rows, axis=0)))
