"""`soul serve`: the port, the address, the door's settings, and one sentence for each refusal."""

from __future__ import annotations

import os
import signal
import socket
import threading
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from soul.cli.main import app
from soul.cli.serve import ServeConfig, ServeError, address, door_config, listen, run
from soul.media.portrait import PortraitLimits
from soul.signaling.auth import auth
from soul.signaling.door import Refused, Rooms

if TYPE_CHECKING:
    from tests.conftest import FakeHouse

RUNNER = CliRunner()
KEY = b"sixteen bytes or more"


def rooms(house: FakeHouse) -> Rooms:
    from soul.signaling.gallery import Picture

    def read(data: bytes) -> Picture:
        raise Refused("portrait", "no picture")

    return Rooms(house.worker, house.open_session, read, "soul-fake")


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServeError, match=f"port {port} on 127.0.0.1 cannot be used"):
            listen("127.0.0.1", port)
        result = RUNNER.invoke(app, ["serve"], env={"PORT": str(port)})
        assert result.exit_code == 1
        assert f"port {port}" in " ".join(result.stderr.split())
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize("port", ["-1", "65536", "many"])
def test_what_is_no_port_is_refused(port: str) -> None:
    result = RUNNER.invoke(app, ["serve"], env={"PORT": port})
    assert result.exit_code == 2
    assert "PORT" in result.stderr


def test_a_foreign_address_is_one_sentence() -> None:
    with pytest.raises(ServeError, match="not an address"):
        listen("no.such.host.invalid", 0)


def test_beyond_this_machine_a_key_is_needed() -> None:
    result = RUNNER.invoke(app, ["serve", "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "reachable from other machines" in " ".join(result.stderr.split())


def test_a_short_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short")
    result = RUNNER.invoke(app, ["serve", "--key-file", str(tmp_path / "key")])
    assert result.exit_code == 2
    assert "5 bytes" in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_interrupted(house: FakeHouse, name: signal.Signals) -> None:
    pages: list[bytes] = []

    def ready(url: str) -> None:
        def visit() -> None:
            with urllib.request.urlopen(url, timeout=10) as page:
                pages.append(page.read())
            os.kill(os.getpid(), name)

        threading.Thread(target=visit).start()

    run(ServeConfig(port=0), rooms(house), ready)
    assert b"Soul Live" in pages[0]
    assert house.worker.starts == 1
    assert not house.worker.running


def test_a_worker_that_cannot_start_ends_it_with_a_sentence(house: FakeHouse) -> None:
    house.worker.refuses = "weights are missing"
    with pytest.raises(Refused, match="weights are missing"):
        run(ServeConfig(port=0), rooms(house), lambda url: None)


def test_missing_weights_are_one_sentence() -> None:
    words = ["serve", "--port", "0", "--model", "no-such-model"]
    result = RUNNER.invoke(app, words)
    assert result.exit_code == 1
    assert "no-such-model" in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr


def test_the_address_is_one_to_click() -> None:
    assert address(ServeConfig(), 8080) == "http://127.0.0.1:8080/"
    assert address(ServeConfig(host="0.0.0.0"), 80) == "http://127.0.0.1:80/"
    url, _, token = address(ServeConfig(host="::1", key=KEY), 9).partition("?token=")
    assert url == "http://[::1]:9/"
    auth(token, KEY, 0)


def test_on_loopback_only_this_machines_page_may_connect() -> None:
    own = door_config(ServeConfig(origins=("https://a.example",)), 9)
    assert own.origins is not None
    assert own.upload_bytes == PortraitLimits().max_bytes, "what is read is also looked at"
    assert {"http://127.0.0.1:9", "https://a.example"} < own.origins
    assert door_config(ServeConfig(host="0.0.0.0", key=KEY), 9).origins is None
