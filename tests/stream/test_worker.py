"""The asyncio side of a real process with a performer that needs no torch."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import psutil
import pytest

import fake_performer
from soul.model import sample
from soul.model.config import SOUL_TEST
from soul.model.load import save
from soul.stream.types import Frames, Work
from soul.stream.worker import LoadSoul, Worker, WorkerConfig, WorkerError

PORTRAIT = np.zeros((2, 2, 3), np.uint8)
WINDOW = 24


def config(trouble: str = "", start_limit: float = 30.0) -> WorkerConfig:
    return WorkerConfig(
        factory=fake_performer.Load(trouble), stop_grace=0.5, start_limit=start_limit
    )


def work(stream: str, chunk: int = 0, value: int = 0) -> Work:
    return Work(stream, chunk, np.full(WINDOW, value, np.float32), steps=2, deadline=0)


class Inbox:
    """Collects a stream's frames for a test to wait for."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Frames] = asyncio.Queue()
        self.thread: int | None = None

    def __call__(self, frames: Frames) -> None:
        self.thread = threading.get_ident()
        self._queue.put_nowait(frames)

    async def get(self) -> Frames:
        return await asyncio.wait_for(self._queue.get(), 10)

    @property
    def empty(self) -> bool:
        return self._queue.empty()


@asynccontextmanager
async def started(failures: list[WorkerError] | None = None) -> AsyncIterator[Worker]:
    worker = Worker(config(), on_failure=None if failures is None else failures.append)
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


async def until_failed(worker: Worker) -> None:
    async with asyncio.timeout(10):
        while worker.failure is None:
            await asyncio.sleep(0.01)


async def test_pictures_come_back_on_the_loop() -> None:
    async with started() as worker:
        assert worker.steps == 2
        assert worker.format.window_samples == WINDOW
        inbox = Inbox()
        await worker.open_stream("a", PORTRAIT, "", 0, inbox)
        for chunk in range(5):
            worker.submit(work("a", chunk, value=10 + chunk))
            frames = await inbox.get()
            assert (frames.stream, frames.chunk) == ("a", chunk)
            assert frames.pictures[0, 0, 0].tolist() == [10 + chunk, 1, 1]
        assert inbox.thread == threading.get_ident()


async def test_a_prompt_travels_with_its_chunk() -> None:
    async with started() as worker:
        inbox = Inbox()
        await worker.open_stream("a", PORTRAIT, "", 0, inbox)
        worker.submit(replace(work("a", 0), prompt="raise"))
        await inbox.get()
        worker.submit(work("a", 1))
        await until_failed(worker)
        assert str(worker.failure) == "the device is lost"


async def test_waiting_streams_share_a_forward() -> None:
    async with started() as worker:
        first, others = Inbox(), [Inbox(), Inbox()]
        await worker.open_stream("slow", PORTRAIT, "slow", 0, first)
        for name, inbox in zip("ab", others, strict=True):
            await worker.open_stream(name, PORTRAIT, "", 0, inbox)
        worker.submit(work("slow"))
        for name in "ab":
            worker.submit(work(name))
        await first.get()
        together = [int((await inbox.get()).pictures[0, 0, 0, 2]) for inbox in others]
        assert min(together) >= 2


async def test_a_second_work_of_a_stream_is_refused() -> None:
    async with started() as worker:
        inbox = Inbox()
        await worker.open_stream("a", PORTRAIT, "", 0, inbox)
        worker.submit(work("a", 0))
        with pytest.raises(WorkerError, match="chunk 0 out: chunk 1 must wait"):
            worker.submit(work("a", 1))
        await inbox.get()
        worker.submit(work("a", 1))
        assert (await inbox.get()).chunk == 1


async def test_a_stream_that_is_not_open_is_named() -> None:
    async with started() as worker:
        with pytest.raises(WorkerError, match="'ghost' is not open"):
            worker.submit(work("ghost"))
        with pytest.raises(WorkerError, match="'ghost' is not open"):
            await worker.close_stream("ghost")
        await worker.open_stream("a", PORTRAIT, "", 0, Inbox())
        with pytest.raises(WorkerError, match="'a' is open already"):
            await worker.open_stream("a", PORTRAIT, "", 0, Inbox())


async def test_sound_of_the_wrong_length_is_refused_before_it_is_sent() -> None:
    async with started() as worker:
        await worker.open_stream("a", PORTRAIT, "", 0, Inbox())
        with pytest.raises(WorkerError, match=r"shape \(3,\): \(24,\) was expected"):
            worker.submit(Work("a", 0, np.zeros(3, np.float32), 2, 0))


