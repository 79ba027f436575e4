"""`soul bench decoders`: rows for the renders and three decoders, and what is missing is named."""

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from made_runs import made_run
from soul.cli.main import app
from soul.training import speech
from soul.training.identity import Embedding
from soul.training.probe import Probe


def bench(run: Path, out: Path, *arguments: str) -> Result:
    told = ["bench", "decoders", "--run", str(run), "--out", str(out), "--threads", "1"]
    told += ["--minutes", "0.01", "--takes", "1", "--chunks", "3"]
    return CliRunner().invoke(app, [*told, *arguments], env={"COLUMNS": "200"})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """With judges of its own, untrained ones."""
    made_run(tmp_path / "run", size=256, clips=2, frames=8)
    torch.manual_seed(0)
    Probe().save(tmp_path / "run" / "probe.safetensors")
    Embedding().save(tmp_path / "run" / "identity.safetensors")
    return tmp_path / "run"


def test_the_comparison_is_written_and_printed(run: Path, tmp_path: Path) -> None:
    done = bench(run, tmp_path / "out")
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    names = [row["name"] for row in printed["rows"]]
    assert names == ["the world's renders", "full", "guided", "unguided"]
    assert printed["rows"][0]["quality"]["psnr"] is None  # without bound
    costs = [row["macs"] for row in printed["rows"]]
    assert printed["times_fewer_macs"]["guided"] == round(costs[1] / costs[2], 2)
    assert printed["steps"] >= 1
    assert not printed["students_latents"]
    kept = json.loads((tmp_path / "out" / "decoders.json").read_text())
    assert kept["rows"] == printed["rows"]
    assert (tmp_path / "out" / "decoders.png").exists()
    assert "what the portrait's guidance is worth" in done.stderr


@pytest.mark.parametrize("stage", ["autoencoder", "full"])
def test_a_run_without_its_painters_names_them(run: Path, tmp_path: Path, stage: str) -> None:
    (run / stage / "state.pt").unlink()
    done = bench(run, tmp_path / "out")
    assert done.exit_code == 1
    assert "state.pt; expected the stages bank, autoencoder and full" in " ".join(
        done.stderr.split()
    )


def test_missing_voices_are_told_first(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech, "missing", lambda: ("flite",))
    done = bench(run, tmp_path / "out")
    assert done.exit_code == 1
    assert "bench decoders needs the voices of flite" in done.stderr
