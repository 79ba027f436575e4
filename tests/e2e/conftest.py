"""A real server in a process of its own, and viewers: aiortc peers that speak and look."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

from soul.cli.bench.server import Server, serving
from soul.client import SoulClient
from soul.model.config import PRESETS
from soul.model.load import save
from soul.model.sample import build

PATIENCE = 30.0  # seconds; a busy machine is slow, a healthy server is not silent


class Speech(MediaStreamTrack):
    """A microphone in which somebody speaks: syllables of a buzzing voice, and pauses."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._count = 0
        self._begin = time.monotonic()

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(self._begin + self._count * 0.02 - time.monotonic(), 0))
        seconds = (self._count * 960 + np.arange(960)) / 48000
        voice = sum(np.sin(2 * np.pi * 120 * n * seconds) / n for n in range(1, 20))
        syllables = np.clip(np.sin(2 * np.pi * 3 * seconds), 0, None) * (seconds % 3 < 2)
        pcm = (8000 * voice * syllables).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, self._count * 960, Fraction(1, 48000)
        self._count += 1
        return frame


class Viewer:
    """One peer: keeps (pts, loudest sample) of the sound and (pts, shape) of the pictures."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sound: list[tuple[int, float]] = []
        self.pictures: list[tuple[int, tuple[int, ...]]] = []
        self.messages: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.connection.addTrack(Speech())
        self.connection.addTransceiver("video", direction="recvonly")
        self.connection.createDataChannel("control").on("message", self.messages.append)
        self.connection.on("track", self._track)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def call(self, client: SoulClient, portrait: str = "ada") -> str:
        """Starts a conversation by `client`; the session's name."""
        answer = await client.start(await self.offer(), portrait)
        await self.connection.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
        return answer.session

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
                self.pictures.append((frame.pts or 0, (frame.height, frame.width)))
            elif isinstance(frame, AudioFrame):
                loudness = float(np.abs(frame.to_ndarray().astype(np.int32)).max()) / 32768
                self.sound.append((frame.pts or 0, loudness))


async def until(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    """Waits for `condition`, which may be awaitable; fails naming `what` if it does not come."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        await asyncio.sleep(0.05)


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the smallest model and random weights: 64 x 64 pixels."""
    folder = tmp_path_factory.mktemp("soul-test")
    save(build(PRESETS["soul-test"], 0), folder)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(small_model: Path) -> AsyncIterator[Server]:
    """One server for the module, with room for three."""
    arguments = ("--model", str(small_model), "--threads", "1", "--max-sessions", "3")
    async with serving(*arguments) as running:
        yield running
        assert not [line for line in running.log if "Traceback" in line], "\n".join(running.log)


@pytest_asyncio.fixture(loop_scope="module")
async def place(server: Server) -> AsyncIterator[AsyncExitStack]:
    """What a test opens is closed here, and the server is empty again before the next one."""
    async with AsyncExitStack() as opened:
        yield opened
    await until(lambda: empty(server), "the server frees every session")


async def empty(server: Server) -> bool:
    return not await server.sessions()


@pytest.fixture
def join() -> Callable[..., Any]:
    """`await join(server, place)` → (viewer, client, session) of a new, running conversation."""

    async def joined(server: Server, place: AsyncExitStack) -> tuple[Viewer, SoulClient, str]:
        viewer = Viewer()
        place.push_async_callback(viewer.close)
        client = await place.enter_async_context(await SoulClient.connect(server.socket_url))
        return viewer, client, await viewer.call(client)

    return joined


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    return until


@pytest.fixture(scope="session")
def make_viewer() -> type[Viewer]:
    return Viewer
