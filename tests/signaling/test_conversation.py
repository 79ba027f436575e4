"""The order of a conversation's end: the session and its place first, the socket last."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from soul.signaling import conversation
from soul.signaling.conversation import Conversation
from soul.signaling.door import Door

if TYPE_CHECKING:
    from tests.conftest import FakeHouse

START = json.dumps({"type": "start", "portrait": "anna", "sdp": "v=0\r\ns=offer\r\n"})
STOP = json.dumps({"type": "stop"})


class FakeSocket:
    """Says one message after another, each after an answer to the one before."""

    def __init__(self, door: Door, *messages: str) -> None:
        self._door = door
        self._messages = list(messages)
        self._answered = asyncio.Event()
        self._answered.set()
        self.sent: list[str] = []
        self.inside: list[int] = []  # places taken when the socket was closed

    async def receive(self) -> str | bytes | None:
        await self._answered.wait()
        self._answered.clear()
        return self._messages.pop(0) if self._messages else None

    async def send(self, text: str) -> None:
        self.sent.append(json.loads(text)["type"])
        self._answered.set()

    async def close(self, code: int, reason: str) -> None:
        self.inside.append(len(self._door.registry))


async def test_who_sees_the_socket_closed_finds_a_free_place(
    house: FakeHouse, portraits: Path
) -> None:
    socket = FakeSocket(house.door(portraits), START, STOP)
    await Conversation(socket._door, socket).run()
    assert socket.sent == ["answer", "ended"]
    assert socket.inside == [0]
    assert house.sessions[0].closed == "The conversation was stopped."


async def test_a_session_that_does_not_end_keeps_its_place_but_not_the_socket(
    house: FakeHouse, portraits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "FREEING_SECONDS", 0.05)
    door = house.door(portraits)
    socket = FakeSocket(door, START, STOP)
    running = asyncio.create_task(Conversation(door, socket).run())
    async with asyncio.timeout(10):
        while not house.sessions:
            await asyncio.sleep(0)
        house.sessions[0].hang_to_close = True
        while not socket.inside:
            await asyncio.sleep(0.01)
    assert socket.inside == [1]
    assert len(door.registry) == 1, "what still costs is still counted"
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
