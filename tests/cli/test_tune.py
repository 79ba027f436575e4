"""`soul tune` from outside: its memory plan, two processes by one command, and bad input."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from made_tuning import made_model, made_run
from soul.checkpoints.manifest import MANIFEST, read_manifest
from soul.cli.main import app
from soul.cli.tune import COMMAND

SIZE = ("--set", "height=64", "--set", "width=96")
SHORT = (
    *SIZE, "--set", "precision=fp32", "--set", "encode.latents=7", "--set", "teacher.batch=4",
    "--set", "teacher.chunks=2", "--set", "teacher.length.steps=4", "--set", "teacher.save_every=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_model(tmp_path_factory.mktemp("base") / "tiny")


def tune(model: Path, out: Path, *arguments: str | Path) -> Result:
    told = ["tune", "--model", model, "--out", out, *arguments]
    return CliRunner().invoke(app, list(map(str, told)))


def test_the_plan_tells_what_each_process_needs(model: Path, tmp_path: Path) -> None:
    found = tune(model, tmp_path / "run", "--plan", "--processes", "4", *SIZE)
    assert found.exit_code == 0, found.stderr
    for stage in ("teacher", "student", "match"):
        assert f"{stage}: 0.0" in found.stdout
    assert "GB a process (weights" in found.stdout
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--stages", "teacher,magic"), "--stages 'magic' is not known; expected some of encode"),
        (("--set", "magic=1"), "--set 'magic' is not known"),
        (("--processes", "3"), "does not split among 3 processes"),
        (("--set", "height=70"), "70 x 96 is no size that"),
        (("--stages", "encode"), "stage encode needs --data and --whisper"),
        (("--stages", "teacher"), "holds no encoded clips; expected stage encode"),
    ],
)
def test_what_cannot_be_is_one_sentence(
    model: Path, tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    found = tune(model, tmp_path / "run", *SIZE, *arguments)
    assert found.exit_code == 2
    assert sentence in " ".join(found.stderr.split())
    assert "Traceback" not in found.stderr


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path) -> None:
    found = tune(tmp_path / "none", tmp_path / "run", *SIZE)
    assert found.exit_code == 2
    assert "is no model of this project's layout" in " ".join(found.stderr.split())
    assert not (tmp_path / "run").exists()


@pytest.mark.e2e
def test_one_command_starts_processes_that_share_a_model(model: Path, tmp_path: Path) -> None:
    """As a person does; and a run that is done is done at once."""
    place = made_run(tmp_path / "run", model)
    told = ["tune", "--model", model, "--out", place.out, "--stages", "teacher", *SHORT]
    command = [sys.executable, "-c", COMMAND, *map(str, told), "--processes", "2"]
    path = os.pathsep.join(sys.path)
    ended = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "teacher starts on 2 processes, needs" in " ".join(ended.stderr.split())
    left = place.out / "teacher" / "model"
    assert read_manifest(left / MANIFEST).name == "tiny-teacher"
    assert (place.out / "teacher.done").exists()
