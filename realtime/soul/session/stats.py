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

    uptime_s: float = 0.0
    state: str = "new"  # of the connection
    speaking: bool = False
    fps: float = 0.0  # pictures handed to the network, over the last seconds
    frames_shown: int = 0
    frames_repeated: int = 0
    frames_skipped: int = 0
    pictures_dropped: int = 0  # by the encoder
    queued_pictures: int = 0
    queued_sound_ms: float = 0.0
    waiting_chunks: int = 0
    chunks_late: int = 0
    chunks_skipped: int = 0
    chunks_hurried: int = 0  # one denoising step where more are usual: the machine is slow
    degraded: bool = False
    delay_p50_ms: float = 0.0  # sound in → the picture it drove handed to the network
    delay_p95_ms: float = 0.0
    playout_delay_ms: float = 0.0
    ingest_delay_ms: float = 0.0
    skew_max_ms: float = 0.0  # largest lag of a picture behind its sound
    listen_ms: float = 0.0  # stages of a chunk, median of the last ones
    denoise_ms: float = 0.0
    decode_ms: float = 0.0
    commit_ms: float = 0.0
    packets_in: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    packets_dropped: int = 0
    concealed_ms: float = 0.0
    video_bitrate: int = 0
    key_frames: int = 0

    def to_json(self) -> dict[str, Any]:
        """Field names → numbers, strings and booleans."""
        return asdict(self)


class Meter:
    """Collects moments and durations of the last seconds."""

    def __init__(self) -> None:
        self._leaving: deque[tuple[int, Instant]] = deque(maxlen=8)  # more than an encoder keeps
        self._delays: deque[Instant] = deque(maxlen=250)
        self._times: deque[StageTimes] = deque(maxlen=25)
        self._sent: deque[tuple[Instant, int]] = deque(maxlen=6)

    def leaving(self, pts: int, heard: Instant) -> None:
        """The picture `pts`, driven by sound that came in at `heard`, goes to the encoder."""
        self._leaving.append((pts, heard))

    def left(self, pts: int, now: Instant) -> None:
        """The picture `pts` was handed to the network; older ones never will be.

        A picture that did not go in by `leaving` drives no figure.
        """
        while self._leaving and self._leaving[0][0] <= pts:
            mine, heard = self._leaving.popleft()
            if mine == pts:
                self._delays.append(now - heard)

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
