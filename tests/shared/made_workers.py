"""Workers for the pool's tests, by name importable from a process that is spawned."""

import os
import signal
from collections.abc import Callable
from contextlib import ExitStack

from soul.data.errors import StopError


def make(stack: ExitStack) -> Callable[[str], str]:
    """Answers in capitals, and dies or fails when it is told to."""
    return answer


def answer(task: str) -> str:
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "stop":
        raise StopError("the disk is full")
    return task.upper()


def refuse(stack: ExitStack) -> Callable[[str], str]:
    """A worker that cannot be made."""
    raise StopError("there are no weights")


def fail(stack: ExitStack) -> Callable[[str], str]:
    """A worker with an error in it."""
    return lambda task: str(int(task))
