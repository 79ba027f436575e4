"""What to show and what to let sound at each tick: a pure decision, without clock or I/O.

The rule. Output runs in ticks of 20 ms. Output position = media position + *delay*; a tick is due
when the media clock reaches its output position, and lets out 20 ms of sound from the media
position. When the media position enters a new 40 ms frame, a picture is decided:

1. Show the newest picture that is not ahead of the sound and at most `max_lag_ms` behind it
   (ITU-R BT.1359-1: sound early by more than 45 ms is noticed). A picture never runs ahead, so
   sound is never late against lips at all. Older pictures are skipped, never shown.
2. Is there none, the last picture is repeated while the sound goes on.
3. The delay grows, up to `max_delay_ms`, by ticks in which the last sound fades out: at once if
   chunks are late again and again, after a single late one only where it is quiet anyway.
4. The delay shrinks, down to `min_delay_ms`, by skipping a quiet tick, if every picture of the
   last `window` chunks came more than a tick and the margin early.
5. If ticks themselves are late by more than `catch_up_ms` (a stalled event loop), media is skipped
   until they are not.
6. After `flush` the sound that is queued is silent and its pictures are never shown.

Both tracks take their timestamps from the output position, so whatever the delay does, sound and
the picture it drove leave together.
"""

from collections import deque
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from soul.media.clock import MediaClock, ms_to_samples
from soul.media.conceal import Concealer
from soul.media.packets import Image, Picture, Samples, Sound
from soul.timebase import (
    AUDIO_RATE,
    SAMPLES_PER_FRAME,
    SAMPLES_PER_PACKET,
    Instant,
    samples_to_ns,
)

_SINGLE_GROWTH = 2 * SAMPLES_PER_PACKET  # for one late chunk alone

Action = Literal["show", "repeat", "none"]


@dataclass(frozen=True, slots=True)
class PlayoutConfig:
    """Milliseconds; `start_delay_ms` = chunk + lookahead + expected computing time + margin."""

    start_delay_ms: int = 320
    min_delay_ms: int = 200
    max_delay_ms: int = 800
    margin_ms: int = 15
    max_lag_ms: int = 45
    catch_up_ms: int = 100
    window: int = 25  # chunks
    late_to_grow: int = 3  # late chunks in the window that make growing urgent
    lookahead_ms: int = 100  # quiet is where nobody speaks for so long: detectors hear late

    def __post_init__(self) -> None:
        if not 0 <= self.min_delay_ms <= self.start_delay_ms <= self.max_delay_ms:
            raise ValueError(
                f"delays {self.min_delay_ms}, {self.start_delay_ms}, {self.max_delay_ms} ms: "
                "expected 0 <= min <= start <= max"
            )


@dataclass(frozen=True, slots=True)
class Release:
    """What leaves at one tick. `pts` is the output position of both, in samples at 16 kHz."""

    pts: int
    media: int  # media sample at which `sound` starts
    sound: Samples  # [320]
    action: Action
    picture: Picture | None  # set with `show` and `repeat`


@dataclass(frozen=True, slots=True)
class PlayoutStats:
    """Counters since the start and sizes now."""

    shown: int = 0
    repeated: int = 0
    skipped: int = 0  # pictures never shown
    skew_max_samples: int = 0  # largest lag of a shown picture behind its sound
    held_ticks: int = 0  # growth of the delay
    cut_ticks: int = 0  # shrinking of the delay, and catching up
    sound_underruns: int = 0
    delay_samples: int = 0
    queued_pictures: int = 0
    queued_sound: int = 0


