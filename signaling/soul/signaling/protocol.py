"""The one WebSocket's messages and their order, without I/O.

The client says `start` once, then `prompt` and `listen` as often as it likes, may say `ping` at any
time and `stop` at the end; the server says `answer`, `prompted`, `pong`, `ended`, or `error` with
one sentence and a close code (RFC 6455 §7.4.1). Every `prompt` after the answer is answered by one
`prompted`, in order; of those before it only the newest counts, and is answered after the answer.
This file does NOT know sockets, HTTP, clocks, sessions, or what stands inside an SDP.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import ClassVar, Literal, TypeAlias

MAX_MESSAGE_BYTES = 64 * 1024
MAX_PROMPT_CHARACTERS = 500
PORTRAIT = re.compile(r"(?:upload:[0-9a-f]{32}|[a-z0-9][a-z0-9_-]{0,63})\Z")


class Close(IntEnum):
    """Close codes that this server uses."""

    NORMAL = 1000
    UNSUPPORTED = 1003  # a binary message
    INVALID_DATA = 1007  # not UTF-8, not JSON, not an SDP
    POLICY = 1008  # wrong shape, wrong order, not allowed
    TOO_BIG = 1009
    INTERNAL = 1011
    TRY_LATER = 1013  # every place is taken, or the worker is being restarted


@dataclass(frozen=True, slots=True)
class Start:
    """Client: begin. `portrait` is a built-in's name or `upload:<id>`; `sdp` is the offer."""

    type: ClassVar[Literal["start"]] = "start"
    portrait: str
    sdp: str
    prompt: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Client: from now on in this manner. The newest of several wins; empty is the server's own."""

    type: ClassVar[Literal["prompt"]] = "prompt"
    prompt: str


@dataclass(frozen=True, slots=True)
class Listen:
    """Client: somebody else has the word, or has it no more. It has no answer."""

    type: ClassVar[Literal["listen"]] = "listen"
    listening: bool


@dataclass(frozen=True, slots=True)
class Stop:
    """Client: end the conversation."""

    type: ClassVar[Literal["stop"]] = "stop"


@dataclass(frozen=True, slots=True)
class Ping:
    """Client: I am still here."""

    type: ClassVar[Literal["ping"]] = "ping"


@dataclass(frozen=True, slots=True)
class Answer:
    """Server: the conversation `session` is open; `sdp` is the answer."""

    type: ClassVar[Literal["answer"]] = "answer"
    sdp: str
    session: str


@dataclass(frozen=True, slots=True)
class Prompted:
    """Server: pictures from `seconds` of the call on, at the earliest, begin to follow the prompt.

    The call's seconds are those of its media, which begin when the offer is answered.
    """

    type: ClassVar[Literal["prompted"]] = "prompted"
    seconds: float


@dataclass(frozen=True, slots=True)
class Pong:
    """Server: so am I."""

    type: ClassVar[Literal["pong"]] = "pong"


@dataclass(frozen=True, slots=True)
class Ended:
    """Server: the conversation is over; `reason` is one sentence."""

    type: ClassVar[Literal["ended"]] = "ended"
    reason: str


@dataclass(frozen=True, slots=True)
class Error:
    """Server: that was refused, and the socket closes; `message` is one sentence."""

    type: ClassVar[Literal["error"]] = "error"
    code: str
    message: str


ClientMessage: TypeAlias = Start | Prompt | Listen | Stop | Ping
ServerMessage: TypeAlias = Answer | Prompted | Pong | Ended | Error


class ProtocolError(Exception):
    """A message that the protocol does not allow: one sentence, its short code, a close code."""

    def __init__(self, code: str, message: str, close: Close) -> None:
        super().__init__(message)
        self.error = Error(code, message)
        self.close = close


def serialise(message: ClientMessage | ServerMessage) -> str:
    """One message as the JSON text that travels."""
    return json.dumps({"type": message.type, **asdict(message)}, ensure_ascii=False)


def parse_client(data: str | bytes) -> ClientMessage:
    """What a client sent; ProtocolError if it is not exactly one of its five messages."""
    fields = _fields(data)
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind not in _CLIENT:
        raise _shape(
            f'the message\'s "type" is {_shown(kind)}; expected "start", "prompt", '
            '"listen", "stop" or "ping"'
        )
    return _CLIENT[kind](fields)


