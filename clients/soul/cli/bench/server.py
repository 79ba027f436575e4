"""A `soul serve` of one's own: a process on a free port, ended with all its children.

Knows the command line of the server and its HTTP answers, nothing of what happens behind them.
"""

import asyncio
import json
import re
import signal
import sys
import urllib.error
import urllib.request
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

READY = re.compile(r"(http://\S+)")
START_SECONDS = 120.0  # on a busy machine torch alone takes a while
STOP_SECONDS = 20.0
KEPT_LINES = 200
COMMAND = (sys.executable, "-c", "from soul.cli.main import main; main()", "serve")


class BenchError(Exception):
    """A measurement cannot be made; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the server's processes hold, at one moment. `tasks` are asyncio's, in the server.

    Memory is the unique set size: what would come back if the process ended. `memory_of` tells it
    by process: "server" with the event loop, "worker" with the model, "tracker" of Python's
    multiprocessing.
    """

    memory_bytes: int
    memory_of: dict[str, int]
    tasks: int
    threads: int
    descriptors: int
    processes: int


class Server:
    """A running server. `log` are the last lines that it wrote."""

    def __init__(self, url: str, process: asyncio.subprocess.Process, log: deque[str]) -> None:
        self.url = url
        self.log = log
        self._process = process

    @property
    def socket_url(self) -> str:
        return self.url.replace("http://", "ws://", 1) + "ws"

    async def get(self, path: str) -> Any:
        """The JSON at `path`, such as "stats"; BenchError if the server is not there."""
        return await asyncio.to_thread(_get, self.url + path)

    async def sessions(self) -> dict[str, dict[str, Any]]:
        """The figures of every open session, by session."""
        sessions: dict[str, dict[str, Any]] = (await self.get("stats"))["sessions"]
        return sessions

    async def is_ready(self) -> bool:
        """Whether a conversation can be started now."""
        try:
            return bool((await self.get("healthz"))["status"] == "ok")
        except BenchError:
            return False

    async def resources(self) -> Resources:
        """What the server and its children hold now."""
        tasks = int((await self.get("stats"))["tasks"])
        family = _family(self._process.pid)
        memory = {_role(member): member.memory_full_info().uss for member in family}
        return Resources(
            memory_bytes=sum(memory.values()),
            memory_of=memory,
            tasks=tasks,
            threads=sum(member.num_threads() for member in family),
            descriptors=sum(member.num_fds() for member in family),
            processes=len(family),
        )

    def kill_worker(self) -> None:
        """Ends the process that owns the device, as when memory runs out."""
        for member in _family(self._process.pid):
            if _role(member) == "worker":
                member.kill()


@asynccontextmanager
async def serving(*arguments: str) -> AsyncIterator[Server]:
    """A server with these `arguments`, on a free port if they name none; BenchError if it does
    not start."""
    port = () if "--port" in arguments else ("--port", "0")
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *port,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    log: deque[str] = deque(maxlen=KEPT_LINES)
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(_read(process, log, address))
    try:
        async with asyncio.timeout(START_SECONDS):
            url = await address
        yield Server(url, process, log)
    except TimeoutError:
        raise BenchError(f"the server was not ready within {START_SECONDS:g} s") from None
    finally:
        await _end(process)
        await reading


async def _read(
    process: asyncio.subprocess.Process, log: deque[str], address: "asyncio.Future[str]"
) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        text = line.decode(errors="replace").rstrip()
        log.append(text)
        found = READY.search(text)
        if found is not None and not address.done():
            address.set_result(found.group(1))
    if not address.done():
        said = " ".join(log) or "it said nothing"
        address.set_exception(BenchError(f"the server did not start: {said}"))


async def _end(process: asyncio.subprocess.Process) -> None:
    """Asks it to stop as a person at the keyboard does; kills what is left."""
    family = _family(process.pid)
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        pass
    _kill(family)
    await process.wait()


def _kill(family: Sequence[psutil.Process]) -> None:
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()


def _family(pid: int) -> list[psutil.Process]:
    """The process and all that come from it."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _role(member: psutil.Process) -> str:
    """What a process of the server does, by how multiprocessing starts it."""
    line = " ".join(member.cmdline())
    if "multiprocessing.spawn" in line:
        return "worker"
    return "tracker" if "multiprocessing.resource_tracker" in line else "server"


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)
    except (urllib.error.URLError, TimeoutError, ValueError) as error:
        raise BenchError(f"{url} did not answer: {error}") from error
