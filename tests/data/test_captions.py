"""Captions are asked of a server on loopback that speaks what OpenAI-compatible ones do."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import numpy as np
import pytest

from soul.data.captions import Caption, Captioner, read_caption, request, schema
from soul.data.config import CaptionConfig
from soul.data.errors import AnswerError, StopError

GOOD = {
    "scene": "a kitchen",
    "camera": "close, still",
    "action": "speaking",
    "gesture": "nods once",
    "expression": "a faint  smile",
    "light": "soft, from the left",
}
PICTURES = np.full((8, 16, 24, 3), 200, np.uint8)


def completion(content: object) -> str:
    return json.dumps({"choices": [{"message": {"content": content}}]})


@dataclass
class Server:
    """Gives its answers one after the other, the last one for ever, and keeps what was asked."""

    answers: list[tuple[int, str]]
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.asked.append({"path": self.path, **json.loads(body)})
                server.keys.append(self.headers["Authorization"])
                number = min(len(server.asked), len(server.answers)) - 1
                status, answer = server.answers[number]
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None:
                """Says nothing: the tests ask what was asked."""

        return Handler


@contextmanager
def serving(*answers: tuple[int, str]) -> Iterator[Server]:
    server = Server(list(answers))
    with HTTPServer(("127.0.0.1", 0), server.handler()) as http:
        thread = Thread(target=http.serve_forever, args=(0.01,))
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}/v1"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


def ask(url: str, pauses: list[float], **changes: Any) -> Caption:
    config = CaptionConfig(url=url, model="some-vlm", **changes)
    wait: Callable[[float], None] = pauses.append
    with Captioner(config, wait) as captioner:
        return captioner(PICTURES)


def test_a_clip_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUL_CAPTION_KEY", "secret")
    with serving((200, completion(json.dumps(GOOD)))) as server:
        found = ask(server.url, [])
    assert found == Caption(**{**GOOD, "expression": "a faint smile"})
    assert server.keys == ["Bearer secret"]
    asked = server.asked[0]
    assert (asked["path"], asked["model"]) == ("/v1/chat/completions", "some-vlm")
    content = asked["messages"][0]["content"]
    assert [part["type"] for part in content] == ["text", *["image_url"] * 4]
    head, data = content[1]["image_url"]["url"].split(",")
    assert head == "data:image/jpeg;base64"
    assert base64.b64decode(data)[:2] == b"\xff\xd8"
    assert asked["response_format"]["json_schema"]["schema"] == schema()
    assert schema()["required"] == list(GOOD)


def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOUL_CAPTION_KEY", raising=False)
    with serving((200, completion(json.dumps(GOOD)))) as server:
        ask(server.url + "/", [])
    assert server.keys == [None]


def test_what_passes_is_tried_again_after_longer_and_longer_pauses() -> None:
    pauses: list[float] = []
    good = 200, completion(f"```json\n{json.dumps(GOOD)}\n```")
    with serving(
        (503, "warming up"), (429, "slowly"), (200, completion("no idea")), good
    ) as server:
        assert ask(server.url, pauses).scene == "a kitchen"
    assert pauses == [2.0, 4.0, 8.0]


def test_a_server_that_stays_away_ends_the_run() -> None:
    with serving((503, "warming up")) as server, pytest.raises(StopError) as caught:
        ask(server.url, [], tries=2)
    assert "gave no answer in 2 tries (HTTP 503: warming up); run again" in str(caught.value)
    with pytest.raises(StopError, match="gave no answer in 2 tries"):
        ask(server.url, [], tries=2)  # nobody listens there any more


@pytest.mark.parametrize(
    ("url", "words"), [("localhost:1/v1", "is no address"), ("http://x:port/v1", "is no address")]
)
def test_an_address_that_is_none_is_told(url: str, words: str) -> None:
    with pytest.raises(StopError, match=words):
        ask(url, [])


def test_a_refusal_ends_the_run_at_once() -> None:
    with serving((401, "wrong key")) as server, pytest.raises(StopError, match="HTTP 401: wrong"):
        ask(server.url, [])
    assert len(server.asked) == 1


def test_an_answer_that_stays_useless_costs_its_clip_only() -> None:
    with serving((200, completion("I cannot see."))) as server, pytest.raises(AnswerError):
        ask(server.url, [], tries=3)
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("<html>", "no chat completion"),
        ("[]", "no chat completion"),
        ('{"choices": []}', "no chat completion"),
        (completion(None), "the model said None"),
        (completion("dunno"), "expected JSON"),
        (completion(json.dumps({**GOOD, "light": " "})), "lacks light"),
        (completion(json.dumps({**GOOD, "scene": 3, "camera": None})), "lacks scene, camera"),
    ],
)
def test_answers_without_a_caption_are_refused(body: str, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        read_caption(body)


def test_pictures_are_evenly_spread() -> None:
    clip = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.full((16, 16, 3), 30, np.uint8)
    shown = request(clip, CaptionConfig(pictures=2))["messages"][0]["content"][1:]
    other = request(clip[[2, 6]], CaptionConfig(pictures=2))["messages"][0]["content"][1:]
    assert shown == other
