"""Two aiortc peers against a real `soul serve`: sockets, processes and a (tiny) model are real."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from soul.cli.bench.server import Server
from soul.client import BadOffer, Full, Refused, SoulClient, UnknownPortrait

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

VIDEO_STEP = 90_000 // 25
POOL = 8  # threads that asyncio and libav keep for the next one who comes


async def test_sound_in_gives_pictures_and_sound_out(
    server: Server, place: AsyncExitStack, join: Any, wait_until: Any
) -> None:
    viewer, client, session = await join(server, place)
    await wait_until(lambda: len(viewer.pictures) > 100, "pictures come")
    await wait_until(lambda: len(viewer.messages) > 1, "figures come on the data channel")

    steps = np.diff([seen.pts for seen in viewer.pictures])
    assert (steps > 0).all()
    assert np.median(steps) == VIDEO_STEP  # 25 frames a second of media time
    assert {seen.shape for seen in viewer.pictures} == {(64, 64)}
    assert (np.diff([heard.pts for heard in viewer.sound]) > 0).all()
    loud = [heard.loudness for heard in viewer.sound]
    assert max(loud) > 0.1  # the viewer's own words come back
    assert min(loud[20:]) < 0.01  # and so do the pauses
    figures = (await server.sessions())[session]
    assert figures["state"] == "connected"
    assert figures["frames_shown"] > 0
    assert viewer.messages[-1]["type"] == "stats"
    await client.stop()


async def test_stop_ends_with_a_reason_and_frees_everything(
    server: Server, place: AsyncExitStack, join: Any, wait_until: Any
) -> None:
    before = await server.resources()
    viewer, client, _ = await join(server, place)
    await wait_until(lambda: len(viewer.pictures) > 10, "pictures come")
    during = await server.resources()
    assert during.tasks > before.tasks
    assert during.descriptors > before.descriptors
    await client.stop()
    assert await client.ended() == "The conversation was stopped."
    await wait_until(lambda: _as_small(server, before), "all is freed")


async def test_a_viewer_who_vanishes_frees_its_place(
    server: Server, place: AsyncExitStack, make_viewer: Any, wait_until: Any
) -> None:
    viewer = make_viewer()
    place.push_async_callback(viewer.close)
    async with connect(server.socket_url) as socket:
        await socket.send(_start(await viewer.offer()))
        assert json.loads(await socket.recv())["type"] == "answer"
        assert len(await server.sessions()) == 1
        socket.transport.abort()  # as when a tab is closed: no message, no close frame
    await wait_until(lambda: _is_empty(server), "the session is gone")


async def test_a_second_start_on_one_socket_is_refused(
    server: Server, place: AsyncExitStack, make_viewer: Any, wait_until: Any
) -> None:
    viewer = make_viewer()
    place.push_async_callback(viewer.close)
    offer = await viewer.offer()
    async with connect(server.socket_url) as socket:
        await socket.send(_start(offer))
        assert json.loads(await socket.recv())["type"] == "answer"
        await socket.send(_start(offer))
        refused = json.loads(await socket.recv())
        assert (refused["type"], refused["code"]) == ("error", "already_started")
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    assert "second" in closed.value.rcvd.reason
    await wait_until(lambda: _is_empty(server), "the first start's session is gone too")


async def test_the_others_go_on_undisturbed_by_those_who_are_refused(
    server: Server, place: AsyncExitStack, join: Any, make_viewer: Any, wait_until: Any
) -> None:
    viewer, _, session = await join(server, place)
    await wait_until(lambda: len(viewer.pictures) > 10, "pictures come")
    offer = await make_viewer_offer(make_viewer, place)
    silent = offer.replace("m=audio", "m=text", 1)
    for sdp, portrait, error in (
        ("v=0\r\nnonsense\r\n", "ada", BadOffer),
        (silent, "ada", BadOffer),
        (offer[: len(offer) // 2], "ada", BadOffer),
        (offer, "nobody", UnknownPortrait),
    ):
        async with await SoulClient.connect(server.socket_url) as client:
            with pytest.raises(error) as refused:
                await client.start(sdp, portrait)
            assert isinstance(refused.value, Refused)
            assert len(str(refused.value)) > 20
    assert list(await server.sessions()) == [session]
    seen = len(viewer.pictures)
    await wait_until(lambda: len(viewer.pictures) > seen + 25, "the first viewer still sees")


async def test_when_every_place_is_taken_the_next_one_hears_so(
    server: Server, place: AsyncExitStack, join: Any, make_viewer: Any
) -> None:
    for _ in range(3):
        await join(server, place)
    offer = await make_viewer_offer(make_viewer, place)
    async with await SoulClient.connect(server.socket_url) as client:
        with pytest.raises(Full, match="all 3 places are taken"):
            await client.start(offer, "ada")
    assert len(await server.sessions()) == 3


async def test_two_viewers_at_once_each_get_their_own(
    server: Server, place: AsyncExitStack, join: Any, wait_until: Any
) -> None:
    (one, _, first), (two, _, second) = await asyncio.gather(
        join(server, place), join(server, place)
    )
    assert first != second
    for viewer in (one, two):
        await wait_until(lambda viewer=viewer: len(viewer.pictures) > 25, "both see")


async def make_viewer_offer(make_viewer: Any, place: AsyncExitStack) -> str:
    viewer = make_viewer()
    place.push_async_callback(viewer.close)
    return str(await viewer.offer())


def _start(offer: str) -> str:
    return json.dumps({"type": "start", "portrait": "ada", "sdp": offer})


async def _is_empty(server: Server) -> bool:
    return not await server.sessions()


async def _as_small(server: Server, before: Any) -> bool:
    now = await server.resources()
    return bool(
        now.tasks <= before.tasks
        and now.threads <= before.threads + POOL
        and now.descriptors <= before.descriptors
    )
