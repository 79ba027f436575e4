"""The doctor says what can run, and its exit code is whether serving can."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from soul.cli import doctor, extras
from soul.cli.main import app
from soul.model.config import PRESETS
from soul.model.load import save
from soul.model.sample import build

RUNNER = CliRunner()


def test_a_machine_with_weights_can_serve(tmp_path: Path) -> None:
    save(build(PRESETS["soul-test"], seed=0), tmp_path / "weights")
    result = RUNNER.invoke(app, ["doctor", "--model", str(tmp_path / "weights")])
    assert result.exit_code == 0
    assert "This machine can serve" in result.stdout
    for subject in ("torch", "weights", "VP8 and Opus", "CUDA", "training", "5B", "data engine"):
        assert subject in result.stdout


def test_a_machine_without_weights_cannot() -> None:
    result = RUNNER.invoke(app, ["doctor", "--model", "no-such-model"])
    assert result.exit_code == 1
    assert "cannot serve: weights" in result.stdout
    assert "no-such-model" in result.stdout


def test_an_extra_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.NEEDED, "wan", {"no_such": "diffusers", "json": "json"})
    found = doctor.extra("5B", "wan")
    assert (found.verdict, found.needed) == ("no", False)
    assert "missing: diffusers; serving needs none" in found.detail


def test_a_missing_module_is_no_surprise() -> None:
    found = doctor._module("Thing", "no_such_module_at_all", "not installed")
    assert found.verdict == "no"
    assert found.detail == "not installed"
