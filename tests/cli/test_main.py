"""The command's help is worth reading, and does not wait for torch."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from soul.cli.main import app

RUNNER = CliRunner()


def test_help_names_every_subcommand_and_how_to_begin() -> None:
    text = " ".join(RUNNER.invoke(app, ["--help"]).stdout.split())
    for word in ("serve", "animate", "doctor", "soul serve", "choose a face"):
        assert word in text


@pytest.mark.parametrize("command", ["serve", "animate", "doctor", "train", "eval"])
def test_every_subcommand_has_an_example(command: str) -> None:
    result = RUNNER.invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"soul {command}" in result.stdout


def test_an_unknown_option_is_an_error() -> None:
    assert RUNNER.invoke(app, ["serve", "--colour", "blue"]).exit_code == 2


def test_the_command_line_does_not_import_torch() -> None:
    code = "import sys, soul.cli.main; sys.exit('torch' in sys.modules or 'av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
