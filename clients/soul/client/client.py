"""A small client for the one WebSocket: SDP goes in, SDP comes out, media stays with the caller.

    async with await SoulClient.connect("ws://127.0.0.1:8080/ws") as client:
        answer = await client.start(offer_sdp, portrait="ada")
        ...                                # hand answer.sdp to your peer connection
        await client.set_prompt("a happy person, smiling")
        await client.ended()               # or leave, which stops it

Does NOT know aiortc or any other media library, nor the server's code: only what is on the wire.
"""

import asyncio
import json
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from numbers import Real
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from soul.client.errors import (
    ConnectError,
    ConnectionLost,
    SoulError,
    UnexpectedMessage,
    refusal,
)

SIGN_OF_LIFE_SECONDS = 20.0  # the server ends a conversation that is silent for two minutes
MAX_MESSAGE_BYTES = 256 * 1024
_EXPECTED: dict[str, dict[str, type]] = {
    "answer": {"sdp": str, "session": str},
    "prompted": {"seconds": Real},
    "ended": {"reason": str},
    "error": {"code": str, "message": str},
}


@dataclass(frozen=True, slots=True)
class Answer:
    """The server's SDP answer, and the name of the session that is now open."""

    sdp: str
    session: str


class SoulClient:
    """One conversation. Make it with `connect`, leave it by `async with` or `stop`."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._answer: asyncio.Future[Answer] = _future()
        self._ended: asyncio.Future[str] = _future()
        self._prompts: deque[asyncio.Future[float]] = deque()  # the server answers in order
        self._begun = False
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._live())]

    @classmethod
    async def connect(cls, url: str, token: str | None = None) -> Self:
        """Opens the WebSocket at `url`, such as ws://127.0.0.1:8080/ws. ConnectError if not."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            socket = await open_socket(
                url, additional_headers=headers, compression=None, max_size=MAX_MESSAGE_BYTES
            )
        except InvalidStatus as error:
            body = bytes(error.response.body or b"").decode(errors="replace")
            raise ConnectError(f"{url} answered {error.response.status_code}: {body}") from error
        except (OSError, InvalidURI, InvalidHandshake, TimeoutError) as error:
            raise ConnectError(f"{url} cannot be reached: {error}") from error
        return cls(socket)

    async def start(self, offer_sdp: str, portrait: str, prompt: str = "") -> Answer:
        """Starts the conversation; once a client. Refused says why not, ConnectionLost that the
        server is gone."""
        self._begun = True
        await self._send(type="start", sdp=offer_sdp, portrait=portrait, prompt=prompt)
        return await asyncio.shield(self._answer)

    async def set_prompt(self, prompt: str) -> float:
        """Changes the manner of speaking during the conversation; as often as you like, and of
        prompts in quick succession the newest wins. "" is the server's own.

        The second of the call from which pictures begin to follow it, at the earliest. The call's
        seconds begin when the server answers the offer. Refused if there was no `start` or the
        prompt is too long, which ends the conversation; ConnectionLost if it is over.
        """
        if self._begun:
            await asyncio.shield(self._answer)  # from then on each prompt has an answer of its own
        if self._ended.done():
            raise ConnectionLost("the conversation is over")
        prompted: asyncio.Future[float] = _future()
        self._prompts.append(prompted)
        await self._send(type="prompt", prompt=prompt)
        return await prompted

    async def set_listening(self, listening: bool) -> None:
        """Tells that somebody else has the word, or has it no more: meanwhile the portrait attends.

        Its own voice takes the word back while it lasts. ConnectionLost if the server is gone.
        """
        await self._send(type="listen", listening=listening)

    async def ended(self) -> str:
        """Waits for the end of the conversation; the server's reason. Refused, ConnectionLost."""
        return await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """Ends the conversation and closes the socket; may be called twice."""
        with suppress(ConnectionLost):
            if self._answer.done() and not self._ended.done():
                await self._send(type="stop")
                with suppress(SoulError):
                    await self.ended()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._socket.close()
        self._fail(ConnectionLost("the conversation was left"))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def _send(self, **message: str | bool) -> None:
        try:
            await self._socket.send(json.dumps(message))
        except ConnectionClosed as error:
            raise ConnectionLost(f"the server closed the socket: {_reason(error)}") from error

    async def _listen(self) -> None:
        try:
            async for data in self._socket:
                self._hear(data)
            self._fail(ConnectionLost("the server closed the socket"))
        except ConnectionClosed as error:
            self._fail(ConnectionLost(f"the server closed the socket: {_reason(error)}"))
        except UnexpectedMessage as error:
            self._fail(error)

    async def _live(self) -> None:
        while not self._ended.done():
            await asyncio.sleep(SIGN_OF_LIFE_SECONDS)
            with suppress(ConnectionLost):
                await self._send(type="ping")

    def _hear(self, data: str | bytes) -> None:
        message = _object(data)
        kind = message.get("type")
        if kind == "answer" and not self._answer.done():
            self._answer.set_result(Answer(sdp=message["sdp"], session=message["session"]))
        elif kind == "prompted" and self._prompts:
            prompted = self._prompts.popleft()
            if not prompted.done():  # its caller may have been cancelled
                prompted.set_result(float(message["seconds"]))
        elif kind == "ended":
            if not self._ended.done():
                self._ended.set_result(message["reason"])
            self._fail(ConnectionLost(message["reason"]))
        elif kind == "error":
            self._fail(refusal(message["code"], message["message"]))
        elif kind != "pong":
            raise UnexpectedMessage(f"the server sent a message of the type {kind!r}")

    def _fail(self, error: SoulError) -> None:
        asked: list[asyncio.Future[Any]] = [self._answer, self._ended, *self._prompts]
        for waiting in asked:
            if not waiting.done():
                waiting.set_exception(error)
                waiting.exception()  # whoever waits hears it; nobody has to


def _future() -> "asyncio.Future[Any]":
    return asyncio.get_running_loop().create_future()


def _object(data: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(data)
    except ValueError:
        raise UnexpectedMessage("the server sent a message that is not JSON") from None
    if not isinstance(message, dict):
        raise UnexpectedMessage("the server sent JSON that is not an object")
    for name, kind in _EXPECTED.get(str(message.get("type")), {}).items():
        if not isinstance(message.get(name), kind):
            raise UnexpectedMessage(f"the server sent {message['type']!r} without {name!r}")
    return message


def _reason(error: ConnectionClosed) -> str:
    if error.rcvd is None:
        return "without a word"
    return error.rcvd.reason or f"code {error.rcvd.code}"
