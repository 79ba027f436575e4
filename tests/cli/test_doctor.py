"""The doctor says what can run, and its exit code is whether serving can."""

from pathlib import Path

from typer.testing import CliRunner

from soul.cli import doctor
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
    for subject in ("torch", "weights", "VP8 and Opus", "CUDA", "training", "browser tests"):
        assert subject in result.stdout


def test_a_machine_without_weights_cannot() -> None:
    result = RUNNER.invoke(app, ["doctor", "--model", "no-such-model"])
    assert result.exit_code == 1
    assert "cannot serve: weights" in result.stdout
    assert "no-such-model" in result.stdout


def test_a_missing_module_is_no_surprise() -> None:
    found = doctor._module("Thing", "no_such_module_at_all", "not installed")
    assert found.verdict == "no"
    assert found.detail == "not installed"
