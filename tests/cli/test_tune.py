"""`soul tune` from outside: its memory plan, two processes by one command, and bad input."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from made_encoders import made_whisper, made_whole_model
from made_folders import forbidden
from made_shards import made_shards
from made_tuning import TINY, made_model
from soul.checkpoints.manifest import MANIFEST, read_manifest, verify
from soul.cli.main import app
from soul.cli.tune import COMMAND
from soul.training.tune.clips import open_encoded

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


def test_a_licence_is_shown_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOUL_HOME", str(tmp_path / "home"))
    strict = forbidden(made_model(tmp_path / "tiny"))
    told = (*SIZE, "--stages", "encode")
    found = tune(strict, tmp_path / "run", *told)
    assert found.exit_code == 2
    assert "talkverse-5b may not be used for money" in " ".join(found.stderr.split())
    assert "expected --accept-licence" in " ".join(found.stderr.split())
    assert not (tmp_path / "run").exists()
    found = tune(strict, tmp_path / "run", *told, "--accept-licence")
    assert "stage encode needs --data" in " ".join(found.stderr.split()), "it went on"
    assert "money" not in tune(strict, tmp_path / "run", *told).stderr, "asked once"


@pytest.mark.e2e
def test_one_command_leads_from_shards_to_a_model(tmp_path: Path) -> None:
    """As a person does: two processes encode and train, with a VAE, a umT5 and a Whisper."""
    whole, ear = made_whole_model(tmp_path / "tiny"), made_whisper(tmp_path / "whisper")
    out, data = tmp_path / "run", made_shards(tmp_path / "shards")
    told = ["tune", "--model", whole, "--data", data, "--whisper", ear, "--out", out]
    told += ["--stages", "encode,teacher", *SHORT, "--processes", "2"]
    command = [sys.executable, "-c", COMMAND, *map(str, told)]
    path = os.pathsep.join(sys.path)
    ended = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "teacher starts on 2 processes, needs" in " ".join(ended.stderr.split())
    left = out / "teacher" / "model"
    manifest = read_manifest(left / MANIFEST)
    assert manifest.name == "tiny-teacher"
    assert set(manifest.parts) == {"dit", "vae", "text", "tokenizer"}
    verify(left, manifest)
    clips = open_encoded(out / "encoded", "tiny", replace(TINY, image_size=(64, 96)))
    assert all(np.isfinite(part).all() for part in (clips.latents.latents, clips.latents.tokens))
    assert clips.latents.tokens[1].any()
