"""The other end of a peer connection: somebody who speaks, listens and looks.

A module of its own, found by `pythonpath` in pyproject.toml, because several rooms need viewers
and few tests need aiortc.
"""

import asyncio
import json
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame
from numpy.typing import NDArray

from soul.client import SoulClient

PATIENCE = 40.0  # seconds; a busy machine is slow, a healthy server is not silent
RATE = 48_000
PACKET = 960  # samples: 20 ms

Voice: TypeAlias = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""(sample indices at 48 kHz) → the sound there, within int16."""


def beeps(at: NDArray[np.int64]) -> NDArray[np.float64]:
    """200 ms of tone every 800 ms."""
    loud = at // PACKET % 40 < 10
    return np.asarray(loud * 12000 * np.sin(2 * np.pi * 440 * at / RATE))


def speech(at: NDArray[np.int64]) -> NDArray[np.float64]:
    """Syllables of a buzzing voice, and pauses."""
    seconds = at / RATE
    voice = sum(np.sin(2 * np.pi * 120 * n * seconds) / n for n in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3 * seconds), 0, None) * (seconds % 3 < 2)
    return np.asarray(8000 * voice * syllables)


class Microphone(MediaStreamTrack):
    """A microphone into which `voice` speaks, 20 ms a `recv`."""

    kind = "audio"

    def __init__(self, voice: Voice) -> None:
        super().__init__()
        self._voice = voice
        self._count = 0
        self._begin = time.monotonic()

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(self._begin + self._count * 0.02 - time.monotonic(), 0))
        pcm = self._voice(self._count * PACKET + np.arange(PACKET)).astype(np.int16)
        frame = AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = self._count * PACKET
        self._count += 1
        return frame


class Heard(NamedTuple):
    """A packet of sound: when it came (s), its pts and its loudest sample (0..1)."""

    arrival: float
    pts: int
    loudness: float


class Seen(NamedTuple):
    """A picture: when it came (s), its pts, how light it is (0..255), (height, width)."""

    arrival: float
    pts: int
    light: float
    shape: tuple[int, int]


class Viewer:
    """One peer. Without `voice` it only listens; without `channel` it has no data channel."""

    def __init__(self, voice: Voice | None, channel: bool = True) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.sound: list[Heard] = []
        self.pictures: list[Seen] = []
        self.messages: list[dict[str, Any]] = []
        self._tasks: list[asyncio.Task[None]] = []
        if voice is not None:
            self.connection.addTrack(Microphone(voice))
        else:
            self.connection.addTransceiver("audio", direction="recvonly")
        self.connection.addTransceiver("video", direction="recvonly")
        self.channel = self.connection.createDataChannel("control") if channel else None
        if self.channel is not None:
            self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.connection.on("track", self._track)

    async def offer(self) -> str:
        await self.connection.setLocalDescription(await self.connection.createOffer())
        return str(self.connection.localDescription.sdp)

    async def accept(self, answer: str) -> None:
        await self.connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))

    async def call(self, client: SoulClient, portrait: str = "ada") -> str:
        """Starts a conversation by `client`; the session's name."""
        answer = await client.start(await self.offer(), portrait)
        await self.accept(answer.sdp)
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
            arrival = time.monotonic()
            if isinstance(frame, VideoFrame):
                light = float(frame.to_ndarray(format="gray").mean())
                shape = (frame.height, frame.width)
                self.pictures.append(Seen(arrival, frame.pts or 0, light, shape))
            elif isinstance(frame, AudioFrame):
                loudness = float(np.abs(frame.to_ndarray().astype(np.int32)).max()) / 32768
                self.sound.append(Heard(arrival, frame.pts or 0, loudness))


async def until(
    condition: Callable[[], Any], what: str = "what is hoped for", seconds: float = PATIENCE
) -> None:
    """Waits for `condition`, which may be awaitable; fails naming `what` if it does not come."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < end, f"waited {seconds:g} s in vain: {what}"
        await asyncio.sleep(0.02)
