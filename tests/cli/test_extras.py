"""Extras: what a command looks for is what the package promises, and a lack is one sentence."""

import re
import tomllib
from pathlib import Path

import pytest
import typer

from soul.cli import extras

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_every_extra_brings_what_its_commands_look_for() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    for extra, needed in extras.NEEDED.items():
        told = project["optional-dependencies"][extra]
        promised = {re.split(r"[><=;\[ ]", requirement)[0] for requirement in told}
        assert set(needed.values()) <= promised


def test_the_tests_bring_every_extra() -> None:
    told = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]["test"]
    (own,) = [requirement for requirement in told if requirement.startswith("soul-live[")]
    assert set(own.removeprefix("soul-live[").removesuffix("]").split(",")) == set(extras.NEEDED)


def test_what_is_there_is_not_asked_for() -> None:
    for extra in extras.NEEDED:
        assert extras.missing(extra) == []
        extras.need_extra("anything", extra)


def test_what_is_missing_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lacking = {"json": "json", "no_such": "diffusers", "nor_this": "ftfy"}
    monkeypatch.setitem(extras.NEEDED, "wan", lacking)
    with pytest.raises(typer.Exit):
        extras.need_extra("fetch", "wan")
    said = "soul fetch needs diffusers, ftfy: run pip install -e '.[wan]' in the clone."
    assert said in capsys.readouterr().err