async def test_a_refused_portrait_leaves_the_others_alone() -> None:
    async with started() as worker:
        inbox = Inbox()
        await worker.open_stream("a", PORTRAIT, "", 0, inbox)
        with pytest.raises(WorkerError, match=r"^the portrait of b is refused$"):
            await worker.open_stream("b", PORTRAIT, "refuse", 0, Inbox())
        worker.submit(work("a"))
        assert (await inbox.get()).pictures[0, 0, 0, 1] == 1, "nothing of b was kept"
        await worker.open_stream("b", PORTRAIT, "", 0, Inbox())


async def test_a_closed_stream_gets_nothing_more_and_is_freed() -> None:
    async with started() as worker:
        gone, inbox = Inbox(), Inbox()
        await worker.open_stream("gone", PORTRAIT, "slow", 0, gone)
        worker.submit(work("gone"))
        await worker.close_stream("gone")
        await worker.open_stream("a", PORTRAIT, "", 0, inbox)
        worker.submit(work("a"))
        assert (await inbox.get()).pictures[0, 0, 0, 1] == 1
        assert gone.empty


async def test_an_opening_that_is_cancelled_is_undone() -> None:
    async with started() as worker:
        inbox = Inbox()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await worker.open_stream("left", PORTRAIT, "slow to open", 0, Inbox())
        await worker.open_stream("a", PORTRAIT, "", 0, inbox)
        worker.submit(work("a"))
        assert (await inbox.get()).pictures[0, 0, 0, 1] == 1


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [("die", "ended unexpectedly with exit code 7"), ("raise", "^the device is lost$")],
)
async def test_a_death_is_told_to_everyone_once(prompt: str, sentence: str) -> None:
    failures: list[WorkerError] = []
    async with started(failures) as worker:
        await worker.open_stream("a", PORTRAIT, prompt, 0, Inbox())
        worker.submit(work("a"))
        await until_failed(worker)
        with pytest.raises(WorkerError, match=sentence):
            worker.submit(work("a"))
        with pytest.raises(WorkerError, match=sentence):
            await worker.open_stream("c", PORTRAIT, "", 0, Inbox())
        await worker.close_stream("a")
        assert len(failures) == 1
        assert failures[0] is worker.failure
    assert len(failures) == 1


async def test_a_device_that_hangs_is_a_failure() -> None:
    failures: list[WorkerError] = []
    quick = replace(config(), answer_limit=1.0)
    worker = Worker(quick, on_failure=failures.append)
    await worker.start()
    try:
        await worker.open_stream("a", PORTRAIT, "hang", 0, Inbox())
        worker.submit(work("a", 4))
        await until_failed(worker)
        assert "did not answer chunk 4 of stream 'a' within 1 s" in str(worker.failure)
        assert len(failures) == 1
    finally:
        await worker.stop()
    assert active_children() == []


@pytest.mark.parametrize("asked", ["open", "close"])
async def test_a_device_that_hangs_is_a_failure_to_who_opens_and_who_leaves(asked: str) -> None:
    failures: list[WorkerError] = []
    worker = Worker(replace(config(), answer_limit=1.0), on_failure=failures.append)
    await worker.start()
    try:
        async with asyncio.timeout(20):
            if asked == "open":
                waiting = worker.open_stream("a", PORTRAIT, "hang to open", 0, Inbox())
            else:
                inbox = Inbox()
                await worker.open_stream("a", PORTRAIT, "hang afterwards", 0, inbox)
                worker.submit(work("a"))
                await inbox.get()
                waiting = worker.close_stream("a")
            with pytest.raises(WorkerError, match=rf"answer {asked} of stream 'a' within 1 s"):
                await waiting
        assert failures == [worker.failure], "whoever keeps the worker can replace it"
    finally:
        await worker.stop()
    assert active_children() == []


async def test_a_death_is_told_to_who_waits() -> None:
    async with started() as worker:
        opening = [worker.open_stream(name, PORTRAIT, "die to open", 0, Inbox()) for name in "ab"]
        answers = await asyncio.gather(*opening, return_exceptions=True)
        assert [str(answer) for answer in answers] == [str(worker.failure)] * 2


async def test_a_killed_process_is_noticed() -> None:
    async with started() as worker:
        (child,) = active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        await until_failed(worker)
        assert "exit code -9" in str(worker.failure)


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ("missing", "^no weights at /nowhere: a folder with weights was expected$"),
        ("die", "ended unexpectedly with exit code 7"),
    ],
)
async def test_what_goes_wrong_while_loading_travels(trouble: str, sentence: str) -> None:
    failures: list[WorkerError] = []
    worker = Worker(config(trouble), on_failure=failures.append)
    with pytest.raises(WorkerError, match=sentence):
        await worker.start()
    assert active_children() == []
    assert failures == [], "`start` has told it"


