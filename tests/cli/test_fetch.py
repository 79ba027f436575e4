"""`soul fetch` from outside: a hub on loopback, licences, and names that are not known."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fake_hub import Hub, serving
from soul.checkpoints import catalogue
from soul.checkpoints.catalogue import Known
from soul.checkpoints.manifest import FETCHED
from soul.cli import extras
from soul.cli.main import app


class Heard(logging.Handler):
    """What a library says to its log."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


FREE = Known("tiny", "soul/tiny", "MIT", "a test", ("*.json",), needs=("wan2.2-ti2v-5b",))
STRICT = Known(
    "strict", "soul/tiny", "for nobody's profit", "a test", ("*.json",), commercial=False
)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that everything is fetched from, two names, and a home of one's own."""
    monkeypatch.setenv("SOUL_HOME", str(tmp_path))
    monkeypatch.setattr(catalogue, "CATALOGUE", (FREE, STRICT))
    with serving(Hub("soul/tiny", {"config.json": b"{}"})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


@pytest.fixture
def house(hub: Hub, tmp_path: Path) -> Path:
    """The home, with the hub at work."""
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["fetch", *arguments])


def test_a_name_is_fetched_into_the_home(house: Path) -> None:
    result = run("tiny")
    assert result.exit_code == 0, result.stderr
    assert (house / "checkpoints" / "tiny" / FETCHED).is_file()
    said = " ".join(result.stdout.split())
    assert "1 files, 0.00 GB, all as published" in said
    assert "It also needs: wan2.2-ti2v-5b" in said


def test_a_repository_that_has_moved_is_told_and_fetched(hub: Hub, house: Path) -> None:
    assert run("tiny").exit_code == 0
    before, hub.commit = hub.commit, "decade" + "0" * 34
    hub.files["config.json"] = b'{"dim": 48}'
    result = run("tiny")
    assert result.exit_code == 0, result.stderr
    assert f"soul/tiny has moved from {before} to {hub.commit}" in result.stderr
    assert (house / "checkpoints" / "tiny" / "config.json").read_bytes() == b'{"dim": 48}'
    assert "has moved" not in run("tiny").stderr


def test_a_strict_licence_is_shown_first_and_remembered(house: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("strict", "--out", str(out))
    assert result.exit_code == 2
    assert "strict may not be used for money. Its licence: for nobody's profit" in result.stderr
    assert "expected --accept-licence" in result.stderr
    assert not out.exists()
    assert run("strict", "--out", str(out), "--accept-licence").exit_code == 0
    again = run("strict", "--out", str(out))
    assert again.exit_code == 0
    assert "money" not in again.stderr
    assert json.loads((house / "licences.json").read_text()) == ["strict: for nobody's profit"]


def test_an_interrupted_download_is_one_sentence(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between the client's own retries
    log, heard = logging.getLogger("huggingface_hub"), Heard()
    monkeypatch.setattr(log, "level", log.level)
    log.addHandler(heard)
    hub.cut["config.json"] = 0
    result = run("tiny", "--out", str(tmp_path / "out"))
    log.removeHandler(heard)
    assert result.exit_code == 1
    assert "error: the download of config.json was interrupted at 0 of 2 bytes" in result.stderr
    assert heard.records == []
    hub.cut.clear()
    assert run("tiny", "--out", str(tmp_path / "out")).exit_code == 0


def test_an_unknown_name_lists_the_names(house: Path) -> None:
    result = run("wan9")
    assert result.exit_code == 2
    assert "no checkpoint is called 'wan9'; expected one of tiny, strict" in result.stderr


def test_a_hub_out_of_reach_is_one_sentence(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    result = run("tiny")
    assert result.exit_code == 1
    assert "the hub cannot be reached for soul/tiny" in result.stderr


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.NEEDED, "wan", {"no_such_module": "no-such-package"})
    result = run("tiny")
    assert result.exit_code == 1
    said = "fetch needs no-such-package: run pip install -e '.[wan]' in the clone"
    assert said in result.stderr
