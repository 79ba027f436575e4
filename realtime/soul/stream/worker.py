"""The asyncio side of the one process that owns the device.

Knows no session and no engine, and never blocks the loop: one thread writes the pipe, one reads
it, and everything else happens on the loop. Who ends whom: `stop` ends the process and both
threads; the process's death ends the threads and fails every waiter; the parent's death is the
end of the pipe, which ends the process.
"""

import asyncio
import contextlib
import itertools
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import TypeAlias, TypeVar

from soul.stream import process, wire
from soul.stream.types import ChunkFormat, Frames, Performs, Pictures, StreamId, Work

_T = TypeVar("_T")
OnFrames: TypeAlias = Callable[[Frames], None]
OnFailure: TypeAlias = Callable[["WorkerError"], None]


class WorkerError(Exception):
    """One sentence: why the worker did not start, has died, or refuses what was asked."""


@dataclass(frozen=True, slots=True)
class LoadSoul:
    """Loads weights inside the worker's process; `Unable` says what is missing or wrong."""

    weights: str = "soul-mini"  # a shipped name or a folder
    device: str = "cpu"
    threads: int = 2
    markers: bool = False  # paint flashes over the pictures, to measure lips against sound

    def __call__(self) -> Performs:
        # Threads that spin while they wait take the core from one another when it is shared with
        # a browser or an encoder: chunks then took 5 times as long. Read when torch is loaded.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        # Imported here because torch belongs in the worker's process alone.
        from soul.model.load import WeightsError
        from soul.stream.markers import MarkerPerformer
        from soul.stream.performer import load_performer

        try:
            performer = load_performer(self.weights, self.device, self.threads)
        except WeightsError as error:
            raise process.Unable(str(error)) from error
        return MarkerPerformer(performer) if self.markers else performer


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """How the worker's process is made and ended; seconds."""

    factory: process.Factory = field(default_factory=LoadSoul)
    max_batch: int = 8
    start_limit: float = 120.0
    answer_limit: float = 20.0  # whatever takes longer means that the device hangs
    stop_grace: float = 2.0  # then the process is killed


