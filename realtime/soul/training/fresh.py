"""Calls in processes of their own: what one leaves behind cannot change the next.

eSpeak NG carries something over from sentence to sentence, even when it is loaded anew, so a take
that shares its process depends on what was spoken before. It knows nothing of takes.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


def each_alone(
    call: Callable[[Item], Answer], items: Iterable[Item], processes: int, module: str
) -> Iterator[Answer]:
    """`call` of every item, in order, each in a fresh process, `processes` of them at once.

    The fork server imports `module`, where `call` is at home, once: a process costs milliseconds.
    Errors of a call are raised here.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload([module])
    with ProcessPoolExecutor(processes, mp_context=context, max_tasks_per_child=1) as pool:
        for job in [pool.submit(call, item) for item in items]:
            yield job.result()
