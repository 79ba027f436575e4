"""`soul bench drift --ablation`: one table of eight streams, and its folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from soul.cli.bench import ablation, drift
from soul.cli.bench.diary import Diary
from soul.cli.main import app
from soul.model.config import SOUL_TEST
from soul.model.load import save
from soul.model.sample import build


def test_the_table_is_rows_lines_and_something_to_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "CHUNKS_A_MINUTE", 4)
    drawn: list[int] = []
    monkeypatch.setattr(Diary, "draw", lambda diary: drawn.append(len(diary.series)))
    tiny = build(replace(SOUL_TEST, image_size=256, name="soul-tiny"), 0)
    tiny.codebook.centroids.normal_()
    tiny.codebook.threshold.fill_(6.5)
    save(tiny, tmp_path / "tiny")
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        [
            "bench", "drift", "--ablation", "--minutes", "2", "--threads", "1", "--noise", "0.3",
            "--model", str(tmp_path / "tiny"), "--out", str(out),
        ],
        env={"COLUMNS": "200"},
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    printed = json.loads(done.stdout)
    assert printed["damage"] == {"noise_in_context": 0.3, "weights_off": 0.01}
    rows = {(row["student"], row["codebook"]): row for row in printed["rows"]}
    assert len(rows) == 8
    for student in ("healthy", "damaged"):
        assert rows[student, "off"]["last_minute"]["pulled_back"] == 0
        assert rows[student, "hard"]["last_minute"]["pulled_back"] == 1
        assert 0 < rows[student, "pullback"]["last_minute"]["pulled_back"] <= 1
        assert 0 < rows[student, "extended"]["codebook_share"] < 1
    assert "what the codebook is worth" in done.stderr
    assert len((out / "minutes.jsonl").read_text().splitlines()) == 16
    assert drawn == [8, 8, 8]  # after each minute of all, and at the end
    assert json.loads((out / "report.json").read_text())["rows"] == printed["rows"]


def test_a_figure_that_is_not_there_is_a_dash() -> None:
    assert ablation.told(None, 3) == "–"
    assert ablation.told(0.12345, 3) == "0.123"