class Playout:
    """Sound and the pictures it drove in; at each tick what leaves. Queues are bounded."""

    def __init__(
        self, clock: MediaClock, still: Image, config: PlayoutConfig | None = None
    ) -> None:
        """`still` [height, width, 3] is seen until the first picture is due."""
        self._clock = clock
        self._config = config or PlayoutConfig()
        self._delay = _whole_ticks(self._config.start_delay_ms)
        self._media = -self._delay
        self._frame = self._media // SAMPLES_PER_FRAME - 1
        self._sound = _SoundQueue(ms_to_samples(self._config.max_delay_ms) * 2)
        self._pictures: deque[Picture] = deque()
        self._max_pictures = 2 * ms_to_samples(self._config.max_delay_ms) // SAMPLES_PER_FRAME
        self._last = Picture(self._media - SAMPLES_PER_FRAME, still)
        self._flushed = self._media
        self._slacks: deque[Instant] = deque(maxlen=self._config.window)
        self._grow = 0  # samples by which the delay should grow
        self._urgent = False  # even while somebody speaks
        self._concealer = Concealer(AUDIO_RATE)  # smooths every seam of the sound
        self._since_change = 0
        self._stats = PlayoutStats()

    @property
    def delay(self) -> int:
        """Samples between a sound's place on the media clock and its leaving."""
        return self._delay

    def stats(self) -> PlayoutStats:
        return replace(
            self._stats,
            delay_samples=self._delay,
            queued_pictures=len(self._pictures),
            queued_sound=len(self._sound),
        )

    def receive_sound(self, sound: Sound, speaking: bool) -> None:
        """Sound that joins on what was given before; ValueError if it does not.

        `speaking`: whether a voice detector hears somebody at its end.
        """
        self._sound.append(sound, speaking)

    def receive_pictures(self, pictures: list[Picture], now: Instant) -> None:
        """The pictures of one chunk, in order."""
        if not pictures:
            return
        self._measure(self._clock.instant_of(pictures[0].start + self._delay) - now)
        newest = self._pictures[-1].start if self._pictures else self._last.start
        for picture in pictures:
            if picture.start > newest and picture.start >= self._flushed:
                self._pictures.append(picture)
            else:
                self._count(skipped=1)
        while len(self._pictures) > self._max_pictures:
            self._pictures.popleft()
            self._count(skipped=1)

    def next_due(self) -> Instant:
        """When `release` is to be called next."""
        return self._clock.instant_of(self._media + self._delay)

    def release(self, now: Instant) -> Release | None:
        """The tick that is due at `now`, or None if none is."""
        if now < self.next_due():
            return None
        self._catch_up(now)
        sound = self._sound.take(self._media, SAMPLES_PER_PACKET)
        missing = self._media >= 0 and sound is None
        ahead = SAMPLES_PER_PACKET + ms_to_samples(self._config.lookahead_ms)
        quiet = self._sound.quiet(self._media, self._media + ahead)
        self._since_change += 1
        if self._wants_to_grow(quiet):
            return self._hold()
        if quiet and self._wants_to_shrink():
            return self._cut()
        self._count(sound_underruns=int(missing))
        return self._advance(sound)

    def flush(self) -> None:
        """Interrupted: nothing that is queued is heard or seen any more."""
        self._flushed = max(self._flushed, self._sound.silence())
        self._count(skipped=len(self._pictures))
        self._pictures.clear()
        self._concealer.seam = True

    def _advance(self, sound: Samples | None) -> Release:
        pts, media = self._media + self._delay, self._media
        silence = np.zeros(SAMPLES_PER_PACKET, np.float32)
        samples = self._concealer.real(silence if sound is None else sound)
        action, picture = self._decide(media)
        self._media += SAMPLES_PER_PACKET
        self._sound.forget(self._media)
        return Release(pts, media, samples, action, picture)

    def _decide(self, media: int) -> tuple[Action, Picture | None]:
        frame = media // SAMPLES_PER_FRAME
        if frame == self._frame:
            return "none", None
        self._frame = frame
        chosen: Picture | None = None
        oldest = media - ms_to_samples(self._config.max_lag_ms)
        while self._pictures and self._pictures[0].start <= media:
            candidate = self._pictures.popleft()
            self._count(skipped=int(chosen is not None or candidate.start < oldest))
            chosen = candidate if candidate.start >= oldest else None
        if chosen is None:
            self._count(repeated=1)
            return "repeat", self._last
        self._last = chosen
        self._count(shown=1)
        skew = max(self._stats.skew_max_samples, media - chosen.start)
        self._stats = replace(self._stats, skew_max_samples=skew)
        return "show", chosen

    def _hold(self) -> Release:
        """A tick without new sound: the delay grows by it."""
        pts = self._media + self._delay
        self._shift(SAMPLES_PER_PACKET)
        self._grow -= SAMPLES_PER_PACKET
        self._count(held_ticks=1)
        repeat = self._stats.held_ticks % 2 == 0
        sound = self._concealer.missing(SAMPLES_PER_PACKET)
        picture = self._last if repeat else None
        self._count(repeated=int(repeat))
        return Release(pts, self._media, sound, "repeat" if repeat else "none", picture)

    def _cut(self) -> Release:
        """Skip the quiet tick that is due; the one after it takes its place."""
        self._media += SAMPLES_PER_PACKET
        self._shift(-SAMPLES_PER_PACKET)
        self._count(cut_ticks=1)
        self._concealer.seam = True
        return self._advance(self._sound.take(self._media, SAMPLES_PER_PACKET))

    def _catch_up(self, now: Instant) -> None:
        late = now - self.next_due()
        if late <= self._config.catch_up_ms * 1_000_000:
            return
        ticks = late // samples_to_ns(SAMPLES_PER_PACKET)
        self._media += ticks * SAMPLES_PER_PACKET
        self._concealer.seam = True
        self._count(cut_ticks=ticks)

    def _wants_to_grow(self, quiet: bool) -> bool:
        if self._grow <= 0:
            self._urgent = False
        return self._grow > 0 and (quiet or self._urgent)

    def _wants_to_shrink(self) -> bool:
        step = samples_to_ns(SAMPLES_PER_PACKET)
        return (
            self._media >= 0
            and len(self._slacks) == self._config.window
            and min(self._slacks) > step + self._config.margin_ms * 1_000_000
            and self._delay - SAMPLES_PER_PACKET >= _whole_ticks(self._config.min_delay_ms)
            and self._since_change >= self._config.window
        )

    def _measure(self, slack: Instant) -> None:
        """How early (or, negative, how late) a chunk came, and by how much to grow for it.

        The delay follows what has happened `late_to_grow` times; one outlier moves it little.
        """
        self._slacks.append(slack)
        usual = sorted(self._slacks)[: self._config.late_to_grow][-1]
        if usual < 0 and len(self._slacks) >= self._config.late_to_grow:
            self._urgent = True
            self._grow = max(self._grow, self._ticks_for(usual))
        elif slack < 0:
            self._grow = max(self._grow, min(self._ticks_for(slack), _SINGLE_GROWTH))
        # A wish beyond the longest delay would outlive its reason and undo each later shrinking.
        longest = _whole_ticks(self._config.max_delay_ms)
        self._grow = min(self._grow, longest - self._delay)

    def _ticks_for(self, slack: Instant) -> int:
        """Samples of the whole ticks that turn `slack` into the margin."""
        needed = self._config.margin_ms * 1_000_000 - slack
        return -(-needed // samples_to_ns(SAMPLES_PER_PACKET)) * SAMPLES_PER_PACKET

    def _shift(self, by: int) -> None:
        self._delay += by
        self._since_change = 0
        slacks = (slack + samples_to_ns(by) for slack in self._slacks)
        self._slacks = deque(slacks, self._config.window)

    def _count(
        self,
        shown: int = 0,
        repeated: int = 0,
        skipped: int = 0,
        held_ticks: int = 0,
        cut_ticks: int = 0,
        sound_underruns: int = 0,
    ) -> None:
        stats = self._stats
        self._stats = replace(
            stats,
            shown=stats.shown + shown,
            repeated=stats.repeated + repeated,
            skipped=stats.skipped + skipped,
            held_ticks=stats.held_ticks + held_ticks,
            cut_ticks=stats.cut_ticks + cut_ticks,
            sound_underruns=stats.sound_underruns + sound_underruns,
        )


class _SoundQueue:
    """Contiguous sound that waits to be let out; the oldest goes when there is too much."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._start = 0
        self._samples: Samples = np.zeros(0, np.float32)
        self._spoken: deque[tuple[int, int]] = deque()  # spans in which somebody speaks

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def end(self) -> int:
        return self._start + len(self._samples)

    def append(self, sound: Sound, speaking: bool) -> None:
        if sound.start != self.end:
            raise ValueError(f"sound starts at sample {sound.start}: expected {self.end}")
        self._samples = np.concatenate([self._samples, sound.samples])
        if speaking and self._spoken and self._spoken[-1][1] == sound.start:
            self._spoken[-1] = (self._spoken[-1][0], sound.end)
        elif speaking:
            self._spoken.append((sound.start, sound.end))
        self.forget(self.end - self._limit)

    def take(self, start: int, count: int) -> Samples | None:
        """[count] samples from `start`, or None unless all of them are here."""
        if start < self._start or start + count > self.end:
            return None
        return self._samples[start - self._start : start - self._start + count]

    def quiet(self, start: int, end: int) -> bool:
        """Whether nobody speaks from `start` to `end`, as far as is known."""
        return all(b <= start or a >= end for a, b in self._spoken)

    def forget(self, before: int) -> None:
        count = min(max(before - self._start, 0), len(self._samples))
        self._samples = self._samples[count:]
        self._start += count
        while self._spoken and self._spoken[0][1] <= self._start:
            self._spoken.popleft()

    def silence(self) -> int:
        """Silence all that is here; where it ends."""
        self._samples = np.zeros_like(self._samples)
        self._spoken.clear()
        return self.end


def _whole_ticks(milliseconds: int) -> int:
    """Samples of the fewest whole ticks that last at least `milliseconds`."""
    return -(-ms_to_samples(milliseconds) // SAMPLES_PER_PACKET) * SAMPLES_PER_PACKET
