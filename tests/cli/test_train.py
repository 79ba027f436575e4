"""`soul train` from outside: its help, and what it says to a stage that does not exist."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from soul.cli.main import app
from soul.model.config import SOUL_MINI_512
from soul.model.load import WeightsError
from soul.training import recipe, speech
from soul.training.probe import ProbeError
from soul.training.recipe import MissingStage
from soul.training.speech import SpeechError


def test_help_names_every_stage() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"]).output
    for stage in ("bank", "listener", "autoencoder", "codebook", "teacher", "student", "export"):
        assert stage in shown


def test_an_unknown_stage_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["train", "--out", str(tmp_path), "--stages", "bank,magic"])
    assert result.exit_code == 2
    assert "'magic'" in result.stderr


def train(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["train", "--out", str(folder), *arguments])


@pytest.mark.parametrize(
    "arguments",
    [("--minutes", "0"), ("--minutes", "-3"), ("--threads", "0"), ("--seed", "-1")],
)
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, arguments: tuple[str, str]) -> None:
    result = train(tmp_path / "run", *arguments)
    assert result.exit_code == 2
    assert arguments[0] in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [SpeechError, WeightsError, ProbeError, MissingStage])
def test_trouble_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fails(*arguments: object) -> None:
        raise error("it is not there, expected it")

    monkeypatch.setattr(recipe, "run", fails)
    result = train(tmp_path, "--stages", "codebook")
    assert result.exit_code == 1
    assert "error: it is not there, expected it." in result.stderr


def test_a_beginning_that_is_not_there_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    result = train(tmp_path / "run", "--from", str(tmp_path / "nothing"))
    assert result.exit_code == 1
    assert "no model at" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_recipe_is_refused(tmp_path: Path) -> None:
    recipe.run(tmp_path, recipe.Recipe(), ())
    result = train(tmp_path, "--stages", "codebook", "--seed", "5")
    assert result.exit_code == 2
    assert "holds a run with seed 0, this one has 5" in result.stderr


def test_missing_earlier_stages_are_one_sentence(tmp_path: Path) -> None:
    for stage in ("codebook", "evaluate"):
        result = train(tmp_path, "--stages", stage)
        assert result.exit_code == 1, result.stderr
        assert "expected" in result.stderr
        assert "Traceback" not in result.stderr


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here already")
    result = train(tmp_path / "file", "--stages", "codebook")
    assert result.exit_code == 1
    assert "cannot be used: File exists" in result.stderr


def test_missing_voices_are_told_before_a_stage_that_speaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "missing", lambda: ("flite",))
    result = train(tmp_path / "run")
    assert result.exit_code == 1
    assert "stage bank needs the voices of flite: install them with apt-get" in result.stderr
    assert not (tmp_path / "run").exists()
    silent = train(tmp_path / "run", "--stages", "codebook")
    assert "stage codebook needs" in silent.stderr


def test_a_device_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    result = train(tmp_path / "run", "--device", "cuda")
    assert result.exit_code == 2
    assert "--device cuda: no NVIDIA GPU answers here" in result.stderr
    result = train(tmp_path / "run", "--device", "abacus")
    assert result.exit_code == 2
    assert "--device 'abacus' is not known; expected cpu or cuda" in result.stderr
    assert not (tmp_path / "run").exists()


def test_another_model_has_a_run_of_its_own(tmp_path: Path) -> None:
    recipe.run(tmp_path, recipe.recipe_of(SOUL_MINI_512), ())
    result = train(tmp_path, "--stages", "codebook", "--model", "soul-mini-512")
    assert result.exit_code == 1
    assert "stage codebook needs" in result.stderr
    result = train(tmp_path, "--stages", "codebook")
    assert result.exit_code == 2
    assert "holds a run with model.name 'soul-mini-512'" in " ".join(result.stderr.split())


def test_a_model_that_is_not_known_is_named(tmp_path: Path) -> None:
    result = train(tmp_path / "run", "--model", "soul-maxi")
    assert result.exit_code == 2
    assert "--model 'soul-maxi' is not known; expected soul-mini or soul-mini-512" in result.stderr
    assert not (tmp_path / "run").exists()


def test_help_says_that_cuda_has_not_been_verified() -> None:
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output
    assert "cuda has not been verified" in " ".join(shown.replace("│", " ").split())
