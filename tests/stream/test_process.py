"""The loop of the worker's process, run here on a thread against the other end of its pipe."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np
import pytest

from soul.stream import wire
from soul.stream.process import Stage
from soul.stream.types import ChunkFormat, Frames, Pictures, StreamId, Work

FORM = ChunkFormat(
    chunk_samples=8, past_samples=13, lookahead_samples=3, frames_per_chunk=4, height=2, width=2
)
PICTURES = np.zeros((4, 2, 2, 3), np.uint8)


class Recorder:
    """A performer that writes down what it is asked; `gate` holds its batches back."""

    format = FORM
    steps = 2

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.entered = threading.Event()
        self.gate = threading.Event()

    def open(self, stream: StreamId, portrait: Pictures, prompt: str, seed: int) -> None:
        self.calls.append(f"open {stream}")
        if prompt:
            raise RuntimeError(prompt)

    def close(self, stream: StreamId) -> None:
        self.calls.append(f"close {stream}")

    def perform(self, works: Sequence[Work]) -> Iterator[Frames]:
        self.entered.set()
        self.gate.wait(10)
        self.calls.append("perform " + " ".join(f"{work.stream}{work.chunk}" for work in works))
        for work in works:
            yield Frames(work.stream, work.chunk, PICTURES)
        self.calls.append("commit")


@contextmanager
def running(
    performer: Recorder, max_batch: int = 8
) -> Iterator["Connection[wire.Command, wire.Report]"]:
    """The near end of a stage's pipe; the stage has ended afterwards."""
    ours: Connection[wire.Command, wire.Report]
    theirs: Connection[wire.Report, wire.Command]
    ours, theirs = Pipe()
    thread = threading.Thread(target=Stage(performer, theirs).run, args=(max_batch,))
    thread.start()
    try:
        yield ours
    finally:
        performer.gate.set()
        ours.send(wire.Stop())
        thread.join(10)
        ours.close()
        theirs.close()
        assert not thread.is_alive()


def opened(stream: str, request: int = 0, prompt: str = "") -> wire.Open:
    return wire.Open(request, stream, PICTURES[0], prompt, seed=0)


def perform(stream: str, chunk: int = 0, deadline: int = 0) -> wire.Perform:
    return wire.Perform(Work(stream, chunk, np.zeros(24, np.float32), 2, deadline))


def test_it_greets_answers_and_performs() -> None:
    performer = Recorder()
    performer.gate.set()
    with running(performer) as pipe:
        assert pipe.recv() == wire.Ready(FORM, 2)
        pipe.send(opened("a", request=7))
        assert pipe.recv() == wire.Done(7)
        pipe.send(perform("a", 3))
        report = pipe.recv()
        assert isinstance(report, wire.Performed)
        assert (report.frames.stream, report.frames.chunk) == ("a", 3)
    assert performer.calls == ["open a", "perform a3", "commit"]


def test_what_arrives_meanwhile_is_performed_together_by_deadline() -> None:
    performer = Recorder()
    with running(performer, max_batch=2) as pipe:
        pipe.recv()
        pipe.send(perform("a"))
        assert performer.entered.wait(10)
        for stream, deadline in (("b", 3), ("c", 1), ("d", 2)):
            pipe.send(perform(stream, deadline=deadline))
        performer.gate.set()
        reports = [pipe.recv() for _ in range(4)]
    streams = [report.frames.stream for report in reports if isinstance(report, wire.Performed)]
    assert streams == ["a", "c", "d", "b"]
    batches = [call for call in performer.calls if call.startswith("perform")]
    assert batches == ["perform a0", "perform c0 d0", "perform b0"]


def test_closing_forgets_waiting_work() -> None:
    performer = Recorder()
    with running(performer) as pipe:
        pipe.recv()
        pipe.send(perform("a"))
        assert performer.entered.wait(10)
        pipe.send(perform("b"))
        pipe.send(wire.Close(9, "b"))
        performer.gate.set()
        assert isinstance(pipe.recv(), wire.Performed)
        assert pipe.recv() == wire.Done(9)
    assert performer.calls == ["perform a0", "commit", "close b"]


def test_a_refused_opening_is_closed_and_the_loop_goes_on() -> None:
    performer = Recorder()
    performer.gate.set()
    with running(performer) as pipe:
        pipe.recv()
        pipe.send(opened("a", request=1, prompt="no room for more"))
        assert pipe.recv() == wire.Refused(1, "no room for more")
        pipe.send(opened("b", request=2))
        assert pipe.recv() == wire.Done(2)
    assert performer.calls == ["open a", "close a", "open b"]


def test_the_end_of_the_pipe_is_the_end_of_the_loop() -> None:
    ours, theirs = Pipe()
    ours.close()
    with pytest.raises((EOFError, OSError)):
        Stage(Recorder(), theirs).run(max_batch=1)
    theirs.close()
