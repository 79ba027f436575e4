"""The process that owns the device: one process, one thread, one loop over a pipe.

Knows no asyncio and no session; it ends when told to, or when the other end of its pipe is gone.
"""

import logging
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import TypeAlias

from soul.stream import batch, wire
from soul.stream.types import Performs, StreamId, Work

logger = logging.getLogger(__name__)

Factory: TypeAlias = Callable[[], Performs]
"""Makes the performer inside the process, or raises `Unable`; must be picklable."""


class Unable(Exception):
    """A factory's known reason for giving no performer: one sentence that needs no traceback."""


class Stage:
    """Carries out commands with a performer; at most one waiting work a stream."""

    def __init__(self, performer: Performs, pipe: "Connection[wire.Report, wire.Command]") -> None:
        self._performer = performer
        self._pipe = pipe
        self._waiting: dict[StreamId, Work] = {}

    def run(self, max_batch: int) -> None:
        """Serve until `Stop`. EOFError or OSError when the other side is gone."""
        self._pipe.send(wire.Ready(self._performer.format, self._performer.steps))
        while self._listen():
            works = batch.choose(self._waiting.values(), max_batch)
            for work in works:
                del self._waiting[work.stream]
            if works:
                for frames in self._performer.perform(works):
                    self._pipe.send(wire.Performed(frames))

    def _listen(self) -> bool:
        """Take every command that is there, waiting for one if there is nothing to do."""
        while not self._waiting or self._pipe.poll():
            command = self._pipe.recv()
            if isinstance(command, wire.Stop):
                return False
            self._obey(command)
        return True

    def _obey(self, command: wire.Open | wire.Close | wire.Perform) -> None:
        match command:
            case wire.Open():
                self._pipe.send(self._open(command))
            case wire.Close():
                self._waiting.pop(command.stream, None)
                self._performer.close(command.stream)
                self._pipe.send(wire.Done(command.request))
            case wire.Perform(work):
                self._waiting[work.stream] = work

    def _open(self, command: wire.Open) -> wire.Report:
        try:
            self._performer.open(command.stream, command.portrait, command.prompt, command.seed)
        except (ValueError, RuntimeError, MemoryError) as error:  # bad input, or no room for more
            self._performer.close(command.stream)
            return wire.Refused(command.request, _sentence(error))
        return wire.Done(command.request)


def main(pipe: "Connection[wire.Report, wire.Command]", factory: Factory, max_batch: int) -> None:
    """The process's whole life: load, serve, and on failure say why in one sentence."""
    # Ctrl-C reaches the whole terminal group; who started this process also ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Stage(factory(), pipe).run(max_batch)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone: nobody is left to tell
    except Unable as error:
        pipe.send(wire.LastWords(_sentence(error)))
        raise SystemExit(1) from error
    except Exception as error:
        pipe.send(wire.LastWords(_sentence(error)))
        logger.exception("the worker process failed")
        raise SystemExit(1) from error


def _sentence(error: BaseException) -> str:
    return str(error) or type(error).__name__
