"""`soul train` from outside: its help, and what it says to a stage that does not exist."""

from pathlib import Path

from typer.testing import CliRunner

from soul.cli.main import app


def test_help_names_every_stage() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"]).output
    for stage in ("bank", "listener", "autoencoder", "codebook", "teacher", "student", "export"):
        assert stage in shown


def test_an_unknown_stage_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--out", str(tmp_path), "--stages", "bank,magic"])
    assert result.exit_code == 2
    assert "'magic'" in result.stderr
