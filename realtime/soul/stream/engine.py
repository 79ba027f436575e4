"""Decides what to compute next for one stream, and what becomes of a chunk that is late.

Sans-I/O: knows no sockets, no clock, no device and no other stream. Time comes in as `now`;
work is taken from it, pictures are given to it, events are taken from it.

The rule for late chunks
------------------------
Chunk n is ready when its last needed sample arrives; its deadline is that moment + `budget`.
Delivered before the deadline (now < deadline) it is on time, else it is late. Then, in order:

1. Repeat. Nothing is said at the deadline: a playout that has no new picture goes on showing the
   last one, so the engine makes no copies of it. Pictures that come after the deadline but within
   `grace` are still handed out, because the later pictures of the chunk can be in time; the
   playout skips those that are not. Once `grace` is over too, the chunk is given up:
   `ChunkSkipped`, and its pictures are ignored when they come at last.
2. Degrade. After `late_to_degrade` late chunks in a row each chunk takes one denoising step;
   after `on_time_to_restore` chunks on time in a row it takes the full number again. A playout
   that waits longer makes every chunk punctual, at the price of latency; so each chunk takes one
   step also from when chunks of all steps would take more than `load_to_degrade` of the time that
   they last, until they would take less than `load_to_restore`.
3. Drop. Of the ready chunks that are not yet started at most `max_backlog` wait: the oldest are
   skipped. So that a machine a little too slow does not compute only what can no longer be shown,
   a chunk that is not yet started is skipped too if its deadline has passed and a newer one
   waits, or if its grace would be over when it is done. How long it would take is the shorter of
   the last two (one hiccup proves nothing), halved at each such skip, so that it is tried again.
   The sound of skipped chunks is still heard: it lies in the past of the next window.

Every chunk is answered by exactly one event, in chunk order. At most one `Work` is outstanding.
"""

from collections import deque
from dataclasses import dataclass

from soul.stream.schedule import Schedule
from soul.stream.types import (
    ChunkFormat,
    ChunkSkipped,
    Event,
    Frames,
    FramesReady,
    Pcm,
    StageTimes,
    StreamId,
    Work,
)
from soul.timebase import NANOSECONDS, SAMPLES_PER_LATENT, Instant, samples_to_ns

LATENT: Instant = samples_to_ns(SAMPLES_PER_LATENT)
CALM = 8  # chunks over which a load is averaged


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """Nanoseconds and chunks of the late-chunk rule.

    A playout that shows each sample `delay` after its arrival shows chunk n's first picture
    (delay − chunk − lookahead) after the chunk was ready: that is the `budget` to give. Both are
    the first values, to `allow` anew whenever the playout changes its delay.
    """

    budget: Instant = LATENT
    grace: Instant = LATENT  # the later pictures' share of the chunk
    late_to_degrade: int = 2
    on_time_to_restore: int = 25  # 4 s
    max_backlog: int = 2
    load_to_degrade: float = 0.85
    load_to_restore: float = 0.75

    def __post_init__(self) -> None:
        _check_allowance(self.budget, self.grace)
        if min(self.late_to_degrade, self.on_time_to_restore, self.max_backlog) < 1:
            raise ValueError(
                f"late_to_degrade {self.late_to_degrade}, on_time_to_restore "
                f"{self.on_time_to_restore}, max_backlog {self.max_backlog}: at least 1 each"
            )
        if not 0 < self.load_to_restore <= self.load_to_degrade:
            raise ValueError(
                f"load_to_restore {self.load_to_restore}, load_to_degrade {self.load_to_degrade}: "
                "expected the first above 0 and no more than the second"
            )


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Chunks so far. A chunk that came late or never counts as late; `skipped` have no pictures."""

    ready: int
    on_time: int
    late: int
    skipped: int
    waiting: int
    degraded: bool
    hurried: int  # begun at one step where more are usual


@dataclass(slots=True)
class _Running:
    """The one `Work` that is out; `late` and `given_up` say what has been decided about it.

    At `end` its grace is over.
    """

    work: Work
    end: Instant
    started: Instant
    late: bool = False
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A chunk that is ready and not started; at `end` its grace is over."""

    chunk: int
    deadline: Instant
    end: Instant


