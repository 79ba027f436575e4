"""Packets of sound, as the network brings them → gapless 16 kHz mono on the media clock.

Every packet stands where its timestamp says, so a loss, a swap or a stall costs the moment it
lasts and nothing after it; the delay this buffer adds is bounded and returns to its target.
Knows no socket, no codec and no clock: arrival times and the moment of reading come in.

The rule. A read cursor walks along the sender's timeline, one sample of it for each that is
pulled. The *slack* of a packet is how long it lies before the cursor reaches it.

- Nothing at the cursor: a short gap is concealed, a longer one is silence of exactly its length.
- Wholly behind the cursor: late, or a duplicate; dropped and counted.
- Late for `relock_ms` on end: the sender's path or timeline has moved, so the cursor moves too.
- Slack over `max_ms`: we are too far behind; the oldest sound is dropped, down to the target.
- Smallest slack of the last packets over the target: `step_ms` is skipped, more in silence.
- Third smallest slack under the margin: `step_ms` is inserted. Both together follow the drift
  between the sender's clock and ours, up to about 5 %.
"""

from bisect import insort
from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from soul.media.clock import MediaClock, ms_to_samples
from soul.media.conceal import Concealer
from soul.media.packets import Samples, Sound, SoundPacket
from soul.media.resample import Resampler, to_mono
from soul.timebase import AUDIO_RATE, Instant

_STEP = AUDIO_RATE // 200  # 5 ms: the grain in which the sender's timeline is read


@dataclass(frozen=True, slots=True)
class IngestConfig:
    """Milliseconds, but for `window` (packets) and `silence` (root mean square)."""

    target_ms: int = 40  # slack of the first packet
    low_ms: int = 15  # the smallest slack that is aimed at once the path is known
    margin_ms: int = 3  # under this, sound is inserted
    hysteresis_ms: int = 10  # over low + this, sound is skipped
    max_ms: int = 240
    step_ms: int = 5
    silent_step_ms: int = 20
    relock_ms: int = 100
    window: int = 50
    silence: float = 0.003


@dataclass(frozen=True, slots=True)
class IngestStats:
    """Counters since the start; samples are at 16 kHz."""

    packets: int = 0
    lost: int = 0  # packets whose time passed though a later one was there
    late: int = 0
    duplicates: int = 0
    dropped: int = 0  # packets thrown away because the buffer was too full
    relocks: int = 0
    concealed_samples: int = 0
    inserted_samples: int = 0
    skipped_samples: int = 0
    delay_ms: float = 0.0  # median slack: how long sound now waits in here


@dataclass(slots=True, order=True)
class _Stored:
    pts: int
    samples: Samples

    @property
    def end(self) -> int:
        return self.pts + len(self.samples)


