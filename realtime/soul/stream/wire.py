"""The words spoken over the pipe between `worker` and `process`. Plain data, picklable.

Knows neither side. Each request carries a number that its answer repeats.
"""

from dataclasses import dataclass
from typing import TypeAlias

from soul.stream.types import ChunkFormat, Frames, Pictures, StreamId, Work


@dataclass(frozen=True, slots=True)
class Open:
    """Begin a stream."""

    request: int
    stream: StreamId
    portrait: Pictures
    prompt: str
    seed: int


@dataclass(frozen=True, slots=True)
class Close:
    """End a stream; its waiting work is forgotten."""

    request: int
    stream: StreamId


@dataclass(frozen=True, slots=True)
class Perform:
    """Compute one chunk."""

    work: Work


@dataclass(frozen=True, slots=True)
class Stop:
    """End the process."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The performer is loaded."""

    format: ChunkFormat
    steps: int


@dataclass(frozen=True, slots=True)
class Done:
    """A request was carried out."""

    request: int


@dataclass(frozen=True, slots=True)
class Refused:
    """A request was not carried out; `reason` is one sentence. The process goes on."""

    request: int
    reason: str


@dataclass(frozen=True, slots=True)
class Performed:
    """The pictures of one chunk."""

    frames: Frames


@dataclass(frozen=True, slots=True)
class LastWords:
    """Why the process ends, in one sentence."""

    reason: str


Command: TypeAlias = Open | Close | Perform | Stop
Report: TypeAlias = Ready | Done | Refused | Performed | LastWords