class Engine:
    """What to compute next for one stream; the rule for late chunks is in the module's docstring.

    Sound goes in by `receive_audio`, pictures by `receive_frames`; after any call take
    `next_work`, then all of `next_event`, then arm a timer for `next_deadline`. Every call decides
    what is due by its `now`, so a caller that feeds sound steadily needs no timer. `now` never
    decreases.
    """

    def __init__(
        self,
        stream: StreamId,
        format: ChunkFormat,
        steps: int,
        config: EngineConfig | None = None,
    ) -> None:
        if steps < 1:
            raise ValueError(f"a chunk takes at least 1 denoising step, not {steps}")
        self._stream = stream
        self._format = format
        self._steps = steps
        self._config = config or EngineConfig()
        self._budget, self._grace = self._config.budget, self._config.grace
        self._schedule = Schedule(format, self._config.max_backlog)
        self._waiting: deque[_Waiting] = deque()
        self._running: _Running | None = None
        self._prompt: str | None = None  # for the next work to bring
        self._listening = False
        self._events: dict[int, Event] = {}  # by chunk, until taken
        self._next_event = 0
        self._took: deque[Instant] = deque([0, 0], maxlen=2)  # the last two chunks' time
        self._degraded = False
        self._load = 0.0  # of all steps: seconds that a chunk takes to seconds that it lasts
        self._loaded = False
        self._hurried = 0
        self._late_run = 0
        self._on_time_run = 0
        self._on_time = 0
        self._late = 0
        self._skipped = 0

    def receive_audio(self, pcm: Pcm, now: Instant) -> None:
        """Hear the next sound. ValueError if it does not start at the sample expected."""
        self._advance(now)
        first = self._schedule.ready
        self._schedule.receive(pcm)
        deadline = now + self._budget
        for chunk in range(first, self._schedule.ready):
            self._waiting.append(_Waiting(chunk, deadline, deadline + self._grace))
        while len(self._waiting) > self._config.max_backlog:
            self._drop(f"more than {self._config.max_backlog} chunks were waiting")

    def receive_frames(self, frames: Frames, now: Instant) -> None:
        """Take the pictures of the work that is out; ValueError if they answer something else."""
        self._check(frames)
        self._advance(now)
        running, self._running = self._running, None
        if running is None:
            return
        self._took.append(now - running.started)
        self._weigh(frames.times, running.work.steps)
        if running.given_up:
            return
        if not running.late:
            self._count_on_time()
        self._events[frames.chunk] = FramesReady(
            chunk=frames.chunk,
            start=frames.chunk * self._format.chunk_samples,
            pictures=frames.pictures,
            times=frames.times,
        )

    def allow(self, budget: Instant, grace: Instant) -> None:
        """The playout's delay has changed: chunks that become ready from now on have these."""
        _check_allowance(budget, grace)
        self._budget, self._grace = budget, grace

    def set_prompt(self, prompt: str) -> int:
        """The next work brings `prompt`, the newest alone if there are several.

        The first chunk that can follow it; a later one if chunks are skipped meanwhile.
        """
        self._prompt = prompt
        bringer = self._waiting[0].chunk if self._waiting else self._schedule.ready
        return bringer + 1

    def attend(self, listening: bool) -> None:
        """Whether somebody else has the word, from the next work on."""
        self._listening = listening

    def interrupt(self, now: Instant) -> None:
        """Forget all that is not shown yet: the next chunk to become ready is the next one seen.

        Waiting chunks are skipped, pictures not taken by `next_event` are replaced by skips, and
        those of the work that is out are ignored when they come. Nothing of it counts as late.
        """
        self._advance(now)
        reason = "the speaker was interrupted"
        for chunk, event in self._events.items():
            if isinstance(event, FramesReady):
                self._skip(chunk, reason)
        if self._running is not None and not self._running.given_up:
            self._running.given_up = True
            self._skip(self._running.work.chunk, reason)
        while self._waiting:
            self._skip(self._waiting.popleft().chunk, reason)

    def next_work(self, now: Instant) -> Work | None:
        """The chunk to compute now, or None while one is out or no sound is ready."""
        self._advance(now)
        if self._running is not None:
            return None
        self._drop_hopeless(now)
        if not self._waiting:
            return None
        chosen = self._waiting.popleft()
        steps = 1 if self._degraded or self._loaded else self._steps
        self._hurried += steps < self._steps
        work = Work(
            stream=self._stream,
            chunk=chosen.chunk,
            pcm=self._schedule.window(chosen.chunk),
            steps=steps,
            deadline=chosen.deadline,
            prompt=self._prompt,
            listening=self._listening,
        )
        self._prompt = None
        self._running = _Running(work, chosen.end, started=now)
        self._advance(now)  # a chunk that is started after its deadline is late from the start
        return work

    def next_deadline(self) -> Instant | None:
        """When `handle_deadline` next has something to decide, or None."""
        moments = []
        if self._running is not None and not self._running.given_up:
            running = self._running
            moments.append(running.end if running.late else running.work.deadline)
        if self._waiting:
            moments.append(self._waiting[0].end)
        return min(moments, default=None)

    def handle_deadline(self, now: Instant) -> None:
        """Decide about what is late at `now`; harmless when called early or late."""
        self._advance(now)

    def next_event(self) -> Event | None:
        """The next chunk's answer, in chunk order, or None while it is undecided."""
        event = self._events.pop(self._next_event, None)
        if event is not None:
            self._next_event += 1
        return event

    def stats(self) -> EngineStats:
        """Counters since the start."""
        return EngineStats(
            ready=self._schedule.ready,
            on_time=self._on_time,
            late=self._late,
            skipped=self._skipped,
            waiting=len(self._waiting),
            degraded=self._degraded or self._loaded,
            hurried=self._hurried,
        )

    def _advance(self, now: Instant) -> None:
        """Bring every decision that depends on time up to `now`, so that no timer can be missed."""
        running = self._running
        if running is not None and not running.given_up:
            if not running.late and now >= running.work.deadline:
                running.late = True
                self._count_late()
            if now >= running.end:
                running.given_up = True
                self._skip(running.work.chunk, "its pictures did not come in time")
        while self._waiting and now >= self._waiting[0].end:
            self._drop("the worker was not free in time")

    def _drop_hopeless(self, now: Instant) -> None:
        """Skip what the worker would compute in vain if it began now."""
        while self._waiting:
            oldest = self._waiting[0]
            expected = min(*self._took, self._budget + self._grace)
            if len(self._waiting) > 1 and now >= oldest.deadline:
                self._drop("its time had come before the worker was free")
            elif now + expected >= oldest.end:
                self._took.append(expected // 2)
                self._drop("it would have been done too late")
            else:
                return

    def _drop(self, reason: str) -> None:
        self._count_late()
        self._skip(self._waiting.popleft().chunk, reason)

    def _skip(self, chunk: int, reason: str) -> None:
        self._skipped += 1
        self._events[chunk] = ChunkSkipped(chunk, f"chunk {chunk} was skipped: {reason}")

    def _weigh(self, times: StageTimes, steps: int) -> None:
        """Count what a chunk of all steps would have taken, from one that took `steps`."""
        took = times.total + times.denoise * (self._steps - steps) / steps
        load = took * NANOSECONDS / samples_to_ns(self._format.chunk_samples)
        self._load += (load - self._load) / CALM
        bound = self._config.load_to_restore if self._loaded else self._config.load_to_degrade
        self._loaded = self._load > bound

    def _count_late(self) -> None:
        self._late += 1
        self._late_run += 1
        self._on_time_run = 0
        if self._late_run >= self._config.late_to_degrade:
            self._degraded = True

    def _count_on_time(self) -> None:
        self._on_time += 1
        self._on_time_run += 1
        self._late_run = 0
        if self._on_time_run >= self._config.on_time_to_restore:
            self._degraded = False

    def _check(self, frames: Frames) -> None:
        if self._running is None or (frames.stream, frames.chunk) != (
            self._stream,
            self._running.work.chunk,
        ):
            expected = "none" if self._running is None else f"chunk {self._running.work.chunk}"
            raise ValueError(
                f"pictures of chunk {frames.chunk} of stream {frames.stream!r} came, "
                f"but {expected} of stream {self._stream!r} was expected"
            )
        form = self._format
        shape = (form.frames_per_chunk, form.height, form.width, 3)
        if frames.pictures.shape != shape:
            raise ValueError(f"pictures have shape {frames.pictures.shape}: {shape} was expected")


def _check_allowance(budget: Instant, grace: Instant) -> None:
    if budget <= 0 or grace < 0:
        raise ValueError(
            f"budget {budget} ns and grace {grace} ns: "
            "a positive budget and a grace of at least 0 were expected"
        )
