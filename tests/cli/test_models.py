"""`soul models` from outside: what is known, and whether a folder is whole."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from soul.checkpoints.catalogue import CATALOGUE
from soul.checkpoints.manifest import MANIFEST, Manifest, Origin, described, write_manifest
from soul.cli.main import app


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dit.safetensors").write_bytes(b"weights")
    origins = (Origin("talkverse-5b", "strict", False, "snap-research/talkverse", "3a58ee5632c0"),)
    files = (described(tmp_path, "dit.safetensors"),)
    manifest = Manifest("soul", origins, files, left_out=("frame_packer.*: past frames",))
    write_manifest(manifest, tmp_path / MANIFEST)
    return tmp_path


def test_everything_known_is_listed() -> None:
    result = run()
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    for entry in CATALOGUE:
        assert entry.name in said
        assert entry.repository in said
    assert "(no commercial use)" in said


def test_for_programs_it_is_one_object() -> None:
    listed = json.loads(run("--json").stdout)["models"]
    assert [entry["name"] for entry in listed] == [entry.name for entry in CATALOGUE]
    assert {"repository", "revision", "licence", "gigabytes", "does"} <= listed[0].keys()


def test_a_whole_folder_is_described(folder: Path) -> None:
    result = run(str(folder))
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert "soul, 1 files, 0.00 GB, all whole" in said
    assert "licence: strict" in said
    assert "left out: frame_packer.*: past frames" in said
    assert json.loads(run(str(folder), "--json").stdout)["name"] == "soul"


def test_a_damaged_or_foreign_folder_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    (folder / "dit.safetensors").write_bytes(b"Weights")
    result = run(str(folder))
    assert result.exit_code == 1
    assert "is damaged: its SHA-256 is" in result.stderr
    (folder / MANIFEST).unlink()
    result = run(str(folder))
    assert result.exit_code == 2
    assert "expected a folder of weights" in result.stderr
