"""What a session needs of a worker; `soul.stream.worker.Worker` is one, tests bring their own."""

from collections.abc import Callable
from typing import Protocol

from soul.stream.types import ChunkFormat, Frames, Pictures, StreamId, Work
from soul.stream.worker import WorkerError


class Worker(Protocol):
    """Turns work into pictures elsewhere. Its methods raise `soul.stream.worker.WorkerError`."""

    @property
    def format(self) -> ChunkFormat: ...

    @property
    def steps(self) -> int: ...

    @property
    def failure(self) -> WorkerError | None: ...

    async def open_stream(
        self,
        stream: StreamId,
        portrait: Pictures,
        prompt: str,
        seed: int,
        on_frames: Callable[[Frames], None],
    ) -> None: ...

    def submit(self, work: Work) -> None: ...

    async def close_stream(self, stream: StreamId) -> None: ...
