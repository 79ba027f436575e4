"""What travels between a session, the engine and the worker. Plain data: no behaviour, no clock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from soul.timebase import Instant

StreamId: TypeAlias = str
Samples: TypeAlias = NDArray[np.float32]
Pictures: TypeAlias = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ChunkFormat:
    """How much sound one chunk needs and how many pictures it gives; read from a model's config.

    Chunk n shows samples [n·chunk, (n+1)·chunk) of the media clock. To compute it the model hears
    [n·chunk − past, (n+1)·chunk + lookahead); sound before sample 0 is silence.
    """

    chunk_samples: int
    past_samples: int
    lookahead_samples: int
    frames_per_chunk: int
    height: int  # pixels of a picture
    width: int

    @property
    def window_samples(self) -> int:
        return self.past_samples + self.chunk_samples + self.lookahead_samples


@dataclass(frozen=True, slots=True)
class Pcm:
    """Sound on the media clock: `samples` [n] float32 in [-1, 1] at 16 kHz from sample `start`."""

    start: int
    samples: Samples

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


@dataclass(frozen=True, slots=True)
class Work:
    """One chunk to compute. `pcm` [window_samples] is all the sound that it may hear.

    A `prompt` changes the stream's: this chunk does not know it yet, the next one begins to follow.
    Travelling with a chunk it needs no answer of its own, and costs no chunk any time.
    """

    stream: StreamId
    chunk: int
    pcm: Samples
    steps: int  # denoising passes; fewer when degraded
    deadline: Instant  # after this the pictures are too late to be shown
    prompt: str | None = None
    listening: bool = False  # somebody else has the word


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Measured seconds of each stage of one chunk, by the worker's clock."""

    listen: float = 0.0
    denoise: float = 0.0
    decode: float = 0.0
    commit: float = 0.0

    @property
    def total(self) -> float:
        return self.listen + self.denoise + self.decode + self.commit


@dataclass(frozen=True, slots=True)
class Frames:
    """What the worker gives back: `pictures` [frames, height, width, 3] RGB."""

    stream: StreamId
    chunk: int
    pictures: Pictures
    times: StageTimes = field(default_factory=StageTimes)


@dataclass(frozen=True, slots=True)
class FramesReady:
    """The model's pictures, to show from media sample `start` on."""

    chunk: int
    start: int
    pictures: Pictures
    times: StageTimes


@dataclass(frozen=True, slots=True)
class ChunkSkipped:
    """Chunk `chunk` is never computed; the last picture stands in. `reason` is one sentence."""

    chunk: int
    reason: str


Event: TypeAlias = FramesReady | ChunkSkipped


class Performs(Protocol):
    """What the worker's process drives: a model and the state of each open stream."""

    @property
    def format(self) -> ChunkFormat: ...

    @property
    def steps(self) -> int:
        """Denoising steps of an undegraded chunk."""
        ...

    def open(self, stream: StreamId, portrait: Pictures, prompt: str, seed: int) -> None:
        """Begin a stream with `portrait` [height, width, 3]; ValueError tells what is wrong."""
        ...

    def perform(self, works: Sequence[Work]) -> Iterator[Frames]:
        """One batch, one chunk of each stream: yields all pictures first and then tidies up."""
        ...

    def close(self, stream: StreamId) -> None:
        """Free what the stream held; an unknown stream is no error."""
        ...
