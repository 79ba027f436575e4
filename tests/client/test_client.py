"""The client against the real app, served by the real server on a free port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn

from soul.cli.serve import listen
from soul.client import (
    BadOffer,
    ConnectError,
    ConnectionLost,
    Full,
    Refused,
    Restarting,
    SoulClient,
    UnknownPortrait,
)
from soul.signaling.app import create_app
from soul.signaling.auth import issue
from soul.signaling.registry import Limits

if TYPE_CHECKING:
    from tests.conftest import FakeHouse

OFFER = "v=0\r\ns=offer\r\n"
KEY = b"sixteen bytes or more"


@asynccontextmanager
async def serving(house: FakeHouse, portraits: Path, **changes: Any) -> AsyncIterator[str]:
    """The WebSocket's address of a running server."""
    socket = listen("127.0.0.1", 0)
    config = uvicorn.Config(
        create_app(house.door(portraits, **changes)),
        ws="websockets-sansio",
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve([socket]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield f"ws://127.0.0.1:{socket.getsockname()[1]}/ws"
    finally:
        server.should_exit = True
        await task
        socket.close()


async def test_a_conversation(house: FakeHouse, portraits: Path) -> None:
    async with serving(house, portraits) as url:
        async with await SoulClient.connect(url) as client:
            answer = await client.start(OFFER, portrait="anna", prompt="calm")
            assert answer.sdp.startswith("v=0")
            assert answer.session == house.sessions[0].name
        assert house.sessions[0].closed is not None
        assert house.sessions[0].started is not None
        assert house.sessions[0].started[2] == "calm"


async def test_prompts_during_a_conversation(house: FakeHouse, portraits: Path) -> None:
    async with serving(house, portraits) as url, await SoulClient.connect(url) as client:
        starting = asyncio.create_task(client.start(OFFER, "anna"))
        await asyncio.sleep(0)
        assert await client.set_prompt("glad") == 0.25, "it waits for the answer"
        await starting
        assert await client.set_prompt("") == 0.5
        left = asyncio.create_task(client.set_prompt("left"))
        await asyncio.sleep(0)
        left.cancel()
        later = await asyncio.gather(*(client.set_prompt(prompt) for prompt in "ab"))
        assert later == [1.0, 1.25], "each has an answer of its own"
        assert house.sessions[0].prompts == ["glad", "", "left", "a", "b"]
        await client.set_listening(True)
        await client.set_prompt("b")  # answered in order: what was sent before has been heard
        assert house.sessions[0].listened == [True]


async def test_a_prompt_that_cannot_be(house: FakeHouse, portraits: Path) -> None:
    async with serving(house, portraits) as url:
        async with await SoulClient.connect(url) as client:
            with pytest.raises(Refused, match='came before "start"'):
                await client.set_prompt("glad")
        async with await SoulClient.connect(url) as client:
            await client.start(OFFER, "anna")
            with pytest.raises(Refused, match="501 characters; at most 500"):
                await client.set_prompt("x" * 501)
            with pytest.raises(ConnectionLost, match="over"):
                await client.set_prompt("glad")


async def test_whoever_waits_for_a_prompt_hears_of_the_end(
    house: FakeHouse, portraits: Path
) -> None:
    async with serving(house, portraits) as url:
        client = await SoulClient.connect(url)
        await client.start(OFFER, "anna")
        house.sessions[0].over = True
        waiting = asyncio.create_task(client.set_prompt("glad"))
        await asyncio.sleep(0)
        await client.stop()
        with pytest.raises(ConnectionLost):
            await waiting


@pytest.mark.parametrize(
    ("offer", "portrait", "error"),
    [
        (OFFER + "nonsense", "anna", BadOffer),
        (OFFER, "zoe", UnknownPortrait),
        (OFFER + "dead", "anna", Refused),
        (OFFER + "restarting", "anna", Restarting),
        (OFFER + "x" * 70_000, "anna", Refused),
    ],
)
async def test_a_refusal_is_an_error_of_its_own(
    house: FakeHouse, portraits: Path, offer: str, portrait: str, error: type[Refused]
) -> None:
    async with serving(house, portraits) as url, await SoulClient.connect(url) as client:
        with pytest.raises(error):
            await client.start(offer, portrait)
        with pytest.raises(error):
            await client.ended()


async def test_a_full_house(house: FakeHouse, portraits: Path) -> None:
    async with (
        serving(house, portraits, limits=Limits(max_sessions=1)) as url,
        await SoulClient.connect(url) as first,
        await SoulClient.connect(url) as second,
    ):
        await first.start(OFFER, "anna")
        with pytest.raises(Full):
            await second.start(OFFER, "anna")


async def test_the_servers_end_is_told(house: FakeHouse, portraits: Path) -> None:
    async with serving(house, portraits) as url, await SoulClient.connect(url) as client:
        await client.start(OFFER, "anna")
        house.sessions[0].on_closed("Nothing was heard for 9 s.", False)
        assert await client.ended() == "Nothing was heard for 9 s."


async def test_a_server_that_goes_away_is_noticed(house: FakeHouse, portraits: Path) -> None:
    async with serving(house, portraits) as url:
        client = await SoulClient.connect(url)
        await client.start(OFFER, "anna")
    with pytest.raises(ConnectionLost):
        await client.ended()
    await client.stop()
    await client.stop()


async def test_nobody_there() -> None:
    with pytest.raises(ConnectError, match="cannot be reached"):
        await SoulClient.connect("ws://127.0.0.1:9/ws")
    with pytest.raises(ConnectError):
        await SoulClient.connect("nonsense")


async def test_a_key_asks_for_a_token(house: FakeHouse, portraits: Path) -> None:
    async with serving(house, portraits, key=KEY) as url:
        with pytest.raises(ConnectError, match="403"):
            await SoulClient.connect(url)
        async with await SoulClient.connect(url, token=issue(KEY, 2_000)) as client:
            assert (await client.start(OFFER, "anna")).session