def parse_server(data: str | bytes) -> ServerMessage:
    """What a server sent; ProtocolError if it is not exactly one of its five messages."""
    fields = _fields(data, limit=None)
    kind = fields.pop("type", None)
    if not isinstance(kind, str) or kind not in _SERVER:
        raise _shape(f"the server's message has the type {_shown(kind)}, which is unknown")
    return _SERVER[kind](fields)


def _fields(data: str | bytes, limit: int | None = MAX_MESSAGE_BYTES) -> dict[str, object]:
    if isinstance(data, bytes):
        sentence = f"a binary message of {len(data)} bytes came; expected JSON text"
        raise ProtocolError("unsupported", sentence, Close.UNSUPPORTED)
    size = len(data.encode("utf-8", "surrogatepass"))
    if limit is not None and size > limit:
        sentence = f"the message has {size} bytes; at most {limit} are allowed"
        raise ProtocolError("too_big", sentence, Close.TOO_BIG)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        sentence = f"the message {_shown(data)} is not JSON"
        raise ProtocolError("not_json", sentence, Close.INVALID_DATA) from None
    if not isinstance(value, dict):
        raise _shape(f"the message is {_shown(value)}; expected a JSON object")
    return value


def _shape(sentence: str) -> ProtocolError:
    return ProtocolError("bad_message", sentence, Close.POLICY)


def _shown(value: object, length: int = 40) -> str:
    """A value as it may stand in a sentence: JSON-like, short."""
    text = ascii(value)
    return text if len(text) <= length else text[: length - 1] + "…"


def _known(fields: Mapping[str, object], kind: str, *names: str) -> None:
    unknown = sorted(set(fields) - set(names))
    if unknown:
        allowed = ", ".join(f'"{name}"' for name in names) or "none"
        raise _shape(f'"{kind}" has the unknown field {_shown(unknown[0])}; allowed: {allowed}')


def _text(fields: Mapping[str, object], kind: str, name: str, default: str | None = None) -> str:
    value = fields.get(name, default)
    if not isinstance(value, str):
        raise _shape(f'"{name}" of "{kind}" is {_shown(value)}; expected text')
    return value


def _prompt_text(fields: Mapping[str, object], kind: str, default: str | None = None) -> str:
    prompt = _text(fields, kind, "prompt", default)
    if len(prompt) > MAX_PROMPT_CHARACTERS:
        raise _shape(
            f'"prompt" has {len(prompt)} characters; at most {MAX_PROMPT_CHARACTERS} are allowed'
        )
    return prompt


def _start(fields: Mapping[str, object]) -> Start:
    _known(fields, "start", "portrait", "prompt", "sdp")
    portrait = _text(fields, "start", "portrait")
    if PORTRAIT.match(portrait) is None:
        raise _shape(
            f'"portrait" is {_shown(portrait)}; expected a built-in\'s name or "upload:<id>"'
        )
    prompt = _prompt_text(fields, "start", "")
    sdp = _text(fields, "start", "sdp")
    if not sdp.startswith("v=0"):
        sentence = f'"sdp" starts with {_shown(sdp[:20])}; expected an offer starting with "v=0"'
        raise ProtocolError("bad_offer", sentence, Close.INVALID_DATA)
    return Start(portrait=portrait, prompt=prompt, sdp=sdp)


def _prompt(fields: Mapping[str, object]) -> Prompt:
    _known(fields, "prompt", "prompt")
    return Prompt(_prompt_text(fields, "prompt"))


def _listen(fields: Mapping[str, object]) -> Listen:
    _known(fields, "listen", "listening")
    listening = fields.get("listening")
    if not isinstance(listening, bool):
        raise _shape(f'"listening" of "listen" is {_shown(listening)}; expected true or false')
    return Listen(listening)


def _stop(fields: Mapping[str, object]) -> Stop:
    _known(fields, "stop")
    return Stop()


def _ping(fields: Mapping[str, object]) -> Ping:
    _known(fields, "ping")
    return Ping()


def _answer(fields: Mapping[str, object]) -> Answer:
    _known(fields, "answer", "sdp", "session")
    return Answer(sdp=_text(fields, "answer", "sdp"), session=_text(fields, "answer", "session"))


