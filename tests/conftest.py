"""The house behind the door as fakes that only remember what was asked of them."""

import asyncio
import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from soul.signaling.door import Clocks, Door, DoorConfig, OnClosed, Refused, Rooms
from soul.signaling.gallery import Picture
from soul.timebase import NANOSECONDS, Instant

# Properties are tried on enough cases, and never judged by the clock: the machine may be busy.
settings.register_profile("soul", deadline=None, max_examples=40)
settings.load_profile("soul")

SIZE = 8
OFFER = "v=0\r\ns=offer\r\n"


@dataclass
class FakeWorker:
    running: bool = False
    starts: int = 0
    refuses: str | None = None
    dead: str | None = None

    async def start(self) -> None:
        if self.refuses is not None:
            raise Refused("worker", self.refuses)
        self.starts += 1
        self.running = True

    async def stop(self) -> None:
        self.running = False

    def failure(self) -> str | None:
        return self.dead


@dataclass
class FakeSession:
    name: str
    on_closed: OnClosed
    hang: bool = False
    hang_to_close: bool = False
    closed: str | None = None
    started: tuple[str, Picture, str] | None = None
    prompts: list[str] = field(default_factory=list)
    listened: list[bool] = field(default_factory=list)
    over: bool = False  # it has ended by itself, and has not said so yet

    async def start(self, offer_sdp: str, portrait: Picture, prompt: str) -> str:
        if "nonsense" in offer_sdp:
            raise Refused("offer", "the offer has no audio; expected one microphone")
        if "dead" in offer_sdp:
            raise Refused("worker", "the worker died")
        if "restarting" in offer_sdp:
            raise Refused("restarting", "the worker is being restarted; try again in a few seconds")
        if self.hang or "hang" in offer_sdp:
            await asyncio.Event().wait()
        self.started = (offer_sdp, portrait, prompt)
        return "v=0\r\ns=answer\r\n"

    def set_prompt(self, prompt: str) -> float | None:
        if self.over:
            return None
        self.prompts.append(prompt)
        return 0.25 * len(self.prompts)

    def set_listening(self, listening: bool) -> None:
        self.listened.append(listening)

    async def close(self, reason: str) -> None:
        if self.hang_to_close:
            await asyncio.Event().wait()
        self.closed = reason

    def stats(self) -> dict[str, Any]:
        return {"frames": 7}


@dataclass
class FakeHouse:
    """Everything behind the door, and a clock that is turned by hand."""

    worker: FakeWorker = field(default_factory=FakeWorker)
    sessions: list[FakeSession] = field(default_factory=list)
    now: Instant = 5 * NANOSECONDS

    def open_session(self, name: str, on_closed: OnClosed) -> FakeSession:
        self.sessions.append(FakeSession(name, on_closed))
        return self.sessions[-1]

    def door(self, portraits: Path, **changes: Any) -> Door:
        numbers = itertools.count()
        clocks = Clocks(lambda: self.now, lambda: 1_000, lambda: f"{next(numbers):032x}")
        rooms = Rooms(self.worker, self.open_session, read_portrait, "soul-fake")
        return Door(replace(DoorConfig(portraits, upload_bytes=1000), **changes), rooms, clocks)


def read_portrait(data: bytes) -> Picture:
    if b"not an image" in data:
        raise Refused("portrait", "the portrait is not an image that can be read")
    return np.full((SIZE, SIZE, 3), len(data) % 256, np.uint8)


@pytest.fixture
def house() -> FakeHouse:
    return FakeHouse()


@pytest.fixture
def portraits(tmp_path: Path) -> Path:
    """A folder with two portraits that `read_portrait` understands."""
    folder = tmp_path / "portraits"
    folder.mkdir()
    for name in ("anna", "bruno"):
        (folder / f"{name}.png").write_bytes(b"picture of " + name.encode())
    return folder
