"""A worker in the test's own process, and a viewer: the other end of the peer connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from soul.stream.types import ChunkFormat, Frames, Pictures, StageTimes, Work
from soul.stream.worker import WorkerError
from viewers import Viewer, beeps, until

FORMAT = ChunkFormat(2560, 5320, 520, 4, 64, 64)
TIMES = StageTimes(0.001, 0.006, 0.002, 0.001)


class FakeWorker:
    """Paints each frame as bright as the loudest sample of the sound that it shows."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.format = FORMAT
        self.steps = 2
        self.open: dict[str, Callable[[Frames], None]] = {}
        self.works: list[Work] = []
        self.fail_open = self.fail_submit = False
        self.failure: WorkerError | None = None
        self.opening = asyncio.Event()  # cleared by a test: `open_stream` takes its time
        self.opening.set()
        self.asked = asyncio.Event()  # somebody has asked for a stream
        self._seconds = seconds

    async def open_stream(
        self,
        stream: str,
        portrait: Pictures,
        prompt: str,
        seed: int,
        on_frames: Callable[[Frames], None],
    ) -> None:
        self.asked.set()
        await self.opening.wait()
        if self.fail_open:
            raise WorkerError("The worker is not there.")
        self.open[stream] = on_frames

    def submit(self, work: Work) -> None:
        if self.fail_submit:
            raise WorkerError("The worker died.")
        self.works.append(work)
        asyncio.get_running_loop().call_later(self._seconds, self._deliver, work)

    async def close_stream(self, stream: str) -> None:
        if stream not in self.open:
            raise WorkerError(f"stream {stream!r} is not open")
        del self.open[stream]

    def _deliver(self, work: Work) -> None:
        own = work.pcm[FORMAT.past_samples : FORMAT.past_samples + FORMAT.chunk_samples]
        peaks = np.abs(own).reshape(4, -1).max(axis=1)
        pictures = np.zeros((4, 64, 64, 3), np.uint8)
        pictures[:] = (40 + 200 * (peaks > 0.1))[:, None, None, None]
        if work.stream in self.open:
            frames = Frames(
                work.stream, work.chunk, pictures, StageTimes(0.001, 0.006, 0.002, 0.001)
            )
            self.open[work.stream](frames)


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
async def viewer() -> AsyncIterator[Viewer]:
    one = Viewer(beeps)
    yield one
    await one.close()


@pytest.fixture
def portrait() -> Pictures:
    return np.full((64, 64, 3), 128, np.uint8)


@pytest.fixture
def make_viewer() -> Callable[..., Viewer]:
    return partial(Viewer, voice=beeps)


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until
