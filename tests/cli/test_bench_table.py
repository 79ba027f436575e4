"""`soul bench recipe`: a row a way, and one sentence where the baseline is missing."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from soul.cli.main import app
from soul.model.config import SOUL_TEST
from soul.model.load import save
from soul.model.sample import build
from soul.model.vae import full_decoder
from soul.training.baseline import save_baseline


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    config = replace(SOUL_TEST, image_size=256, name="soul-tiny")
    save(build(config, 0), tmp_path / "tiny")
    save_baseline(build(config, 1), full_decoder(config.vae), tmp_path / "baseline.safetensors")
    return tmp_path


def told(folder: Path, baseline: str) -> list[str]:
    return [
        "bench", "recipe", "--model", str(folder / "tiny"), "--against", str(folder / baseline),
        "--takes", "1", "--chunks", "12", "--steps", "3", "--threads", "1",
    ]  # fmt: skip


def test_the_table_has_a_row_a_way(tiny: Path) -> None:
    done = CliRunner().invoke(app, told(tiny, "baseline.safetensors"), env={"COLUMNS": "200"})
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)["rows"]
    assert [row["name"].split(":")[0] for row in rows] == [
        "baseline", "+ distillation", "+ light decoder", "+ light decoder, K = 1",
        "+ light decoder, K = 4",
    ]  # fmt: skip
    assert rows[0]["speedup"] == 1
    assert all(row["chunk_ms"] > 0 for row in rows)
    assert "worst loss" in done.stderr


def test_a_baseline_that_is_missing_is_named(tiny: Path) -> None:
    done = CliRunner().invoke(app, told(tiny, "gone.safetensors"))
    assert done.exit_code == 1
    assert "gone.safetensors is not a whole safetensors file" in done.stderr
