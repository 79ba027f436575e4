"""What one server owns: its worker, its places, its uploads and every open session.

The rooms behind the door come in as `Rooms`, so that this file imports none of them. It does NOT
know HTTP, WebSockets or the order of messages; see `app` and `protocol`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol

from soul.signaling.gallery import UPLOAD, BuiltIn, Picture, UnknownPortrait, Uploads, built_ins
from soul.signaling.protocol import Close, ProtocolError, Start
from soul.signaling.registry import Limits, Registry, RegistryFull
from soul.timebase import Instant


class Refused(Exception):
    """A room behind the door cannot do it; the message is one sentence."""

    def __init__(
        self, what: Literal["offer", "portrait", "restarting", "worker"], message: str
    ) -> None:
        super().__init__(message)
        self.what = what


class WorkerLike(Protocol):
    """Whoever keeps the process that owns the device; Refused("worker") if it cannot start."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def failure(self) -> str | None: ...  # why nothing can be started now, if so


class SessionLike(Protocol):
    """One conversation behind the door; `start` raises Refused("offer") or Refused("worker").

    `set_prompt` gives the second of the call from which pictures follow, None if it is over.
    """

    async def start(self, offer_sdp: str, portrait: Picture, prompt: str) -> str: ...
    def set_prompt(self, prompt: str) -> float | None: ...
    def set_listening(self, listening: bool) -> None: ...
    async def close(self, reason: str) -> None: ...
    def stats(self) -> dict[str, Any]: ...


OnClosed = Callable[[str, bool], None]
"""A session ended by itself: one sentence, and whether that is this server's fault."""

OpenSession = Callable[[str, OnClosed], SessionLike]
"""(stream id, told when the session ends by itself) → a session.

Refused("restarting") while the worker is being replaced, Refused("worker") if it stays down.
"""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What stands behind the door. `read_portrait` (bytes → picture) raises Refused("portrait")."""

    worker: WorkerLike
    open_session: OpenSession
    read_portrait: Callable[[bytes], Picture]
    model: str


@dataclass(frozen=True, slots=True)
class Clocks:
    """`monotonic` for limits, `unix` (seconds) for tokens, `new_id` for names nobody can guess."""

    monotonic: Callable[[], Instant]
    unix: Callable[[], int]
    new_id: Callable[[], str]


@dataclass(frozen=True, slots=True)
class DoorConfig:
    """How one server is kept. `origins` None: a page must come from the host it talks to.

    `upload_bytes` is what the room that reads portraits takes at most: more is not even read.
    """

    portraits: Path
    upload_bytes: int
    limits: Limits = field(default_factory=Limits)
    prompt: str = ""  # the manner when the viewer gives none
    uploads: int = 32
    sockets: int = 64
    waiting_seconds: int = 900  # a socket on which nothing was started
    key: bytes | None = field(default=None, repr=False)
    origins: frozenset[str] | None = None


class Door:
    """Everything one server owns. Enter it to start the worker; leaving it closes everything."""

    def __init__(self, config: DoorConfig, rooms: Rooms, clocks: Clocks) -> None:
        self.config = config
        self.clocks = clocks
        self.registry = Registry(config.limits)
        self.portraits: tuple[BuiltIn, ...] = built_ins(config.portraits)
        self.uploads = Uploads(config.uploads, clocks.new_id)
        self.model = rooms.model
        self._rooms = rooms
        self._sessions: dict[str, SessionLike] = {}
        self._reading = asyncio.Lock()
        self._finishing: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> None:
        await self._rooms.worker.start()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        async with AsyncExitStack() as last:
            last.push_async_callback(self._rooms.worker.stop)
            last.push_async_callback(self._finish_all)
            for session in list(self._sessions):
                last.push_async_callback(self.close, session, "The server is shutting down.")

    async def open(self, session: str, start: Start, on_closed: OnClosed) -> str:
        """Opens a session; its SDP answer. ProtocolError, and nothing left behind, if it fails."""
        try:
            portrait = await self._portrait(start.portrait)
            self.registry.admit(session, self.clocks.monotonic())
        except UnknownPortrait as error:
            raise ProtocolError("unknown_portrait", str(error), Close.POLICY) from error
        except RegistryFull as error:
            raise ProtocolError("full", str(error), Close.TRY_LATER) from error
        try:
            opened = self._rooms.open_session(session, on_closed)
            self._sessions[session] = opened
            return await opened.start(start.sdp, portrait, start.prompt or self.config.prompt)
        except Refused as error:
            await self.close(session, "It could not be started.")
            raise _as_protocol(error) from error
        except BaseException:
            await self.close(session, "It could not be started.")
            raise

    def set_prompt(self, session: str, prompt: str) -> float | None:
        """Changes the prompt of `session`; see `SessionLike`. None also if it is not open."""
        opened = self._sessions.get(session)
        return None if opened is None else opened.set_prompt(prompt or self.config.prompt)

    def set_listening(self, session: str, listening: bool) -> None:
        """Whether somebody else has the word in `session`; of one that is not open, nothing."""
        if (opened := self._sessions.get(session)) is not None:
            opened.set_listening(listening)

    async def close(self, session: str, reason: str) -> None:
        """Frees everything of `session`; of one that is not open, nothing."""
        closing = self._sessions.pop(session, None)
        try:
            if closing is not None:
                await closing.close(reason)
        finally:
            self.registry.release(session)

    async def finish(self, closing: Coroutine[Any, Any, None]) -> None:
        """Runs `closing` to its end, even if whoever waits for it is cancelled meanwhile."""
        task = asyncio.create_task(closing)
        self._finishing.add(task)
        task.add_done_callback(self._finishing.discard)
        await asyncio.shield(task)

    async def _finish_all(self) -> None:
        await asyncio.gather(*self._finishing, return_exceptions=True)

    async def upload(self, data: bytes) -> tuple[str, Picture]:
        """Reads and keeps an uploaded portrait: its name and picture. Refused if it is none."""
        async with self._reading:  # one at a time: a large image costs memory and a core
            picture = await asyncio.to_thread(self._rooms.read_portrait, data)
        return self.uploads.add(picture), picture

    def failure(self) -> str | None:
        """Why nothing can be started now, in one sentence, or None."""
        return self._rooms.worker.failure()

    def stats(self) -> dict[str, Any]:
        """What every open session measured, by session; `tasks` is what the loop has to do."""
        return {
            "model": self.model,
            "tasks": len(asyncio.all_tasks()),
            "limits": asdict(self.config.limits),
            "sessions": {name: opened.stats() for name, opened in self._sessions.items()},
        }

    async def _portrait(self, name: str) -> Picture:
        if name.startswith(UPLOAD):
            return self.uploads.get(name)
        for portrait in self.portraits:
            if portrait.id == name:
                data = await asyncio.to_thread(portrait.path.read_bytes)
                return await asyncio.to_thread(self._rooms.read_portrait, data)
        known = ", ".join(portrait.id for portrait in self.portraits) or "none"
        raise UnknownPortrait(f"there is no portrait {name!r}; the built-in ones are: {known}")


def _as_protocol(error: Refused) -> ProtocolError:
    code, close = {
        "offer": ("bad_offer", Close.INVALID_DATA),
        "portrait": ("bad_portrait", Close.POLICY),
        "restarting": ("restarting", Close.TRY_LATER),
        "worker": ("worker", Close.INTERNAL),
    }[error.what]
    return ProtocolError(code, str(error), close)
