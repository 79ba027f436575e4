"""The release rule in virtual time: steady sound, lips within tolerance, bounded everything."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soul.media.clock import MediaClock
from soul.media.packets import Picture, Sound
from soul.media.playout import Playout, PlayoutConfig, Release
from soul.timebase import NANOSECONDS, samples_to_ns

MS = 1_000_000
CHUNK, LOOKAHEAD, FRAME, TICK = 2560, 520, 640, 320
CONFIG = PlayoutConfig(start_delay_ms=300, min_delay_ms=200, max_delay_ms=600)
STILL = np.zeros((2, 2, 3), np.uint8)


def voice(start: int, count: int) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Sound whose every sample says where it stands; never quiet."""
    return (0.5 + (np.arange(start, start + count) % 997) / 2000).astype(np.float32)


@dataclass
class Room:
    """A stream in virtual time: sound every 20 ms, chunks `latency` ms after they are heard."""

    latency: list[int]  # ms of each chunk; negative: never delivered
    quiet: bool = False  # nobody speaks, though there is sound
    config: PlayoutConfig = CONFIG

    def __post_init__(self) -> None:
        self.clock = MediaClock(7 * NANOSECONDS)
        self.playout = Playout(self.clock, STILL, self.config)
        self.heard = self.chunk = 0
        self.free = 0
        self.arrivals: list[tuple[int, int]] = []
        self.out: list[tuple[int, Release]] = []
        self.flushed = -(10**9)

    def run(self, until_ms: int, stall: tuple[int, int] | None = None) -> None:
        """To `until_ms`; nothing is released during `stall` (from, to)."""
        now = self.out[-1][0] if self.out else self.clock.epoch
        end = self.clock.epoch + until_ms * MS
        while now <= end:
            self._hear(now)
            asleep = stall is not None and stall[0] * MS <= now - self.clock.epoch < stall[1] * MS
            if not asleep:
                while (release := self.playout.release(now)) is not None:
                    self.out.append((now, release))
            assert self.playout.stats().queued_pictures <= 2 * 600 // 40
            assert self.playout.stats().queued_sound <= 2 * 600 * 16
            now += 5 * MS

    def _hear(self, now: int) -> None:
        while (self.heard + TICK) <= self.clock.sample_at(now):
            sound = Sound(self.heard, voice(self.heard, TICK))
            self.playout.receive_sound(sound, speaking=not self.quiet)
            self.heard += TICK
        while self.heard >= (self.chunk + 1) * CHUNK + LOOKAHEAD:
            latency = self.latency[self.chunk % len(self.latency)]
            if latency >= 0:
                self.free = max(self.free, now) + latency * MS
                self.arrivals.append((self.free, self.chunk))
            self.chunk += 1
        while self.arrivals and self.arrivals[0][0] <= now:
            start = self.arrivals.pop(0)[1] * CHUNK
            pictures = [Picture(start + n * FRAME, STILL) for n in range(4)]
            self.playout.receive_pictures(pictures, now)

    def shown(self) -> list[tuple[Release, Picture]]:
        return [(r, r.picture) for _, r in self.out if r.action == "show" and r.picture]


def check(room: Room) -> None:
    """What holds whatever happens."""
    config = room.config
    last = None
    for now, release in room.out:
        assert now >= room.clock.instant_of(release.pts)  # never early
        if last is not None:
            assert release.pts > last.pts
            assert (release.pts - last.pts) % TICK == 0
            assert release.media >= last.media
        delay = release.pts - release.media
        assert config.min_delay_ms * 16 <= delay + TICK
        assert delay <= config.max_delay_ms * 16 + TICK
        assert len(release.sound) == TICK
        last = release
    starts = [picture.start for _, picture in room.shown()]
    assert starts == sorted(set(starts))  # no picture older than the one shown
    for release, picture in room.shown():
        assert 0 <= release.media - picture.start <= 45 * 16
    pictures = [release for _, release in room.out if release.picture is not None]
    for a, b in itertools.pairwise(pictures):
        assert a.picture is not None
        assert b.picture is not None
        assert b.picture.start >= a.picture.start


def test_a_steady_machine_shows_every_picture_with_its_own_sound() -> None:
    room = Room([40])
    room.run(5_000)
    check(room)
    stats = room.playout.stats()
    assert stats.skipped == stats.held_ticks == stats.cut_ticks == stats.sound_underruns == 0
    assert stats.skew_max_samples == 0
    begun = [r for _, r in room.out if r.media >= 0]
    assert sum(r.action == "show" for r in begun) == sum(r.picture is not None for r in begun)
    for _, release in room.out:
        if release.media >= 0:
            assert (release.sound == voice(release.media, TICK)).all()


def test_the_portrait_is_seen_from_the_first_tick() -> None:
    room = Room([40])
    room.run(0)
    assert room.out[0][1].pts == 0
    assert room.out[0][1].action == "repeat"


def test_twenty_five_pictures_a_second_even_when_none_come() -> None:
    room = Room([-1])
    room.run(4_000)
    pictures = [r.pts for _, r in room.out if r.picture is not None]
    assert {b - a for a, b in itertools.pairwise(pictures[1:])} == {FRAME}


