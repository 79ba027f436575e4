"""One socket from accept to close: messages, the session's end and the limits, in one loop.

Whatever happens, when `run` returns nothing of its session is left. This file does NOT know which
framework the socket comes from, nor what a session does.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from soul.signaling.door import Door
from soul.signaling.protocol import (
    Action,
    Close,
    CloseSocket,
    Open,
    ProtocolError,
    Send,
    SetListening,
    SetPrompt,
    Signaling,
    Start,
    serialise,
)
from soul.timebase import NANOSECONDS, Instant

FREEING_SECONDS = 3.0  # the socket waits no longer for its session to be freed
MAX_REASON_BYTES = 123  # RFC 6455 §5.5: a control frame holds 125 bytes, two of them the code


class Socket(Protocol):
    """An accepted WebSocket. `receive` gives None once the other side is gone."""

    async def receive(self) -> str | bytes | None: ...
    async def send(self, text: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class Conversation:
    """One socket's life. `run` it once."""

    def __init__(self, door: Door, socket: Socket) -> None:
        self._door = door
        self._socket = socket
        self._session = door.clocks.new_id()
        self._signaling = Signaling()
        self._since: Instant = door.clocks.monotonic()
        self._over: asyncio.Future[tuple[str, Close]] = asyncio.get_running_loop().create_future()
        self._opening: asyncio.Task[list[Action]] | None = None
        self._freeing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serves the socket until either side ends the conversation."""
        receiving = asyncio.ensure_future(self._socket.receive())
        try:
            while self._signaling.phase != "closed":
                await self._wait(receiving)
                if receiving.done():
                    data = receiving.result()
                    if data is None:
                        return
                    receiving = asyncio.ensure_future(self._socket.receive())
                    self._door.registry.heard(self._session, self._door.clocks.monotonic())
                    await self._do(self._signaling.receive(data))
                await self._do(self._news())
        finally:
            await self._door.finish(self._leave(receiving))

    async def _wait(self, receiving: "asyncio.Future[str | bytes | None]") -> None:
        tasks = [task for task in (receiving, self._over, self._opening) if task is not None]
        timeout = (self._deadline() - self._door.clocks.monotonic()) / NANOSECONDS
        await asyncio.wait(tasks, timeout=max(0.0, timeout), return_when=asyncio.FIRST_COMPLETED)

    def _deadline(self) -> Instant:
        inside = self._door.registry.deadline(self._session)
        if inside is not None:
            return inside
        return self._since + self._door.config.waiting_seconds * NANOSECONDS

    def _news(self) -> Sequence[Action]:
        """What the session and the clock have to say."""
        if self._opening is not None and self._opening.done():
            opened, self._opening = self._opening.result(), None
            return opened
        if self._over.done():
            return self._signaling.ended(*self._over.result())
        now = self._door.clocks.monotonic()
        late = self._door.registry.overdue(self._session, now)
        if late is None and now >= self._deadline():
            late = f"Nothing was started for {self._door.config.waiting_seconds} s."
        return [] if late is None else self._signaling.ended(late)

    async def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            if isinstance(action, Open):
                self._opening = asyncio.ensure_future(self._open(action.start))
            elif isinstance(action, Send):
                await self._socket.send(serialise(action.message))
            elif isinstance(action, SetPrompt):
                await self._set_prompt(action.prompt)
            elif isinstance(action, SetListening):
                self._door.set_listening(self._session, action.listening)
            elif isinstance(action, CloseSocket):
                # First, so that whoever sees the socket closed may start again: a place is free.
                await asyncio.wait([self._free(action.reason)], timeout=FREEING_SECONDS)
                await self._socket.close(action.code, short(action.reason))

    async def _open(self, start: Start) -> list[Action]:
        try:
            answer = await self._door.open(self._session, start, self._ended)
        except ProtocolError as refused:
            return self._signaling.failed(refused)
        return self._signaling.opened(answer, self._session)

    async def _set_prompt(self, prompt: str) -> None:
        """Of a session that has just ended by itself nothing is said but its end."""
        seconds = self._door.set_prompt(self._session, prompt)
        if seconds is not None:
            await self._do(self._signaling.prompted(seconds))

    def _ended(self, reason: str, broken: bool) -> None:
        if not self._over.done():
            self._over.set_result((reason, Close.INTERNAL if broken else Close.NORMAL))

    async def _leave(self, receiving: "asyncio.Future[str | bytes | None]") -> None:
        await _cancelled(receiving)
        self._over.cancel()
        await self._free("The viewer left.")

    def _free(self, reason: str) -> "asyncio.Task[None]":
        """Ends the session, also one that is being opened, and gives its place back; once."""
        if self._freeing is None:
            self._freeing = asyncio.create_task(self._door.finish(self._close(reason)))
        return self._freeing

    async def _close(self, reason: str) -> None:
        if self._opening is not None:
            await _cancelled(self._opening)
        await self._door.close(self._session, reason)


async def _cancelled(task: "asyncio.Future[Any]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def short(reason: str) -> str:
    """`reason` cut so that it fits a close frame, on a character's boundary."""
    return reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
