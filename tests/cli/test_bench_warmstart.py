"""`soul bench warmstart`: curves of a run's teacher, and one sentence where there is no run."""

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from made_runs import made_run
from soul.cli.main import app


def bench(run: Path, out: Path, *arguments: str) -> Result:
    told = ["bench", "warmstart", "--run", str(run), "--out", str(out), "--threads", "1"]
    return CliRunner().invoke(app, [*told, *arguments], env={"COLUMNS": "200"})


def test_curves_are_written_and_the_verdict_is_printed(tmp_path: Path) -> None:
    made_run(tmp_path / "run")
    done = bench(tmp_path / "run", tmp_path / "out", "--steps", "4")
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert (printed["bench"], printed["steps"], printed["clips"]) == ("warmstart", 4, 8)
    assert printed["machine"]["cores"] >= 1
    ends = printed["verdict"]["held out"]
    kept = json.loads((tmp_path / "out" / "curves.json").read_text())
    for name in ("warm start", "random start"):
        assert kept["curves"][name]["held out"] == [[4, ends[name]["final"]]]
    assert (tmp_path / "out" / "curves.png").exists()
    assert "what the warm start of audio layers is worth" in done.stderr


def test_a_folder_without_a_run_is_one_sentence(tmp_path: Path) -> None:
    done = bench(tmp_path / "nowhere", tmp_path / "out")
    assert done.exit_code == 1
    assert "no run at" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_run_without_latents_names_what_is_missing(tmp_path: Path) -> None:
    made_run(tmp_path / "run")
    (tmp_path / "run" / "latents" / "tokens.npy").unlink()
    done = bench(tmp_path / "run", tmp_path / "out")
    assert done.exit_code == 1
    assert "tokens.npy" in done.stderr
    assert "autoencoder and encode of that run done" in " ".join(done.stderr.split())


def test_a_bank_with_too_few_clips_is_one_sentence(tmp_path: Path) -> None:
    made_run(tmp_path / "run", clips=3)
    done = bench(tmp_path / "run", tmp_path / "out", "--steps", "2")
    assert done.exit_code == 1
    assert "the bank has 3 clips, expected at least 4" in done.stderr
