"""Keeps a worker running: when its process dies, a fresh one is started, but not for ever.

Knows no session: whoever opens a stream asks for the worker of the moment and stays with it, so
that a death ends exactly the streams that were on it. When to start again is decided in `restart`.
"""

import asyncio
import logging
from collections.abc import Callable

from soul.stream.restart import RestartConfig, Restarts
from soul.stream.types import ChunkFormat
from soul.stream.worker import Worker, WorkerConfig, WorkerError
from soul.timebase import NANOSECONDS, Instant

_log = logging.getLogger(__name__)


class Restarting(WorkerError):
    """The worker died and a fresh one is on its way: asking again in a few seconds will do."""

    def __init__(self) -> None:
        super().__init__("the model's process is being restarted; try again in a few seconds")


class Keeper:
    """Made once, started once, stopped once, on one loop. `clock` reads a monotonic clock."""

    def __init__(
        self,
        config: WorkerConfig,
        clock: Callable[[], Instant],
        restarts: RestartConfig | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._limits = restarts or RestartConfig()
        self._restarts = Restarts(self._limits)
        self._died = asyncio.Event()
        self._worker = self._fresh()
        self._format: ChunkFormat | None = None
        self._loading = False  # the worker is not the first, and not ready yet
        self._down: str | None = None  # why there will be no worker any more
        self._keeping: asyncio.Task[None] | None = None

    @property
    def worker(self) -> Worker:
        """The worker that serves now. Restarting if one will soon, WorkerError if none will."""
        if (failure := self.failure) is not None:
            raise failure
        return self._worker

    @property
    def failure(self) -> WorkerError | None:
        """Why no stream can be opened now, or None; it is Restarting if that will pass."""
        if self._down is not None:
            return WorkerError(self._down)
        return Restarting() if self._loading or self._died.is_set() else None

    @property
    def format(self) -> ChunkFormat:
        """The model's chunk, also while no worker is there; WorkerError before `start`."""
        if self._format is None:
            raise WorkerError("the worker was not started")
        return self._format

    async def start(self) -> None:
        """Start the first worker; WorkerError says why not, and it is not tried again."""
        await self._start(self._worker)
        self._keeping = asyncio.create_task(self._keep(), name="soul-keeper")

    async def stop(self) -> None:
        """End the worker, also one that is starting. May be repeated."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._worker.stop()

    def _fresh(self) -> Worker:
        self._died.clear()
        return Worker(self._config, on_failure=lambda _: self._died.set())

    async def _start(self, worker: Worker) -> None:
        await worker.start()
        self._format = worker.format
        self._restarts.ready(self._clock())

    async def _keep(self) -> None:
        """Until the worker has died too often: wait for its death, pause, start a fresh one."""
        failure = await self._death()
        while (pause := self._restarts.died(self._clock())) is not None:
            _log.warning("%s; a fresh one starts in %g s", failure, pause / NANOSECONDS)
            await asyncio.sleep(pause / NANOSECONDS)
            failure = await self._replace() or await self._death()
        self._down = (
            f"the model's process died {self._limits.deaths} times within "
            f"{self._limits.window_seconds} s of service and stays down; at last: {failure}"
        )
        _log.error("%s", self._down)

    async def _death(self) -> WorkerError | None:
        await self._died.wait()
        failure = self._worker.failure
        await self._worker.stop()  # frees pipe and threads of a process that is gone
        return failure

    async def _replace(self) -> WorkerError | None:
        """A fresh worker instead of the dead one; why it did not become ready, or None."""
        self._loading = True
        self._worker = self._fresh()
        try:
            await self._start(self._worker)
        except WorkerError as error:
            return error
        self._loading = False
        return None