class Ingest:
    """One sender's sound. `receive` packets in any order, `pull` sound up to a sample."""

    def __init__(self, clock: MediaClock, config: IngestConfig | None = None) -> None:
        self._clock = clock
        self._config = config or IngestConfig()
        self._stats = IngestStats()
        self._position = 0  # the next sample at 16 kHz to give
        self._ready: Samples = np.zeros(0, np.float32)  # resampled, not given yet
        self._line: _Line | None = None

    @property
    def position(self) -> int:
        """Media sample up to which sound has been given."""
        return self._position

    def stats(self) -> IngestStats:
        delay = self._line.delay_ms() if self._line else 0.0
        return replace(self._stats, delay_ms=delay)

    def receive(self, packet: SoundPacket) -> None:
        """Take one packet in.

        Raises ValueError if its rate is none that sound has.
        """
        if self._line is None or self._line.rate != packet.rate:
            self._line = _Line(packet, self._config)
        ahead = self._clock.sample_at(packet.arrival) - self._position - len(self._ready)
        verdict = self._line.receive(packet, ahead)
        self._stats = replace(
            self._stats,
            packets=self._stats.packets + 1,
            late=self._stats.late + verdict.late,
            duplicates=self._stats.duplicates + verdict.duplicate,
            dropped=self._stats.dropped + verdict.dropped,
            relocks=self._stats.relocks + verdict.relocked,
        )

    def pull(self, until: int) -> Sound:
        """All sound up to media sample `until`, from where the last pull ended; never a gap."""
        start, count = self._position, max(until - self._position, 0)
        parts, have = [self._ready], len(self._ready)
        while have < count:
            parts.append(self._more(count - have))
            have += len(parts[-1])
        samples, self._ready = np.split(np.concatenate(parts), [count])
        self._position += count
        return Sound(start, samples)

    def _more(self, count: int) -> Samples:
        if self._line is None:
            return np.zeros(count, np.float32)
        samples, played = self._line.play(-(-count // _STEP))
        self._stats = replace(
            self._stats,
            lost=self._stats.lost + played.lost,
            concealed_samples=self._stats.concealed_samples + played.concealed,
            inserted_samples=self._stats.inserted_samples + played.inserted,
            skipped_samples=self._stats.skipped_samples + played.skipped,
        )
        return samples


@dataclass(frozen=True, slots=True)
class _Verdict:
    late: int = 0
    duplicate: int = 0
    dropped: int = 0
    relocked: int = 0


@dataclass(slots=True)
class _Played:
    lost: int = 0
    concealed: int = 0
    inserted: int = 0
    skipped: int = 0


class _Line:
    """The sender's timeline at its own rate, with the cursor that walks on it."""

    def __init__(self, first: SoundPacket, config: IngestConfig) -> None:
        self.rate = first.rate
        self._config = config
        self._resampler = Resampler(first.rate)
        self._concealer = Concealer(first.rate)
        self._cursor = first.pts - self._samples(config.target_ms)
        self._steps = 0
        self._waiting: list[_Stored] = []
        self._seen: deque[int] = deque(maxlen=128)
        self._slacks: deque[int] = deque(maxlen=config.window)
        self._late_since: Instant | None = None
        self._newest = self._first = first.pts

    def delay_ms(self) -> float:
        slack = float(np.median(self._slacks)) if self._slacks else 0.0
        return slack * 1000 / self.rate

    def receive(self, packet: SoundPacket, ahead: int) -> _Verdict:
        """Store `packet`; `ahead` is by how much (16 kHz) the clock has outrun the reader."""
        if packet.pts in self._seen:
            return _Verdict(duplicate=1)
        self._seen.append(packet.pts)
        stored = _Stored(packet.pts, to_mono(packet.samples))
        slack = packet.pts - self._cursor - ahead * self.rate // AUDIO_RATE
        if slack > self._samples(self._config.max_ms):
            return self._jump(stored, slack)
        if slack < 0 and self._late_for_long(packet.arrival):
            return replace(self._jump(stored, slack), late=1)
        if slack >= 0:
            self._late_since = None
        if stored.end <= self._cursor:
            return _Verdict(late=1)
        self._slacks.append(slack)
        insort(self._waiting, stored)
        return _Verdict()

    def play(self, steps: int) -> tuple[Samples, _Played]:
        """The next `steps`, or 20 ms of them, of the timeline, at 16 kHz."""
        played = _Played()
        before = self._steps
        self._steps += min(steps, 4 - before % 4)
        count = self._steps * self.rate // 200 - before * self.rate // 200
        parts = self._take(count, played)
        if self._steps % 4 == 0:
            parts += self._follow_drift(parts, played)
        return self._resampler.push(np.concatenate(parts)), played

    def _late_for_long(self, now: Instant) -> bool:
        if self._late_since is None:
            self._late_since = now
        return now - self._late_since >= self._config.relock_ms * 1_000_000

    def _jump(self, stored: _Stored, slack: int) -> _Verdict:
        """Move the cursor so that `stored` has the target slack; older sound is dropped."""
        before = len(self._waiting)
        self._cursor += slack - self._samples(self._config.target_ms)
        insort(self._waiting, stored)
        self._waiting = [s for s in self._waiting if s.end > self._cursor and s.pts <= stored.pts]
        self._slacks.clear()
        self._late_since = None
        self._concealer.seam = True
        return _Verdict(dropped=before + 1 - len(self._waiting), relocked=1)

    def _take(self, count: int, played: _Played) -> list[Samples]:
        parts: list[Samples] = []
        end = self._cursor + count
        while self._cursor < end:
            while self._waiting and self._waiting[0].end <= self._cursor:
                self._waiting.pop(0)
            head = self._waiting[0] if self._waiting else None
            if head is None or head.pts > self._cursor:
                stop = end if head is None else min(head.pts, end)
                parts.append(self._gap(stop, head is not None, played))
            else:
                offset = self._cursor - head.pts
                piece = head.samples[offset : offset + end - self._cursor]
                parts.append(self._concealer.real(piece))
                self._cursor += len(piece)
                self._newest = max(self._newest, head.end)
        return parts

    def _gap(self, stop: int, certain: bool, played: _Played) -> Samples:
        count = stop - self._cursor
        if self._cursor >= self._first:
            played.concealed += count * AUDIO_RATE // self.rate
        if certain and self._waiting[0].pts == stop and self._waiting[0].pts > self._newest:
            packet = max(len(self._waiting[0].samples), 1)
            played.lost += (stop - self._newest) // packet
        self._cursor = stop
        return self._concealer.missing(count)

    def _follow_drift(self, parts: list[Samples], played: _Played) -> list[Samples]:
        """Skip or insert a little so that the smallest slack stays near its aim."""
        config = self._config
        if len(self._slacks) < config.window // 2:
            return []
        ordered = sorted(self._slacks)
        low, third = ordered[0], ordered[2]
        if third < self._samples(config.margin_ms):
            count = self._samples(config.step_ms)
            self._shift_slacks(count)
            played.inserted += count * AUDIO_RATE // self.rate
            return [self._concealer.missing(count)]
        excess = low - self._samples(config.low_ms)
        if excess > self._samples(config.hysteresis_ms):
            silent = float(np.sqrt(np.mean(np.concatenate(parts) ** 2))) < config.silence
            step = self._samples(config.silent_step_ms if silent else config.step_ms)
            self._skip(min(excess, step), played)
        return []

    def _skip(self, count: int, played: _Played) -> None:
        self._cursor += count
        self._newest = max(self._newest, self._cursor)
        self._shift_slacks(-count)
        self._concealer.seam = True
        played.skipped += count * AUDIO_RATE // self.rate

    def _shift_slacks(self, by: int) -> None:
        self._slacks = deque((slack + by for slack in self._slacks), self._slacks.maxlen)

    def _samples(self, milliseconds: int) -> int:
        return ms_to_samples(milliseconds, self.rate)
