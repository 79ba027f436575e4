"""A real server in a process of its own, and viewers: aiortc peers that speak and look."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from soul.cli.bench.server import Server, serving
from soul.client import SoulClient
from soul.model.config import PRESETS
from soul.model.load import save
from soul.model.sample import build
from viewers import Viewer, speech, until


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the smallest model and random weights: 64 x 64 pixels."""
    folder = tmp_path_factory.mktemp("soul-test")
    save(build(PRESETS["soul-test"], 0), folder)
    return folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(small_model: Path) -> AsyncIterator[Server]:
    """One server for the module, with room for three."""
    arguments = ("--model", str(small_model), "--threads", "1", "--max-sessions", "3")
    async with serving(*arguments) as running:
        yield running
        assert not [line for line in running.log if "Traceback" in line], "\n".join(running.log)


@pytest_asyncio.fixture(loop_scope="module")
async def place(server: Server) -> AsyncIterator[AsyncExitStack]:
    """What a test opens is closed here, and the server is empty again before the next one."""
    async with AsyncExitStack() as opened:
        yield opened
    await until(lambda: empty(server), "the server frees every session")


async def empty(server: Server) -> bool:
    return not await server.sessions()


@pytest.fixture
def join() -> Callable[..., Any]:
    """`await join(server, place)` → (viewer, client, session) of a new, running conversation."""

    async def joined(server: Server, place: AsyncExitStack) -> tuple[Viewer, SoulClient, str]:
        viewer = Viewer(speech)
        place.push_async_callback(viewer.close)
        client = await place.enter_async_context(await SoulClient.connect(server.socket_url))
        return viewer, client, await viewer.call(client)

    return joined


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    return until


@pytest.fixture(scope="session")
def make_viewer() -> Callable[[], Viewer]:
    return lambda: Viewer(speech)
