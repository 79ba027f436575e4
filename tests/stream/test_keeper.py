"""Workers that die and are replaced: real processes with a performer that needs no torch."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from fake_performer import Load
from soul.stream.keeper import Keeper, Restarting
from soul.stream.restart import RestartConfig
from soul.stream.worker import Worker, WorkerConfig, WorkerError

PORTRAIT = np.zeros((2, 2, 3), np.uint8)
QUICK = RestartConfig(first_pause_ms=10, deaths=3)
LONG = RestartConfig(first_pause_ms=600_000)


def keeper(limits: RestartConfig, trouble: str = "", flag: Path | None = None) -> Keeper:
    config = WorkerConfig(factory=Load(trouble, flag), stop_grace=0.5, start_limit=30)
    return Keeper(config, time.monotonic_ns, limits)


@asynccontextmanager
async def started(limits: RestartConfig, *trouble: Any) -> AsyncIterator[Keeper]:
    kept = keeper(limits, *trouble)
    await kept.start()
    try:
        yield kept
    finally:
        await kept.stop()
        assert active_children() == []
        assert [t.name for t in threading.enumerate() if t.name.startswith("soul")] == []


def kill() -> None:
    (child,) = active_children()
    child.kill()


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def use(worker: Worker) -> None:
    await worker.open_stream("a", PORTRAIT, "", 0, lambda _: None)
    await worker.close_stream("a")


async def test_a_dead_worker_is_replaced_and_leaves_nothing() -> None:
    async with started(QUICK) as kept:
        before = psutil.Process().num_fds()
        first = kept.worker
        kill()
        await until(lambda: kept.failure is not None)
        assert "exit code -9" in str(first.failure), "who was on it hears why"
        with pytest.raises(Restarting, match="try again in a few seconds"):
            _ = kept.worker
        assert kept.format == first.format, "portraits can be read meanwhile"
        await until(lambda: kept.failure is None)
        assert kept.worker is not first
        await use(kept.worker)
        assert len(active_children()) == 1
        assert psutil.Process().num_fds() == before


async def test_after_too_many_deaths_it_stays_down() -> None:
    async with started(QUICK) as kept:
        for _ in range(2):
            kill()
            await until(lambda: kept.failure is not None)
            await until(lambda: kept.failure is None)
        kill()
        await until(lambda: kept.failure is not None and type(kept.failure) is WorkerError)
        with pytest.raises(WorkerError, match=r"died 3 times within 60 s.*exit code -9$"):
            _ = kept.worker
        assert active_children() == []


async def test_a_fresh_worker_that_cannot_load_counts_as_a_death(tmp_path: Path) -> None:
    flag = tmp_path / "loaded once"
    async with started(QUICK, "missing later", flag) as kept:
        kill()
        await until(lambda: type(kept.failure) is WorkerError)
        assert "stays down; at last: no weights at /nowhere" in str(kept.failure)


async def test_the_first_start_is_not_tried_again() -> None:
    kept = keeper(QUICK, "missing")
    with pytest.raises(WorkerError, match="no weights at /nowhere"):
        await kept.start()
    assert active_children() == []
    with pytest.raises(WorkerError, match="not started"):
        _ = kept.format
    await kept.stop()


async def test_stop_ends_the_pause() -> None:
    async with started(LONG) as kept:
        kill()
        await until(lambda: kept.failure is not None)
    await kept.stop()


async def test_stop_ends_a_worker_that_is_starting(tmp_path: Path) -> None:
    async with started(QUICK, "hang later", tmp_path / "loaded once") as kept:
        before = children()
        kill()
        await until(lambda: children() - before)
        assert isinstance(kept.failure, Restarting)
