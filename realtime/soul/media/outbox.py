"""What waits for a sender: a few things, the oldest dropped when nobody fetches them.

Knows neither aiortc nor codecs; whoever owns it says which exception ends a wait.
"""

import asyncio
from collections import deque
from typing import Any

from soul.media.packets import Image, Samples

MAX_WAITING = 3


class Outbox:
    """`put` never waits, `get` does; one reader."""

    def __init__(self, ended: type[Exception]) -> None:
        """`ended` is raised by `get` once the outbox is closed."""
        self._ended = ended
        self._waiting: deque[tuple[int, Any]] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self.dropped = 0

    def put(self, pts: int, item: Samples | Image) -> None:
        """`item` of output position `pts`; the oldest gives way if `MAX_WAITING` wait already."""
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append((pts, item))
        self._news.set()

    def close(self) -> None:
        """Whoever waits stops waiting."""
        self._closed = True
        self._news.set()

    async def get(self) -> tuple[int, Any]:
        """The oldest (pts, item)."""
        while not self._waiting and not self._closed:
            self._news.clear()
            await self._news.wait()
        if self._closed:
            raise self._ended
        return self._waiting.popleft()