def test_one_late_chunk_repeats_then_skips_and_the_voice_goes_on() -> None:
    room = Room([40] * 10 + [150] + [40] * 40)
    room.run(5_000)
    check(room)
    stats = room.playout.stats()
    assert stats.skipped > 0
    assert stats.held_ticks == 0  # nobody is interrupted for a single chunk
    assert all((b.pts - a.pts) == TICK for (_, a), (_, b) in itertools.pairwise(room.out))


def test_a_slower_machine_makes_the_delay_grow_until_all_is_shown() -> None:
    room = Room([140])
    room.run(8_000)
    check(room)
    assert room.playout.delay > 300 * 16
    late = [r.action for _, r in room.out[-100:] if r.picture is not None]
    assert set(late) == {"show"}


def test_the_delay_shrinks_in_silence_only() -> None:
    talking, silent = Room([5]), Room([5], quiet=True)
    talking.run(30_000)
    silent.run(30_000)
    check(silent)
    assert talking.playout.delay == 300 * 16
    assert silent.playout.delay < 260 * 16
    assert silent.playout.stats().skipped <= silent.playout.stats().cut_ticks


def test_one_outlier_moves_the_delay_little() -> None:
    room = Room([40] * 10 + [250] + [40] * 90, quiet=True)
    room.run(3_500)
    check(room)
    assert 300 * 16 < room.playout.delay <= 340 * 16


def test_a_word_that_begins_soon_is_not_cut_into() -> None:
    room = Room([5], quiet=True)
    room.run(4_500)
    delay = room.playout.delay
    assert delay < 300 * 16  # it has begun to shrink
    room.quiet = False
    room.run(6_000)
    changes = [(r.pts - r.media, r.media) for _, r in room.out]
    last = max(media for d, media in changes if d > room.playout.delay)
    assert last + 100 * 16 <= 4_520 * 16


def test_the_delay_has_a_bound() -> None:
    room = Room([150] * 8 + [900])
    room.run(20_000)
    check(room)
    assert room.playout.delay <= 600 * 16


def test_after_a_time_at_the_bound_the_delay_shrinks_and_stays_small() -> None:
    bounded = PlayoutConfig(start_delay_ms=300, min_delay_ms=200, max_delay_ms=340)
    room = Room([158] * 40 + [5] * 400, quiet=True, config=bounded)
    room.run(6_500)
    held = room.playout.stats().held_ticks
    assert room.playout.delay == 340 * 16
    room.run(40_000)
    check(room)
    assert room.playout.stats().held_ticks == held
    assert room.playout.delay < 260 * 16


def test_after_a_stalled_loop_it_is_in_time_again() -> None:
    room = Room([40])
    room.run(6_000, stall=(2_000, 2_700))
    check(room)
    now, last = room.out[-1]
    assert now - room.clock.instant_of(last.pts) < 20 * MS
    assert room.playout.stats().cut_ticks > 0


def test_flush_silences_and_hides_all_that_is_queued() -> None:
    room = Room([40])
    room.run(2_000)
    flushed = room.heard
    before = len(room.out)
    room.playout.flush()
    room.run(4_000)
    check(room)
    for _, release in room.out[before:]:
        if release.media + TICK <= flushed:
            assert np.abs(release.sound[64:]).max() == 0
        if release.action == "show" and release.picture:
            assert release.picture.start >= flushed
    assert room.out[-1][1].sound.max() > 0.4


def test_sound_must_join_on() -> None:
    playout = Playout(MediaClock(0), STILL, CONFIG)
    playout.receive_sound(Sound(0, np.zeros(320, np.float32)), speaking=False)
    with pytest.raises(ValueError, match="starts at sample 640: expected 320"):
        playout.receive_sound(Sound(640, np.zeros(320, np.float32)), speaking=False)


def test_bad_delays() -> None:
    with pytest.raises(ValueError, match="expected 0 <= min <= start <= max"):
        PlayoutConfig(start_delay_ms=100, min_delay_ms=200)


@settings(max_examples=25, deadline=None)
@given(
    latency=st.lists(st.integers(-1, 300), min_size=1, max_size=12),
    quiet=st.booleans(),
    stall=st.tuples(st.integers(0, 3_000), st.integers(0, 1_500)),
    flush_ms=st.integers(100, 3_000),
)
def test_whatever_happens(
    latency: list[int], quiet: bool, stall: tuple[int, int], flush_ms: int
) -> None:
    room = Room(latency, quiet)
    room.run(flush_ms, (stall[0], sum(stall)))
    flushed, before = room.heard, len(room.out)
    room.playout.flush()
    room.run(4_500, (stall[0], sum(stall)))
    check(room)
    for _, release in room.out[before:]:
        if release.action == "show" and release.picture:
            assert release.picture.start >= flushed


def test_growth_does_not_click() -> None:
    room = Room([140])
    room.run(4_000)
    assert room.playout.stats().held_ticks > 0
    ramp = np.concatenate([r.sound for _, r in room.out if r.media > 0])
    assert np.abs(np.diff(ramp)).max() <= 0.55  # the ramp's own edge is 0.5


def test_one_tick_is_due_when_its_output_position_sounds() -> None:
    clock = MediaClock(0)
    playout = Playout(clock, STILL, CONFIG)
    assert playout.next_due() == 0
    assert playout.release(-1) is None
    assert playout.release(0) is not None
    assert playout.next_due() == samples_to_ns(TICK)
