"""The app from outside: page, portraits, uploads, health, and whole conversations."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.testclient import TestClient, WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from soul.signaling.app import create_app
from soul.signaling.auth import issue
from soul.signaling.registry import Limits
from soul.timebase import NANOSECONDS

if TYPE_CHECKING:
    from tests.conftest import FakeHouse

OFFER = "v=0\r\ns=offer\r\n"
PAGE = "http://testserver"
KEY = b"sixteen bytes or more"


@pytest.fixture
def client(house: FakeHouse, portraits: Path) -> Iterator[TestClient]:
    with TestClient(create_app(house.door(portraits))) as client:
        yield client


def start(socket: WebSocketTestSession, **changes: Any) -> None:
    socket.send_json({"type": "start", "portrait": "anna", "sdp": OFFER, **changes})


def closing(socket: WebSocketTestSession) -> tuple[int, str]:
    with pytest.raises(WebSocketDisconnect) as caught:
        socket.receive_json()
    return caught.value.code, caught.value.reason or ""


def refused(socket: WebSocketTestSession, code: int) -> dict[str, str]:
    """The error that came, after which the socket closed with `code`."""
    message: dict[str, str] = socket.receive_json()
    assert message["type"] == "error"
    closed, reason = closing(socket)
    assert closed == code
    assert message["message"].startswith(reason)
    return message


def until(condition: Callable[[], bool]) -> None:
    """Waits for what happens after the socket is gone."""
    for _ in range(500):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


def test_the_page_and_its_files_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "Start talking" in page.text
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    for name in ("app", "call", "gallery", "manner", "meter", "panel"):
        assert client.get(f"/static/{name}.js").status_code == 200
    assert client.get("/static/style.css").status_code == 200
    assert client.get("/static/../../../pyproject.toml").status_code == 404


def test_portraits_are_listed(client: TestClient) -> None:
    assert client.get("/portraits").json() == [
        {"id": "anna", "name": "Anna", "image": "/static/portraits/anna.png"},
        {"id": "bruno", "name": "Bruno", "image": "/static/portraits/bruno.png"},
    ]


def test_health_and_figures(client: TestClient, house: FakeHouse) -> None:
    assert client.get("/healthz").json() == {
        "status": "ok",
        "model": "soul-fake",
        "sessions": 0,
        "max_sessions": 2,
    }
    with client.websocket_connect("/ws") as socket:
        start(socket)
        session = socket.receive_json()["session"]
        assert client.get("/healthz").json()["sessions"] == 1
        assert client.get("/stats").json()["sessions"] == {session: {"frames": 7}}
    house.worker.dead = "the worker's process died"
    unwell = client.get("/healthz")
    assert unwell.status_code == 503
    assert unwell.json()["status"] == "the worker's process died"


def test_an_upload_is_shown_and_may_be_spoken_with(client: TestClient, house: FakeHouse) -> None:
    reply = client.post("/portraits", content=b"my face", headers={"content-type": "image/png"})
    assert reply.status_code == 201
    assert reply.json()["preview"].startswith("data:image/png;base64,")
    with client.websocket_connect("/ws") as socket:
        start(socket, portrait=reply.json()["id"])
        assert socket.receive_json()["type"] == "answer"
    started = house.sessions[0].started
    assert started is not None
    assert started[1][0, 0, 0] == len(b"my face")


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", "image/png", 400, "empty"),
        (b"not an image", "image/png", 400, "not an image"),
        (b"x" * 1001, "image/png", 413, "more than 1000 bytes"),
        (b"face", "text/html", 415, "'text/html'; expected an image"),
    ],
)
def test_an_unusable_upload_is_one_sentence(
    client: TestClient, body: bytes, kind: str, status: int, words: str
) -> None:
    reply = client.post("/portraits", content=body, headers={"content-type": kind})
    assert reply.status_code == status
    assert words in reply.json()["error"]


def test_an_upload_without_a_length_is_bounded_while_it_streams(client: TestClient) -> None:
    taken = []

    def endless() -> Iterator[bytes]:
        for piece in range(100):
            taken.append(piece)
            yield b"x" * 100

    reply = client.post("/portraits", content=endless(), headers={"content-type": "image/png"})
    assert reply.status_code == 413


def test_a_conversation_from_start_to_stop(client: TestClient, house: FakeHouse) -> None:
    with client.websocket_connect("/ws", headers={"origin": PAGE}) as socket:
        socket.send_json({"type": "ping"})
        assert socket.receive_json() == {"type": "pong"}
        start(socket, prompt="calm")
        answer = socket.receive_json()
        assert answer["sdp"].startswith("v=0")
        socket.send_json({"type": "stop"})
        assert socket.receive_json()["type"] == "ended"
        assert closing(socket)[0] == 1000
    session = house.sessions[0]
    assert session.started is not None
    assert session.started[::2] == (OFFER, "calm")
    assert session.closed is not None
    assert client.get("/healthz").json()["sessions"] == 0


def test_prompts_during_a_conversation(house: FakeHouse, portraits: Path) -> None:
    door = house.door(portraits, prompt="the house's own")
    with TestClient(create_app(door)) as client, client.websocket_connect("/ws") as socket:
        start(socket)
        socket.receive_json()
        for n, prompt in enumerate(("glad", "x" * 500, "")):
            socket.send_json({"type": "prompt", "prompt": prompt})
            assert socket.receive_json() == {"type": "prompted", "seconds": 0.25 * (n + 1)}
        assert house.sessions[0].prompts == ["glad", "x" * 500, "the house's own"]
        assert house.sessions[0].closed is None
        socket.send_json({"type": "prompt", "prompt": "x" * 501})
        assert "501 characters; at most 500" in refused(socket, 1008)["message"]
    assert house.sessions[0].closed is not None


def test_a_prompt_before_the_start_is_refused(client: TestClient) -> None:
    with client.websocket_connect("/ws") as socket:
        socket.send_json({"type": "prompt", "prompt": "glad"})
        assert refused(socket, 1008)["code"] == "not_started"


def test_a_prompt_for_a_session_that_has_just_ended_is_answered_by_its_end(
    client: TestClient, house: FakeHouse
) -> None:
    with client.websocket_connect("/ws") as socket:
        start(socket)
        socket.receive_json()
        house.sessions[0].over = True
        socket.send_json({"type": "prompt", "prompt": "glad"})
        socket.send_json({"type": "ping"})
        assert socket.receive_json() == {"type": "pong"}
        assert client.portal is not None
        client.portal.call(house.sessions[0].on_closed, "It came to its end.", False)
        assert socket.receive_json()["type"] == "ended"


def test_a_closed_tab_frees_its_session(client: TestClient, house: FakeHouse) -> None:
    with client.websocket_connect("/ws") as socket:
        start(socket)
        socket.receive_json()
    until(lambda: client.get("/healthz").json()["sessions"] == 0)
    assert house.sessions[0].closed is not None


def test_a_tab_closed_while_starting_frees_its_session(
    client: TestClient, house: FakeHouse
) -> None:
    with client.websocket_connect("/ws") as socket:
        start(socket, sdp=OFFER + "hang")
        until(lambda: client.get("/healthz").json()["sessions"] == 1)
    until(lambda: client.get("/healthz").json()["sessions"] == 0)
    assert house.sessions[0].closed is not None


@pytest.mark.parametrize(("broken", "code"), [(False, 1000), (True, 1011)])
def test_a_session_that_ends_by_itself_is_told(
    client: TestClient, house: FakeHouse, broken: bool, code: int
) -> None:
    with client.websocket_connect("/ws") as socket:
        start(socket)
        socket.receive_json()
        assert client.portal is not None
        client.portal.call(house.sessions[0].on_closed, "It came to its end.", broken)
        assert socket.receive_json() == {"type": "ended", "reason": "It came to its end."}
        assert closing(socket)[0] == code


@pytest.mark.parametrize(
    ("changes", "code", "close", "words"),
    [
        ({"sdp": OFFER + "nonsense"}, "bad_offer", 1007, "no audio"),
        ({"sdp": OFFER + "dead"}, "worker", 1011, "died"),
        ({"sdp": OFFER + "restarting"}, "restarting", 1013, "try again in a few seconds"),
        ({"sdp": "nonsense"}, "bad_offer", 1007, "'nonsense'"),
        ({"portrait": "zoe"}, "unknown_portrait", 1008, "built-in ones are: anna, bruno"),
        ({"portrait": "upload:" + "0" * 32}, "unknown_portrait", 1008, "upload it again"),
        ({"portrait": None}, "bad_message", 1008, "expected text"),
        ({"more": 1}, "bad_message", 1008, "unknown field"),
    ],
)
def test_a_start_that_cannot_be_is_one_sentence_and_leaves_nothing(
    client: TestClient,
    house: FakeHouse,
    changes: dict[str, Any],
    code: str,
    close: int,
    words: str,
) -> None:
    with client.websocket_connect("/ws") as socket:
        start(socket, **changes)
        error = refused(socket, close)
        assert error["code"] == code
        assert words in error["message"]
    assert all(session.closed is not None for session in house.sessions)
    assert client.get("/healthz").json()["sessions"] == 0


@pytest.mark.parametrize(
    ("data", "close"),
    [(b"\x00", 1003), ("nonsense", 1007), ("[]", 1008), ("x" * 70_000, 1009)],
)
def test_a_wrong_message_closes_with_its_code(
    client: TestClient, data: str | bytes, close: int
) -> None:
    with client.websocket_connect("/ws") as socket:
        if isinstance(data, bytes):
            socket.send_bytes(data)
        else:
            socket.send_text(data)
        refused(socket, close)


def test_two_starts_on_one_socket_end_the_first(client: TestClient, house: FakeHouse) -> None:
    with client.websocket_connect("/ws") as socket:
        start(socket)
        socket.receive_json()
        start(socket)
        assert refused(socket, 1008)["code"] == "already_started"
    assert len(house.sessions) == 1
    assert house.sessions[0].closed is not None


def test_a_full_house_says_so_and_goes_on_serving(house: FakeHouse, portraits: Path) -> None:
    door = house.door(portraits, limits=Limits(max_sessions=1))
    with TestClient(create_app(door)) as client, client.websocket_connect("/ws") as first:
        start(first)
        first.receive_json()
        with client.websocket_connect("/ws") as second:
            start(second)
            assert refused(second, 1013)["code"] == "full"
        first.send_json({"type": "ping"})
        assert first.receive_json() == {"type": "pong"}


def test_the_longest_conversation_ends(house: FakeHouse, portraits: Path) -> None:
    door = house.door(portraits, limits=Limits(session_seconds=30))
    with TestClient(create_app(door)) as client, client.websocket_connect("/ws") as socket:
        start(socket)
        socket.receive_json()
        house.now += 31 * NANOSECONDS
        socket.send_json({"type": "ping"})
        assert socket.receive_json() == {"type": "pong"}
        assert "limit of 30 s" in socket.receive_json()["reason"]
    assert house.sessions[0].closed is not None


def test_a_socket_on_which_nothing_starts_is_closed(house: FakeHouse, portraits: Path) -> None:
    door = house.door(portraits, waiting_seconds=20)
    with TestClient(create_app(door)) as client, client.websocket_connect("/ws") as socket:
        house.now += 21 * NANOSECONDS
        socket.send_json({"type": "ping"})
        assert socket.receive_json() == {"type": "pong"}
        assert socket.receive_json()["type"] == "ended"


def test_more_sockets_than_the_limit_are_refused(house: FakeHouse, portraits: Path) -> None:
    with (
        TestClient(create_app(house.door(portraits, sockets=1))) as client,
        client.websocket_connect("/ws"),
        client.websocket_connect("/ws") as second,
    ):
        code, reason = closing(second)
        assert code == 1013
        assert "limit" in reason


def test_a_foreign_page_is_refused(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        client.websocket_connect("/ws", headers={"origin": "http://evil.example"}),
    ):
        pass
    assert caught.value.status_code == 403
    assert "evil.example" in caught.value.json()["error"]
    reply = client.post(
        "/portraits",
        content=b"x",
        headers={"content-type": "image/png", "origin": "http://evil.example"},
    )
    assert reply.status_code == 401


def test_with_a_key_only_a_token_opens(house: FakeHouse, portraits: Path) -> None:
    token = issue(KEY, 2_000)
    with TestClient(create_app(house.door(portraits, key=KEY))) as client:
        assert client.get("/").status_code == 200
        assert client.get("/portraits").status_code == 401
        assert "token" in client.get("/stats").json()["error"]
        bearer = {"authorization": f"Bearer {token}"}
        assert client.get("/portraits", headers=bearer).status_code == 200
        with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/ws"):
            pass
        with client.websocket_connect(f"/ws?token={token}") as socket:
            start(socket)
            assert socket.receive_json()["type"] == "answer"


def test_shutting_down_closes_every_session_and_then_the_worker(
    house: FakeHouse, portraits: Path
) -> None:
    async def life() -> None:
        door = house.door(portraits)
        async with door:
            assert house.worker.running
            await door.open("s", _start(), lambda *_: None)
        assert house.sessions[0].closed == "The server is shutting down."
        assert not house.worker.running
        assert len(door.registry) == 0

    asyncio.run(life())


def _start() -> Any:
    from soul.signaling.protocol import parse_client

    return parse_client(json.dumps({"type": "start", "portrait": "anna", "sdp": OFFER}))
