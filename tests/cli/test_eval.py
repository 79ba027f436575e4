"""`soul eval` from outside: a small model is measured, and what is missing is one sentence."""

import json
import wave
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from soul.cli import extras
from soul.cli.main import app
from soul.model.config import SOUL_TEST
from soul.model.load import save
from soul.model.sample import build
from soul.training import speech


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["eval", *arguments])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Random weights that paint pictures of the size that the probe reads."""
    save(build(replace(SOUL_TEST, image_size=256), 0), tmp_path / "model")
    return tmp_path / "model"


def test_a_model_is_measured(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "judged"
    short = ("--trials", "1", "--seconds", "0.64", "--seed", "7")  # a take that speaks at once
    result = run("--model", str(model), "--out", str(out), *short)
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["machine"]["cores"] >= 1
    assert (printed["model"], printed["seconds"], printed["seed"]) == (str(model), 0.64, 7)
    assert (printed["trials"], printed["frames"]) == (1, 16)
    assert -1 <= printed["mouth_correlation"] <= 1
    assert {row["name"] for row in printed["conditions"]} >= {"plain", "child", "whisper", "opus"}
    assert printed["recorded"] is None
    assert json.loads((out / "report.json").read_text()) == printed
    assert {row["figure"] for row in printed["bars"]} >= {"mouth_correlation", "bilabials_closed"}
    assert "<h1>Lips and life of" in (out / "index.html").read_text()
    assert Image.open(out / "trials.png").size == (9 * 256, 256)


@pytest.mark.parametrize("seconds", ["9.5", "0", "-1.6", "nan", "inf"])
def test_seconds_that_are_no_whole_chunks_are_named(seconds: str) -> None:
    result = run("--seconds", seconds)
    assert result.exit_code == 2
    assert f"--seconds {seconds} is not a whole number of chunks" in result.stderr


def test_recordings_that_cannot_be_used_are_one_sentence(model: Path, tmp_path: Path) -> None:
    result = run("--speech", str(tmp_path / "none"))
    assert result.exit_code == 2
    assert "--speech" in result.stderr
    assert "is not a folder; expected one with .wav and .txt files" in result.stderr
    with wave.open(str(tmp_path / "who.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(32_000))
    (tmp_path / "who.txt").write_text("Good day.")
    out = ("--out", str(tmp_path / "judged"))
    result = run("--model", str(model), *out, "--speech", str(tmp_path))
    assert result.exit_code == 2
    assert "who: the recording is silent, expected speech" in result.stderr


def test_a_model_of_another_size_is_refused(tmp_path: Path) -> None:
    save(build(SOUL_TEST, 0), tmp_path / "model")
    result = run("--model", str(tmp_path / "model"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 2
    assert "model soul-test paints 64 pixels a side, expected 256" in result.stderr
    assert not (tmp_path / "out").exists()


def test_missing_weights_are_one_sentence(tmp_path: Path) -> None:
    result = run("--model", str(tmp_path / "none"), "--out", str(tmp_path / "out"))
    assert result.exit_code == 1
    assert "no model at" in result.stderr
    assert result.stdout == ""


def test_a_folder_that_is_a_file_is_one_sentence(model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here already")
    result = run("--model", str(model), "--out", str(tmp_path / "file"))
    assert result.exit_code == 1
    assert "cannot be written: File exists" in result.stderr


def test_a_missing_extra_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {"skiddo": "skia-python", "no_such": "scipy"}
    monkeypatch.setitem(extras.NEEDED, "training", lacking)
    result = run()
    assert result.exit_code == 1
    assert "eval needs skia-python, scipy: run pip install" in result.stderr


def test_missing_voices_are_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "missing", lambda: ("espeak-ng", "flite"))
    result = run()
    assert result.exit_code == 1
    assert "eval needs the voices of espeak-ng flite: install them with apt-get" in result.stderr
