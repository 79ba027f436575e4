"""A performer without torch for the worker's tests: what goes wrong is written in the prompt.

Found by `pythonpath` in pyproject.toml, since the worker's process imports it by name.
"""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from soul.stream.types import ChunkFormat, Frames, Pictures, StreamId, Work

FORM = ChunkFormat(
    chunk_samples=8, past_samples=13, lookahead_samples=3, frames_per_chunk=4, height=2, width=2
)


class FakePerformer:
    """Paints each picture with (value of the last sample heard, streams open, works together)."""

    format = FORM
    steps = 2

    def __init__(self) -> None:
        self._prompts: dict[StreamId, str] = {}

    def open(self, stream: StreamId, portrait: Pictures, prompt: str, seed: int) -> None:
        self._prompts[stream] = prompt
        match prompt:
            case "refuse":
                raise ValueError(f"the portrait of {stream} is refused")
            case "slow to open":
                time.sleep(0.3)
            case "hang to open":
                time.sleep(1000)
            case "die to open":
                os._exit(7)

    def close(self, stream: StreamId) -> None:
        self._prompts.pop(stream, None)

    def perform(self, works: Sequence[Work]) -> Iterator[Frames]:
        for work in works:
            match self._prompts[work.stream]:
                case "die":
                    os._exit(7)
                case "hang":
                    time.sleep(1000)
                case "raise":
                    raise RuntimeError("the device is lost")
                case "slow":
                    time.sleep(0.3)
            color = np.array([work.pcm[-1], len(self._prompts), len(works)], np.uint8)
            yield Frames(work.stream, work.chunk, np.broadcast_to(color, (4, 2, 2, 3)).copy())
            if self._prompts[work.stream] == "hang afterwards":
                time.sleep(1000)
            self._prompts[work.stream] = work.prompt or self._prompts[work.stream]


@dataclass(frozen=True)
class Load:
    """The factory: `trouble` is what befalls the process while it loads.

    "... later" befalls all but the first process, which leaves `flag` behind.
    """

    trouble: str = ""
    flag: Path | None = None

    def __call__(self) -> FakePerformer:
        if self.flag is not None and not self.flag.exists():
            self.flag.touch()
            return FakePerformer()
        trouble = self.trouble.removesuffix(" later")
        if trouble == "missing":
            raise FileNotFoundError("no weights at /nowhere: a folder with weights was expected")
        if trouble == "die":
            os._exit(7)
        if trouble == "hang":
            time.sleep(1000)
        return FakePerformer()
