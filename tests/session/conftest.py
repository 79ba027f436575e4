"""A worker in the test's own process, and a viewer: the other end of the peer connection."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from soul.stream.types import ChunkFormat, Frames, Pictures, StageTimes, Work
from soul.stream.worker import WorkerError

FORMAT = ChunkFormat(2560, 5320, 520, 4, 64)
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
        self._seconds = seconds

    async def open_stream(
        self,
        stream: str,
        portrait: Pictures,
        prompt: str,
        seed: int,
        on_frames: Callable[[Frames], None],
    ) -> None:
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


class Beeps(MediaStreamTrack):
    """A microphone: 200 ms of tone every 800 ms, 20 ms a `recv`."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._start = time.monotonic()

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(self._start + self._count * 0.02 - time.monotonic(), 0))
        at = self._count * 960 + np.arange(960)
        loud = self._count % 40 < 10
        pcm = (loud * 12000 * np.sin(2 * np.pi * 440 * at / 48000)).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._count * 960, Fraction(1, 48000)
        self._count += 1
        return frame


class Viewer:
    """Sends beeps, keeps (arrival, pts, loudness) of sound, (arrival, pts, light) of pictures."""

    def __init__(self, microphone: bool = True, channel: bool = True) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sound: list[tuple[float, int, float]] = []
        self.pictures: list[tuple[float, int, float]] = []
        self.messages: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        if microphone:
            self.connection.addTrack(Beeps())
        else:
            self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.channel = self.connection.createDataChannel("soul") if channel else None
        if self.channel is not None:
            self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.connection.on("track", self._track)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def close(self) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _track(self, track: MediaStreamTrack) -> None:
        self._tasks.append(asyncio.create_task(self._read(track)))

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, VideoFrame):
                light = float(frame.to_ndarray(format="gray").mean())
                self.pictures.append((time.monotonic(), frame.pts or 0, light))
            elif isinstance(frame, AudioFrame):
                loudness = float(np.abs(frame.to_ndarray()).max()) / 32768
                self.sound.append((time.monotonic(), frame.pts or 0, loudness))


async def until(condition: Callable[[], bool], seconds: float = 40.0) -> None:
    """Wait for `condition`, and fail if it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.02)


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
async def viewer() -> AsyncIterator[Viewer]:
    one = Viewer()
    yield one
    await one.close()


@pytest.fixture
def portrait() -> Pictures:
    return np.full((64, 64, 3), 128, np.uint8)


@pytest.fixture
def make_viewer() -> type[Viewer]:
    return Viewer


@pytest.fixture
def wait_until() -> Callable[..., Any]:
    return until