@dataclass(slots=True)
class _Stream:
    """An open stream; `chunk` is the work that is out, `alarm` rings if it never comes back."""

    on_frames: OnFrames
    chunk: int | None = None
    alarm: asyncio.TimerHandle | None = None

    def expect(self, chunk: int, alarm: asyncio.TimerHandle) -> None:
        self.chunk, self.alarm = chunk, alarm

    def expect_nothing(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
        self.chunk = self.alarm = None


class Worker:
    """Opens streams, takes one `Work` of each at a time, hands pictures back on the loop.

    Made once, started once, stopped once. All methods belong to the loop that called `start`.
    """

    def __init__(self, config: WorkerConfig, on_failure: OnFailure | None = None) -> None:
        self._config = config
        self._on_failure = on_failure
        self._link: _Link | None = None
        self._ready: asyncio.Future[wire.Ready] | None = None
        self._failure: WorkerError | None = None
        self._stopping = False
        self._streams: dict[StreamId, _Stream] = {}
        self._requests: dict[int, asyncio.Future[None]] = {}
        self._numbers = itertools.count()

    @property
    def format(self) -> ChunkFormat:
        """The model's chunk; WorkerError before `start`."""
        return self._greeting().format

    @property
    def steps(self) -> int:
        """Denoising steps of an undegraded chunk; WorkerError before `start`."""
        return self._greeting().steps

    @property
    def failure(self) -> WorkerError | None:
        """Why the process died by itself, or None."""
        return self._failure

    async def start(self) -> None:
        """Start the process and wait until its model is loaded; WorkerError says why not."""
        if self._link is not None:
            raise WorkerError("the worker was started before")
        self._ready = asyncio.get_running_loop().create_future()
        self._link = _Link(self._config, asyncio.get_running_loop(), self._heard, self._ended)
        try:
            async with asyncio.timeout(self._config.start_limit):
                await self._link.start()
                await self._ready
        except TimeoutError:
            raise WorkerError(
                f"the worker process was not ready within {self._config.start_limit:g} s"
            ) from None
        except OSError as error:
            raise WorkerError(f"the worker process could not be made: {error}") from error
        finally:
            if not _succeeded(self._ready):
                await self.stop()

    async def open_stream(
        self,
        stream: StreamId,
        portrait: Pictures,
        prompt: str,
        seed: int,
        on_frames: OnFrames,
    ) -> None:
        """Begin a stream with `portrait` uint8 [size, size, 3]; `on_frames` is called on the loop.

        WorkerError if the stream is open, the portrait is refused or the process died.
        """
        self._check_alive()
        if stream in self._streams:
            raise WorkerError(f"stream {stream!r} is open already")
        self._streams[stream] = _Stream(on_frames)
        try:
            await self._ask(wire.Open(next(self._numbers), stream, portrait, prompt, seed))
        except WorkerError:
            self._streams.pop(stream, None)
            raise
        except asyncio.CancelledError:
            self._forget(stream)
            raise

    def submit(self, work: Work) -> None:
        """Send one chunk to compute. WorkerError if the stream is unknown or one is out already."""
        self._check_alive()
        stream = self._known(work.stream)
        if stream.chunk is not None:
            raise WorkerError(
                f"stream {work.stream!r} has chunk {stream.chunk} out: "
                f"chunk {work.chunk} must wait for its pictures"
            )
        if work.pcm.shape != (self.format.window_samples,):
            raise WorkerError(
                f"chunk {work.chunk} brings sound of shape {work.pcm.shape}: "
                f"({self.format.window_samples},) was expected"
            )
        stream.expect(work.chunk, self._alarm(f"chunk {work.chunk}", work.stream))
        self._send(wire.Perform(work))

    async def close_stream(self, stream: StreamId) -> None:
        """Free the stream; no pictures of it come any more. Quiet if the process has died.

        WorkerError if the stream is unknown, or if the process dies or hangs meanwhile.
        """
        if self._failure is not None or self._stopping:
            return
        self._known(stream).expect_nothing()
        del self._streams[stream]
        await self._ask(wire.Close(next(self._numbers), stream))

    async def stop(self) -> None:
        """End the process, whatever it is doing, and free pipe and threads. May be repeated."""
        self._stopping = True
        self._release(WorkerError("the worker was stopped"))
        if self._link is not None:
            await self._link.stop()

    def _greeting(self) -> wire.Ready:
        if self._ready is None or not _succeeded(self._ready):
            raise WorkerError("the worker was not started")
        return self._ready.result()

    def _check_alive(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._stopping:
            raise WorkerError("the worker was stopped")
        self._greeting()

    def _known(self, stream: StreamId) -> _Stream:
        if stream not in self._streams:
            raise WorkerError(f"stream {stream!r} is not open")
        return self._streams[stream]

    async def _ask(self, command: wire.Open | wire.Close) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._requests[command.request] = answer
        alarm = self._alarm(type(command).__name__.lower(), command.stream)
        self._send(command)
        try:
            await answer
        finally:
            alarm.cancel()
            self._requests.pop(command.request, None)

    def _forget(self, stream: StreamId) -> None:
        """Close a stream that nobody waits for; the answer finds no waiter."""
        if self._streams.pop(stream, None) is not None:
            self._send(wire.Close(next(self._numbers), stream))

    def _send(self, command: wire.Command) -> None:
        if self._link is not None:
            self._link.send(command)

    def _heard(self, report: wire.Report) -> None:
        match report:
            case wire.Ready():
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(report)
            case wire.Done(request):
                answer = self._requests.get(request)
                if answer is not None and not answer.done():
                    answer.set_result(None)
            case wire.Refused(request, reason):
                answer = self._requests.get(request)
                if answer is not None and not answer.done():
                    answer.set_exception(WorkerError(reason))
            case wire.Performed(frames):
                self._deliver(frames)
            case wire.LastWords(reason):
                self._fail(WorkerError(reason))

    def _deliver(self, frames: Frames) -> None:
        stream = self._streams.get(frames.stream)
        if stream is not None and stream.chunk == frames.chunk:
            stream.expect_nothing()
            stream.on_frames(frames)

    def _alarm(self, asked: str, stream: StreamId) -> asyncio.TimerHandle:
        """Rings if `asked` is not answered in time; whoever gets the answer cancels it."""
        loop = asyncio.get_running_loop()
        return loop.call_later(
            self._config.answer_limit, self._hung, f"{asked} of stream {stream!r}"
        )

    def _hung(self, asked: str) -> None:
        self._fail(
            WorkerError(
                f"the worker process did not answer {asked} within {self._config.answer_limit:g} s"
            )
        )
        if self._link is not None:
            self._link.kill()

    def _ended(self, exit_code: int | None) -> None:
        self._fail(WorkerError(f"the worker process ended unexpectedly with exit code {exit_code}"))

    def _fail(self, failure: WorkerError) -> None:
        """The process is dead or dying: tell everyone, once."""
        if self._failure is not None or self._stopping:
            return
        self._failure = failure
        started = self._ready is not None and _succeeded(self._ready)
        self._release(failure)
        if started and self._on_failure is not None:
            self._on_failure(failure)

    def _release(self, failure: WorkerError) -> None:
        """Let go of every stream and of everyone who waits for an answer."""
        for stream in self._streams.values():
            stream.expect_nothing()
        self._streams.clear()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(failure)
            self._ready.exception()  # seen here: `start` may have been cancelled
        for answer in self._requests.values():
            if not answer.done():
                answer.set_exception(failure)


def _succeeded(future: asyncio.Future[wire.Ready]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


class _Link:
    """The process, its pipe and the two threads that keep the pipe from blocking the loop."""

    def __init__(
        self,
        config: WorkerConfig,
        loop: asyncio.AbstractEventLoop,
        on_report: Callable[[wire.Report], None],
        on_end: Callable[[int | None], None],
    ) -> None:
        self._config = config
        self._loop = loop
        self._on_report = on_report
        self._on_end = on_end
        self._outbox: queue.SimpleQueue[wire.Command | None] = queue.SimpleQueue()
        self._pipe: Connection[wire.Command, wire.Report] | None = None
        self._process: SpawnProcess | None = None
        self._reader: threading.Thread | None = None
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()  # `start` and `stop` run in threads and may meet
        self._stopped = False

    async def start(self) -> None:
        await asyncio.to_thread(self._start)

    def send(self, command: wire.Command) -> None:
        self._outbox.put(command)

    def kill(self) -> None:
        """End a process that no longer listens; the reader sees the end of the pipe."""
        if self._process is not None:
            self._process.kill()

    async def stop(self) -> None:
        self.send(wire.Stop())
        await asyncio.to_thread(self._stop)

    def _start(self) -> None:
        with self._lock:
            if self._stopped:
                return  # `start` was cancelled and `stop` came first
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(
                target=process.main,
                args=(theirs, self._config.factory, self._config.max_batch),
                name="soul-worker",
                daemon=True,  # an interpreter that exits without `stop` takes it along
            )
            try:
                self._process.start()
            finally:
                theirs.close()  # so that the process's death is the end of the pipe
            self._writer = _thread("soul-worker-out", self._write, self._pipe)
            self._reader = _thread("soul-worker-in", self._read, self._pipe, self._process)

    def _stop(self) -> None:
        """Wait for a polite end, then force it; afterwards nothing is left. May be repeated."""
        with self._lock:
            self._stopped = True
            if self._reader is not None and self._process is not None:
                self._reader.join(self._config.stop_grace)
                if self._reader.is_alive():
                    self._process.kill()  # the reader sees the end of the pipe and reaps
                    self._reader.join()
                self._process.close()
                self._reader = None
            if self._writer is not None:
                self._writer.join()
                self._writer = None
            if self._pipe is not None:
                self._pipe.close()

    def _write(self, pipe: "Connection[wire.Command, wire.Report]") -> None:
        while (command := self._outbox.get()) is not None:
            try:
                pipe.send(command)
            except OSError:
                return  # the process is gone; the reader tells

    def _read(self, pipe: "Connection[wire.Command, wire.Report]", process: SpawnProcess) -> None:
        try:
            while True:
                self._post(self._on_report, pipe.recv())
        except (EOFError, OSError):
            process.join(self._config.stop_grace)
        if process.is_alive():
            process.kill()
            process.join()
        self._outbox.put(None)
        self._post(self._on_end, process.exitcode)

    def _post(self, callback: Callable[[_T], None], argument: _T) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(callback, argument)


def _thread(name: str, target: Callable[..., None], *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args, name=name, daemon=True)
    thread.start()
    return thread
