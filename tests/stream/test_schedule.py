"""The sound's way into chunks: exact windows, whatever the pieces."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soul.stream.schedule import Schedule
from soul.stream.types import ChunkFormat, Pcm, Samples

SMALL = ChunkFormat(
    chunk_samples=8, past_samples=13, lookahead_samples=3, frames_per_chunk=4, height=4, width=4
)
MINI = ChunkFormat(
    chunk_samples=2560,
    past_samples=5320,
    lookahead_samples=520,
    frames_per_chunk=4,
    height=256,
    width=256,
)


def sound(length: int) -> Samples:
    """Every sample is its own index + 1, so that none can be mistaken for silence."""
    return np.arange(1, length + 1, dtype=np.float32)


def expected_window(form: ChunkFormat, chunk: int) -> Samples:
    first = chunk * form.chunk_samples - form.past_samples
    return np.maximum(np.arange(first, first + form.window_samples) + 1, 0).astype(np.float32)


def windows(form: ChunkFormat, pieces: list[Samples]) -> dict[int, Samples]:
    schedule = Schedule(form, backlog=1)
    heard: dict[int, Samples] = {}
    for piece in pieces:
        # Fed no faster than a chunk at a time, as a call is; a backlog of one must be enough.
        for part in np.split(piece, range(form.chunk_samples, len(piece), form.chunk_samples)):
            schedule.receive(Pcm(schedule.received, part))
            if schedule.ready and schedule.ready - 1 not in heard:
                heard[schedule.ready - 1] = schedule.window(schedule.ready - 1)
    return heard


@given(st.lists(st.integers(0, 60), max_size=20))
def test_any_split_gives_the_same_windows(lengths: list[int]) -> None:
    pieces = np.split(sound(sum(lengths)), np.cumsum(lengths)[:-1]) if lengths else []
    heard = windows(SMALL, pieces)
    ready = max(0, sum(lengths) - SMALL.lookahead_samples) // SMALL.chunk_samples
    assert sorted(heard) == list(range(ready))
    for chunk, window in heard.items():
        np.testing.assert_array_equal(window, expected_window(SMALL, chunk))
        assert window.dtype == np.float32


@given(st.integers(1, 5), st.integers(0, 300))
def test_the_whole_backlog_is_held_after_one_long_piece(backlog: int, length: int) -> None:
    schedule = Schedule(SMALL, backlog)
    schedule.receive(Pcm(0, sound(length)))
    assert schedule.ready - schedule.oldest == min(backlog, schedule.ready)
    for chunk in range(schedule.oldest, schedule.ready):
        np.testing.assert_array_equal(schedule.window(chunk), expected_window(SMALL, chunk))


def test_a_chunk_is_ready_with_its_last_sample_and_not_before() -> None:
    schedule = Schedule(MINI, backlog=1)
    schedule.receive(Pcm(0, sound(2560 + 519)))
    assert schedule.ready == 0
    schedule.receive(Pcm(3079, sound(1)))
    assert schedule.ready == 1


def test_memory_does_not_grow_in_an_hour_of_sound() -> None:
    schedule = Schedule(MINI, backlog=2)
    held = schedule.capacity
    second = sound(16_000)
    for n in range(3600):
        schedule.receive(Pcm(n * 16_000, second))
    assert schedule.capacity == held == MINI.window_samples + 2 * MINI.chunk_samples
    assert schedule.received == 3600 * 16_000


def test_a_window_is_a_copy() -> None:
    schedule = Schedule(SMALL, backlog=1)
    schedule.receive(Pcm(0, sound(11)))
    schedule.window(0)[:] = 0
    np.testing.assert_array_equal(schedule.window(0), expected_window(SMALL, 0))


@pytest.mark.parametrize(("start", "kind"), [(11, "gap"), (9, "overlaps")])
def test_a_gap_or_an_overlap_names_the_sample_expected(start: int, kind: str) -> None:
    schedule = Schedule(SMALL, backlog=1)
    schedule.receive(Pcm(0, sound(10)))
    with pytest.raises(ValueError, match=rf"sample {start} .*{kind}.*sample 10 was expected"):
        schedule.receive(Pcm(start, sound(4)))
    assert schedule.received == 10


def test_sound_of_the_wrong_kind_is_refused() -> None:
    schedule = Schedule(SMALL, backlog=1)
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        schedule.receive(Pcm(0, np.zeros((2, 3), np.float32)))
    with pytest.raises(ValueError, match="float64"):
        schedule.receive(Pcm(0, np.zeros(3)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not finite"):
        schedule.receive(Pcm(0, np.array([0, np.nan], np.float32)))


def test_only_chunks_that_are_held_can_be_asked_for() -> None:
    schedule = Schedule(SMALL, backlog=2)
    schedule.receive(Pcm(0, sound(8 * 5 + 3)))
    for chunk in (2, 5, -1):
        with pytest.raises(ValueError, match=f"chunk {chunk} was asked for, but chunks 3 to 4"):
            schedule.window(chunk)


def test_a_schedule_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="not 0"):
        Schedule(SMALL, backlog=0)
