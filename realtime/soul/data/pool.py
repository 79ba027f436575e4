"""Worker processes that may die: each has one task at a time, and the others go on.

What reads somebody's videos is C code of many hands; a file that takes a process down costs that
file only. Knows nothing of what the tasks are.
"""

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from soul.data.errors import DataError, StopError

Task = TypeVar("Task")
Answer = TypeVar("Answer")
Make = Callable[[ExitStack], Callable[[Any], Any]]

READY = "ready"


@dataclass(frozen=True, slots=True)
class Died:
    """Instead of an answer: how the process ended, in words."""

    how: str


@dataclass(frozen=True, slots=True)
class Worker:
    process: SpawnProcess
    connection: Connection


class Pool(Generic[Task, Answer]):
    """`count` processes, each of which makes its own worker by `make` and asks it task by task.

    `make` must be picklable; it is given a stack on which it may put what has to be closed.
    """

    def __init__(self, make: Make, count: int) -> None:
        if count < 1:
            raise StopError(f"{count} processes cannot work; expected at least 1")
        self._make = make
        self._count = count
        self._idle: list[Worker] = []
        self._busy: dict[Connection, tuple[Worker, Task]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        workers = [*self._idle, *(worker for worker, _ in self._busy.values())]
        for worker in workers:
            worker.connection.close()
        for worker, _ in self._busy.values():
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
        self._idle, self._busy = [], {}

    def run(self, tasks: deque[Task]) -> Iterator[tuple[Task, Answer | Died]]:
        """Answers as they come; tasks may be added meanwhile. Raises what a worker raises."""
        while tasks or self._busy:
            while tasks and len(self._busy) < self._count:
                self._hand_out(tasks.popleft())
            for connection in wait(list(self._busy)):
                if isinstance(connection, Connection):
                    yield self._collect(connection)

    def _hand_out(self, task: Task) -> None:
        worker = self._idle.pop() if self._idle else self._start()
        self._busy[worker.connection] = worker, task
        worker.connection.send(task)

    def _start(self) -> Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._make), daemon=True)
        process.start()
        theirs.close()
        try:
            first = ours.recv()
        except (EOFError, ConnectionResetError) as error:
            process.join()
            raise StopError(f"a worker could not start ({_how(process)})") from error
        if isinstance(first, DataError):
            process.join()
            raise first
        return Worker(process, ours)

    def _collect(self, connection: Connection) -> tuple[Task, Answer | Died]:
        worker, task = self._busy.pop(connection)
        try:
            answer: Answer | Died | DataError = connection.recv()
        except (EOFError, ConnectionResetError):
            connection.close()
            worker.process.join()
            if worker.process.exitcode == 1:  # an error in Python: it would come again
                raise StopError(f"a worker failed at {task}; its error stands above") from None
            return task, Died(_how(worker.process))
        self._idle.append(worker)
        if isinstance(answer, DataError):
            raise answer
        return task, answer


def _how(process: SpawnProcess) -> str:
    code = process.exitcode or 0
    return signal.strsignal(-code) or f"signal {-code}" if code < 0 else f"exit code {code}"


def _work(connection: Connection, make: Make) -> None:
    """A worker process's life: it ends when nobody is at the other end any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the one that hands out
    with ExitStack() as stack:
        try:
            work = make(stack)
        except DataError as error:
            connection.send(error)
            return
        connection.send(READY)
        while True:
            try:
                task = connection.recv()
            except (EOFError, ConnectionResetError):
                return
            try:
                answer = work(task)
            except DataError as error:
                answer = error
            connection.send(answer)