async def test_a_start_that_takes_too_long_is_given_up() -> None:
    worker = Worker(config("hang", start_limit=0.5))
    with pytest.raises(WorkerError, match=r"not ready within 0\.5 s"):
        await worker.start()
    assert active_children() == []


async def test_a_start_that_is_cancelled_leaves_no_process() -> None:
    worker = Worker(config("hang"))
    start = asyncio.create_task(worker.start())
    await asyncio.sleep(0.2)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert active_children() == []


async def test_stop_ends_even_a_process_that_hangs() -> None:
    async with started() as worker:
        await worker.open_stream("a", PORTRAIT, "", 0, Inbox())
        waiting = asyncio.create_task(worker.open_stream("b", PORTRAIT, "hang to open", 0, Inbox()))
        await asyncio.sleep(0)
        await worker.stop()
        with pytest.raises(WorkerError, match="was stopped"):
            await waiting
        with pytest.raises(WorkerError, match="was stopped"):
            worker.submit(work("a"))
        await worker.close_stream("a")
        await worker.stop()
    assert active_children() == []


async def test_nothing_is_left_after_many_workers() -> None:
    async with started():
        pass  # whatever the interpreter sets up once, it has set up now
    me = psutil.Process()
    before = me.num_fds()
    for _ in range(3):
        async with started() as worker:
            await worker.open_stream("a", PORTRAIT, "", 0, Inbox())
    assert me.num_fds() == before
    assert [t.name for t in threading.enumerate() if t.name.startswith("soul")] == []
    assert active_children() == []


async def test_a_large_backlog_of_commands_does_not_block_the_loop() -> None:
    async with started() as worker:
        slow = Inbox()
        await worker.open_stream("slow", PORTRAIT, "slow", 0, slow)
        worker.submit(work("slow"))
        large = np.zeros((700, 700, 3), np.uint8)  # beyond what a pipe holds
        opening = [
            asyncio.create_task(worker.open_stream(str(n), large, "", 0, Inbox())) for n in range(4)
        ]
        await asyncio.sleep(0)
        assert slow.empty, "the loop went on while the process was busy"
        await asyncio.gather(*opening)
        await slow.get()


async def test_a_worker_that_was_not_started_says_so() -> None:
    worker = Worker(config())
    with pytest.raises(WorkerError, match="not started"):
        worker.submit(work("a"))
    with pytest.raises(WorkerError, match="not started"):
        assert worker.format
    await worker.stop()


async def test_a_worker_starts_once() -> None:
    async with started() as worker:
        with pytest.raises(WorkerError, match="was started before"):
            await worker.start()
        await worker.open_stream("a", PORTRAIT, "", 0, Inbox())


async def test_missing_weights_are_one_clear_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    worker = Worker(WorkerConfig(factory=LoadSoul(weights="no-such-soul")))
    with pytest.raises(WorkerError, match="no-such-soul"):
        await worker.start()
    assert "Traceback" not in capfd.readouterr().err


async def test_a_real_model_runs_in_the_process_and_flashes_for_beeps(tmp_path: Path) -> None:
    save(sample.build(SOUL_TEST, seed=1), tmp_path)
    factory = LoadSoul(weights=str(tmp_path), threads=1, markers=True)
    worker = Worker(WorkerConfig(factory=factory))
    await worker.start()
    try:
        form, inbox = worker.format, Inbox()
        assert (worker.steps, form.window_samples) == (SOUL_TEST.steps, SOUL_TEST.window_samples)
        portrait = np.zeros((form.height, form.width, 3), np.uint8)
        await worker.open_stream("a", portrait, "a person", 0, inbox)
        moment = np.arange(form.window_samples) - form.past_samples
        beep = 0.5 * np.sin(2 * np.pi * 1000 * moment / 16_000)
        pcm = np.where((moment >= 640) & (moment < 1280), beep, 0).astype(np.float32)
        worker.submit(Work("a", 0, pcm, worker.steps, deadline=0))
        frames = await inbox.get()
        assert frames.pictures.mean(axis=(1, 2, 3)).tolist() == [16, 255, 16, 16]
        assert frames.times.total > 0, "the model itself has run"
    finally:
        await worker.stop()


PARENT = """
import asyncio
import fake_performer
from multiprocessing import active_children
from soul.stream.worker import Worker, WorkerConfig

async def main():
    worker = Worker(WorkerConfig(factory=fake_performer.Load()))
    await worker.start()
    print(active_children()[0].pid, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_the_parents_death_ends_the_process(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        env=environment,
    ) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    patience = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < patience, "the worker's process outlived its parent"
        time.sleep(0.02)
