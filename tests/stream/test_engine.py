"""The engine in virtual time: a call is played against a worker of any speed, with no clock."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soul.stream.engine import Engine, EngineConfig
from soul.stream.types import (
    ChunkFormat,
    ChunkSkipped,
    Event,
    Frames,
    FramesReady,
    Pcm,
    StageTimes,
    Work,
)
from soul.timebase import samples_to_ns

FORM = ChunkFormat(
    chunk_samples=2560,
    past_samples=5320,
    lookahead_samples=520,
    frames_per_chunk=4,
    height=2,
    width=2,
)
PACKET = 320
MS = 1_000_000
CHUNK = 160 * MS
CONFIG = EngineConfig(budget=140 * MS, grace=160 * MS, on_time_to_restore=5)
FIRST_READY = 200 * MS  # 3,080 samples in packets of 20 ms: the tenth packet ends at 200 ms


def pictures() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.zeros((4, 2, 2, 3), np.uint8)


UNTIMED = StageTimes()


def answer(work: Work, times: StageTimes = UNTIMED) -> Frames:
    return Frames(work.stream, work.chunk, pictures(), times)


@dataclass
class Call:
    """A microphone in packets of 20 ms and a worker that takes `speed(work)` nanoseconds."""

    speed: Callable[[Work], int]
    config: EngineConfig = CONFIG
    times: Callable[[Work], StageTimes] = lambda work: UNTIMED
    now: int = 0
    heard: int = 0
    works: list[tuple[int, Work]] = field(default_factory=list)
    events: list[tuple[int, Event]] = field(default_factory=list)
    done: tuple[int, Work] | None = None

    def __post_init__(self) -> None:
        self.engine = Engine("s", FORM, steps=2, config=self.config)

    def run(self, until: int) -> None:
        """Let time pass to `until`: always the earliest of packet, worker and deadline."""
        while (moment := self._next_moment()) <= until:
            self.now = max(self.now, moment)
            if self.done is not None and self.done[0] <= self.now:
                work, self.done = self.done[1], None
                self.engine.receive_frames(answer(work, self.times(work)), self.now)
            elif samples_to_ns(self.heard + PACKET) <= self.now:
                pcm = Pcm(self.heard, np.zeros(PACKET, np.float32))
                self.heard = pcm.end
                self.engine.receive_audio(pcm, self.now)
            else:
                self.engine.handle_deadline(self.now)
            self.settle()
        self.now = until

    def settle(self) -> None:
        while (event := self.engine.next_event()) is not None:
            self.events.append((self.now, event))
        work = self.engine.next_work(self.now)
        if work is not None:
            assert self.done is None, "two works were out at once"
            self.works.append((self.now, work))
            self.done = (self.now + self.speed(work), work)
            while (event := self.engine.next_event()) is not None:
                self.events.append((self.now, event))

    def _next_moment(self) -> int:
        moments = [samples_to_ns(self.heard + PACKET)]
        if self.done is not None:
            moments.append(self.done[0])
        if (deadline := self.engine.next_deadline()) is not None:
            moments.append(deadline)
        return min(moments)

    @property
    def shown(self) -> list[int]:
        return [event.chunk for _, event in self.events if isinstance(event, FramesReady)]

    @property
    def skipped(self) -> list[int]:
        return [event.chunk for _, event in self.events if isinstance(event, ChunkSkipped)]

    @property
    def answered(self) -> list[int]:
        return [event.chunk for _, event in self.events]


def ready_at(chunk: int) -> int:
    """When the packet that completes `chunk` arrives."""
    return -(-samples_to_ns((chunk + 1) * 2560 + 520) // (20 * MS)) * 20 * MS


def test_a_fast_worker_gives_every_chunk_in_order_and_at_full_steps() -> None:
    call = Call(speed=lambda work: 100 * MS)
    call.run(ready_at(49) + 100 * MS)
    assert call.shown == list(range(50))
    assert all(work.steps == 2 for _, work in call.works)
    starts = [event.start for _, event in call.events if isinstance(event, FramesReady)]
    assert starts == [2560 * n for n in range(50)]
    stats = call.engine.stats()
    assert (stats.on_time, stats.late, stats.skipped, stats.degraded) == (50, 0, 0, False)


def test_the_deadline_counts_from_the_last_needed_sample() -> None:
    call = Call(speed=lambda work: 10 * MS)
    call.run(FIRST_READY)
    at, work = call.works[0]
    assert (at, work.deadline) == (FIRST_READY, FIRST_READY + 140 * MS)
    assert call.engine.next_deadline() == work.deadline


def test_a_late_chunk_is_still_handed_out_within_its_grace() -> None:
    call = Call(speed=lambda work: 150 * MS if work.chunk == 3 else 50 * MS)
    call.run(CHUNK * 12)
    assert call.shown == call.answered
    assert call.engine.stats().late == 1
    assert not call.engine.stats().degraded


def test_no_event_is_made_at_the_deadline_itself() -> None:
    call = Call(speed=lambda work: 10_000 * MS)
    call.run(FIRST_READY + 140 * MS)
    assert call.engine.stats().late == 1
    assert call.events == []


def test_a_chunk_whose_grace_is_over_is_skipped_and_its_frames_are_ignored() -> None:
    call = Call(speed=lambda work: 400 * MS if work.chunk == 0 else 50 * MS)
    call.run(FIRST_READY + 300 * MS)
    assert call.skipped == [0]
    call.run(FIRST_READY + CHUNK * 10)
    assert call.answered == list(range(len(call.answered)))
    assert 0 not in call.shown


def test_exactly_at_the_deadline_is_late_whether_or_not_the_timer_was_served() -> None:
    for served in (False, True):
        engine = Engine("s", FORM, 2, CONFIG)
        engine.receive_audio(Pcm(0, np.zeros(3080, np.float32)), now=0)
        work = engine.next_work(0)
        assert work is not None
        if served:
            engine.handle_deadline(work.deadline)
        engine.receive_frames(answer(work), work.deadline)
        assert engine.stats().late == 1
        assert isinstance(engine.next_event(), FramesReady)


def test_two_late_chunks_in_a_row_degrade_and_chunks_on_time_restore() -> None:
    slow = {4, 5}
    call = Call(speed=lambda work: 145 * MS if work.chunk in slow else 60 * MS)
    call.run(CHUNK * 20)
    steps = {work.chunk: work.steps for _, work in call.works}
    assert [n for n in sorted(steps) if steps[n] == 1] == [6, 7, 8, 9, 10]
    assert call.shown == call.answered


def test_one_late_chunk_alone_does_not_degrade() -> None:
    call = Call(speed=lambda work: 145 * MS if work.chunk % 2 else 60 * MS)
    call.run(CHUNK * 20)
    assert all(work.steps == 2 for _, work in call.works)


def stages(decode: float) -> Callable[[Work], StageTimes]:
    """Chunks of 45 ms of denoising at two steps, and of `decode` seconds for all else."""
    return lambda work: StageTimes(denoise=0.0225 * work.steps, decode=decode)


def test_a_worker_with_no_time_to_spare_takes_one_step_before_a_chunk_is_late() -> None:
    call = Call(speed=lambda work: 100 * MS, times=stages(0.1))  # 145 of 160 ms, with two steps
    call.run(CHUNK * 60)
    steps = [work.steps for _, work in call.works]
    first = steps.index(1)
    assert 8 <= first <= 30
    assert set(steps[first:]) == {1}, "one step is not taken for a worker that has time again"
    assert call.engine.stats().late == 0
    assert call.engine.stats().degraded
    assert call.engine.stats().hurried == len(steps) - first
    call.times = stages(0.05)  # 95 ms
    call.run(CHUNK * 90)
    assert call.works[-1][1].steps == 2
    assert not call.engine.stats().degraded


def test_between_its_two_bounds_a_load_changes_nothing() -> None:
    call = Call(speed=lambda work: 100 * MS, times=stages(0.084))  # 129 ms: 0.81
    call.run(CHUNK * 60)
    assert {work.steps for _, work in call.works} == {2}
    call.times = stages(0.2)
    call.run(CHUNK * 62)
    assert call.works[-1][1].steps == 1
    call.times = stages(0.084)
    call.run(CHUNK * 120)
    assert call.works[-1][1].steps == 1
    for wrong in ((0.0, 0.5), (0.9, 0.8)):
        with pytest.raises(ValueError, match=f"load_to_restore {wrong[0]}"):
            EngineConfig(load_to_restore=wrong[0], load_to_degrade=wrong[1])


def test_a_worker_that_needs_fewer_steps_recovers_by_itself() -> None:
    call = Call(speed=lambda work: 90 * MS * work.steps)
    call.run(CHUNK * 60)
    assert len(call.shown) > 0.8 * len(call.answered)
    assert {work.steps for _, work in call.works} == {1, 2}


def test_a_worker_a_little_too_slow_drops_chunks_but_never_freezes() -> None:
    call = Call(speed=lambda work: 200 * MS)
    call.run(CHUNK * 100)
    assert call.answered == list(range(len(call.answered)))
    assert len(call.shown) > 60
    shown_at = [at for at, event in call.events if isinstance(event, FramesReady)]
    assert max(np.diff(shown_at)) <= 3 * CHUNK
    assert call.engine.stats().degraded


def test_a_worker_that_never_answers_leaves_nothing_behind() -> None:
    call = Call(speed=lambda work: 10**15)
    call.run(CHUNK * 200)
    assert len(call.works) == 1
    assert call.shown == []
    assert call.engine.stats().ready - len(call.skipped) <= CONFIG.max_backlog + 1
    assert call.engine.stats().waiting <= CONFIG.max_backlog


def test_a_longer_budget_holds_from_the_next_chunk_on() -> None:
    call = Call(speed=lambda work: 150 * MS)
    call.run(CHUNK * 10)
    assert call.engine.stats().degraded
    late = call.engine.stats().late
    call.engine.allow(200 * MS, 100 * MS)
    call.run(CHUNK * 30)
    assert call.engine.stats().late <= late + 1
    assert not call.engine.stats().degraded
    with pytest.raises(ValueError, match="budget -1 ns"):
        call.engine.allow(-1, 0)
    with pytest.raises(ValueError, match="grace -1 ns"):
        call.engine.allow(1, -1)


def test_a_shorter_grace_holds_from_the_next_chunk_on() -> None:
    engine = Engine("s", FORM, 2, CONFIG)
    engine.receive_audio(Pcm(0, np.zeros(3080, np.float32)), now=0)
    assert engine.next_work(0) is not None
    engine.allow(260 * MS, 40 * MS)
    engine.handle_deadline(140 * MS)
    assert engine.next_deadline() == 300 * MS, "what was promised to the first chunk holds"
    engine.handle_deadline(300 * MS)
    assert isinstance(engine.next_event(), ChunkSkipped)


def test_a_grown_budget_with_its_shorter_grace_gives_up_no_later() -> None:
    engine = Engine("s", FORM, 2, CONFIG)
    engine.allow(260 * MS, 40 * MS)
    engine.receive_audio(Pcm(0, np.zeros(3080, np.float32)), now=0)
    assert engine.next_work(0) is not None
    assert engine.next_deadline() == 260 * MS
    engine.handle_deadline(260 * MS)
    assert engine.next_deadline() == 300 * MS
    assert engine.next_event() is None
    engine.handle_deadline(300 * MS)
    assert isinstance(engine.next_event(), ChunkSkipped)


def test_a_burst_skips_the_oldest_and_their_sound_is_still_heard() -> None:
    engine = Engine("s", FORM, 2, CONFIG)
    sound = np.arange(1, 2560 * 6 + 521, dtype=np.float32)
    engine.receive_audio(Pcm(0, sound), now=0)
    events = [engine.next_event() for _ in range(5)]
    assert [event.chunk for event in events if isinstance(event, ChunkSkipped)] == [0, 1, 2, 3]
    assert events[4] is None
    work = engine.next_work(0)
    assert work is not None
    assert work.chunk == 4
    np.testing.assert_array_equal(work.pcm, sound[4 * 2560 - 5320 : 5 * 2560 + 520])


def test_an_interruption_forgets_what_waits_and_what_is_out() -> None:
    engine = Engine("s", FORM, 2, CONFIG)
    engine.receive_audio(Pcm(0, np.zeros(2560 * 3 + 520, np.float32)), now=0)
    first = engine.next_event()  # chunk 0 of 3 did not fit the backlog
    assert isinstance(first, ChunkSkipped)
    work = engine.next_work(0)
    assert work is not None
    assert work.chunk == 1
    engine.interrupt(1)
    after = [engine.next_event(), engine.next_event(), engine.next_event()]
    assert [event.chunk for event in after if isinstance(event, ChunkSkipped)] == [1, 2]
    assert after[2] is None
    assert engine.next_work(2) is None, "the worker is still busy"
    engine.receive_frames(answer(work), 3)
    assert engine.next_event() is None, "late results are ignored"
    engine.receive_audio(Pcm(2560 * 3 + 520, np.zeros(2560, np.float32)), now=4)
    following = engine.next_work(4)
    assert following is not None
    assert following.chunk == 3
    assert engine.stats().late == 1, "an interruption is nobody's lateness"


def test_an_interruption_takes_back_pictures_that_were_not_taken() -> None:
    engine = Engine("s", FORM, 2, CONFIG)
    engine.receive_audio(Pcm(0, np.zeros(3080, np.float32)), now=0)
    work = engine.next_work(0)
    assert work is not None
    engine.receive_frames(answer(work), 1)
    engine.interrupt(2)
    assert isinstance(engine.next_event(), ChunkSkipped)
    assert engine.next_event() is None


def test_pictures_follow_within_one_chunk_of_an_interruption() -> None:
    call = Call(speed=lambda work: 60 * MS)
    call.run(CHUNK * 10 + 230 * MS)
    call.engine.interrupt(call.now)
    call.settle()
    count = len(call.events)
    call.run(call.now + CHUNK + 60 * MS)
    later = [event for _, event in call.events[count:]]
    assert any(isinstance(event, FramesReady) for event in later)


def test_ten_thousand_chunks_leave_the_engine_as_small_as_ten() -> None:
    rng = np.random.default_rng(7)
    call = Call(speed=lambda work: int(rng.integers(40, 220)) * MS)
    for n in range(1, 101):
        call.run(CHUNK * 100 * n)
        assert call.engine.stats().waiting <= CONFIG.max_backlog
        assert call.answered == sorted(call.answered)
        call.events = call.events[-1:]
        call.works.clear()
    assert call.engine.stats().ready >= 9_998
    stats = call.engine.stats()
    assert stats.on_time + stats.late >= stats.ready - CONFIG.max_backlog - 1


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 500), min_size=30, max_size=30),
    st.lists(st.integers(0, 5000), max_size=4),
)
def test_every_chunk_is_answered_once_and_in_order(
    speeds: list[int], interruptions: list[int]
) -> None:
    call = Call(speed=lambda work: speeds[work.chunk % 30] * MS)
    for moment in sorted(interruptions):
        call.run(moment * MS)
        call.engine.interrupt(call.now)
        call.settle()
    call.run(max([6000, *interruptions]) * MS)
    assert call.answered == list(range(len(call.answered)))
    assert call.engine.stats().ready - len(call.answered) <= CONFIG.max_backlog + 1


def test_pictures_that_answer_nothing_are_refused() -> None:
    engine = Engine("s", FORM, 2, CONFIG)
    with pytest.raises(ValueError, match="but none of stream 's' was expected"):
        engine.receive_frames(Frames("s", 0, pictures()), 0)
    engine.receive_audio(Pcm(0, np.zeros(3080, np.float32)), now=0)
    assert engine.next_work(0) is not None
    with pytest.raises(ValueError, match="chunk 1 of stream 's' came, but chunk 0"):
        engine.receive_frames(Frames("s", 1, pictures()), 0)
    with pytest.raises(ValueError, match="stream 'other' came"):
        engine.receive_frames(Frames("other", 0, pictures()), 0)
    with pytest.raises(ValueError, match=r"shape \(1, 2, 2, 3\): \(4, 2, 2, 3\)"):
        engine.receive_frames(Frames("s", 0, pictures()[:1]), 0)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="budget 0 ns"):
        EngineConfig(budget=0)
    with pytest.raises(ValueError, match="max_backlog 0"):
        EngineConfig(max_backlog=0)
    with pytest.raises(ValueError, match="not 0"):
        Engine("s", FORM, steps=0)


def test_a_prompt_is_brought_once_by_the_next_work() -> None:
    call = Call(speed=lambda work: 100 * MS)
    call.run(ready_at(3) + 50 * MS)
    assert call.engine.set_prompt("glad") == 5
    call.run(ready_at(8))
    assert [work.prompt for _, work in call.works] == [None] * 4 + ["glad"] + [None] * 4


def test_of_many_prompts_the_newest_alone_is_brought() -> None:
    call = Call(speed=lambda work: 100 * MS)
    for n in range(1000):
        assert call.engine.set_prompt(f"prompt {n}") == 1
    call.run(ready_at(2))
    assert [work.prompt for _, work in call.works] == ["prompt 999", None, None]


def test_a_chunk_that_waits_brings_it() -> None:
    call = Call(speed=lambda work: 250 * MS)
    call.run(ready_at(1))
    assert [work.chunk for _, work in call.works] == [0]
    assert call.engine.set_prompt("glad") == 2
    call.run(ready_at(3))
    assert [work.prompt for _, work in call.works][:2] == [None, "glad"]


def test_a_prompt_outlives_the_chunks_that_are_skipped() -> None:
    call = Call(speed=lambda work: 250 * MS)
    call.run(ready_at(1))
    call.engine.set_prompt("glad")
    call.engine.interrupt(call.now)
    call.run(ready_at(4))
    assert [work.prompt for _, work in call.works if work.prompt] == ["glad"]


def test_works_tell_whether_somebody_else_has_the_word() -> None:
    call = Call(speed=lambda work: 100 * MS)
    call.run(ready_at(2) + 50 * MS)
    call.engine.attend(True)
    call.run(ready_at(5) + 50 * MS)
    call.engine.attend(False)
    call.run(ready_at(6) + 50 * MS)
    told = [work.listening for _, work in call.works]
    assert told == [False] * 3 + [True] * 3 + [False]