def _prompted(fields: Mapping[str, object]) -> Prompted:
    _known(fields, "prompted", "seconds")
    seconds = fields.get("seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise _shape(f'"seconds" of "prompted" is {_shown(seconds)}; expected a number')
    if not math.isfinite(seconds) or seconds < 0:
        raise _shape(f'"seconds" of "prompted" is {seconds}; expected 0 or more')
    return Prompted(float(seconds))


def _pong(fields: Mapping[str, object]) -> Pong:
    _known(fields, "pong")
    return Pong()


def _ended(fields: Mapping[str, object]) -> Ended:
    _known(fields, "ended", "reason")
    return Ended(_text(fields, "ended", "reason"))


def _error(fields: Mapping[str, object]) -> Error:
    _known(fields, "error", "code", "message")
    return Error(_text(fields, "error", "code"), _text(fields, "error", "message"))


_CLIENT: dict[str, Callable[[Mapping[str, object]], ClientMessage]] = {
    "start": _start,
    "prompt": _prompt,
    "listen": _listen,
    "stop": _stop,
    "ping": _ping,
}
_SERVER: dict[str, Callable[[Mapping[str, object]], ServerMessage]] = {
    "answer": _answer,
    "prompted": _prompted,
    "pong": _pong,
    "ended": _ended,
    "error": _error,
}


@dataclass(frozen=True, slots=True)
class Open:
    """Do: open a session for this start, then call `opened` or `failed`."""

    start: Start


@dataclass(frozen=True, slots=True)
class SetPrompt:
    """Do: change the session's prompt, then call `prompted`."""

    prompt: str


@dataclass(frozen=True, slots=True)
class SetListening:
    """Do: tell the session whether somebody else has the word."""

    listening: bool


@dataclass(frozen=True, slots=True)
class Send:
    """Do: send this message."""

    message: ServerMessage


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Do: close the session if there is one, then the socket."""

    code: Close
    reason: str


Action: TypeAlias = Open | SetPrompt | SetListening | Send | CloseSocket
Phase: TypeAlias = Literal["waiting", "opening", "live", "closed"]


class Signaling:
    """One socket's conversation: what came in → what to do. One start a socket, ever."""

    def __init__(self) -> None:
        self.phase: Phase = "waiting"
        self._held: str | None = None  # a prompt that came while the session was being opened
        self._attending = False  # what `listen` said while the session was being opened

    def receive(self, data: str | bytes) -> list[Action]:
        """A message came."""
        if self.phase == "closed":
            return []
        try:
            message = parse_client(data)
            return self._obey(message)
        except ProtocolError as refused:
            return self.failed(refused)

    def opened(self, sdp: str, session: str) -> list[Action]:
        """The session that `Open` asked for is there."""
        if self.phase != "opening":
            return []
        self.phase = "live"
        answer = Send(Answer(sdp=sdp, session=session))
        prompt = [] if self._held is None else [SetPrompt(self._held)]
        listening = [SetListening(True)] if self._attending else []
        return [answer, *prompt, *listening]

    def prompted(self, seconds: float) -> list[Action]:
        """What `SetPrompt` asked for holds from `seconds` of the call on."""
        return [] if self.phase != "live" else [Send(Prompted(seconds))]

    def failed(self, refused: ProtocolError) -> list[Action]:
        """Something cannot be done: say why, and close."""
        if self.phase == "closed":
            return []
        self.phase = "closed"
        return [Send(refused.error), CloseSocket(refused.close, refused.error.message)]

    def ended(self, reason: str, code: Close = Close.NORMAL) -> list[Action]:
        """The conversation is over, for `reason`: say so, and close."""
        if self.phase == "closed":
            return []
        self.phase = "closed"
        return [Send(Ended(reason)), CloseSocket(code, reason)]

    def _obey(self, message: ClientMessage) -> list[Action]:
        if isinstance(message, Ping):
            return [Send(Pong())]
        if isinstance(message, Prompt):
            return self._set_prompt(message.prompt)
        if isinstance(message, Listen):
            return self._set_listening(message.listening)
        if isinstance(message, Stop):
            return self._stop()
        if self.phase != "waiting":
            sentence = 'a second "start" came; one socket carries one conversation'
            raise ProtocolError("already_started", sentence, Close.POLICY)
        self.phase = "opening"
        return [Open(message)]

    def _set_prompt(self, prompt: str) -> list[Action]:
        self._check_started("prompt")
        if self.phase == "opening":
            self._held = prompt
            return []
        return [SetPrompt(prompt)]

    def _set_listening(self, listening: bool) -> list[Action]:
        self._check_started("listen")
        if self.phase == "opening":
            self._attending = listening
            return []
        return [SetListening(listening)]

    def _check_started(self, kind: str) -> None:
        if self.phase == "waiting":
            sentence = f'"{kind}" came before "start"; nothing is running'
            raise ProtocolError("not_started", sentence, Close.POLICY)

    def _stop(self) -> list[Action]:
        self._check_started("stop")
        return self.ended("The conversation was stopped.")
