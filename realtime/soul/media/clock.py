"""The media clock: which sample of a call is due at which moment, in exact integers.

Every call counts its own samples from zero. This file does not know what time it is: the caller
reads a monotonic clock and passes the moment in.
"""

from dataclasses import dataclass

from soul.timebase import AUDIO_RATE, Instant, ns_to_samples, samples_to_ns

VIDEO_RATE = 90_000  # ticks per second of an RTP video clock (RFC 7741, section 4.1)


@dataclass(frozen=True, slots=True)
class MediaClock:
    """Sample 0 at 16 kHz falls on `epoch`."""

    epoch: Instant

    def sample_at(self, now: Instant) -> int:
        """Index of the sample that is sounding at `now`; negative before the epoch."""
        return ns_to_samples(now - self.epoch)

    def instant_of(self, sample: int) -> Instant:
        """The moment at which `sample` begins."""
        return self.epoch + samples_to_ns(sample)


def to_rate(sample: int, rate: int) -> int:
    """Sample index at 16 kHz → index at `rate`, rounded down."""
    return sample * rate // AUDIO_RATE


def ms_to_samples(milliseconds: int, rate: int = AUDIO_RATE) -> int:
    """Whole samples at `rate` that last at most `milliseconds`."""
    return milliseconds * rate // 1000
