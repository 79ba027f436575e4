"""`soul data`: a table at the end, or one sentence; through real processes."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from made_videos import write_video
from soul.cli import extras
from soul.cli.main import app

RUNNER = CliRunner()


def run(*words: str) -> tuple[int, str, str]:
    result = RUNNER.invoke(app, ["data", *words])
    return result.exit_code, " ".join(result.stdout.split()), " ".join(result.stderr.split())


def test_every_video_is_told(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "small.mkv", [np.zeros((120, 200, 3), np.uint8)] * 30)
    (films / "broken.mp4").write_text("no video")
    out = tmp_path / "out"
    code, said, progress = run(str(films), "--out", str(out), "--processes", "1")
    assert code == 0, progress
    assert "2 videos" in said
    assert "resolution" in said
    assert "unreadable" in said
    assert "0.0 s kept in 0 shards" in said
    assert "0 kept, 2 dropped" in progress
    rows = pq.read_table(out / "table.parquet").to_pylist()
    assert [row["video"] for row in rows] == ["broken.mp4", "small.mkv"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ((), 1, "holds no video; expected files such as .mp4"),
        (("--shortest", "6"), 2, "clips of 6 to 5 s make no sense"),
        (("--caption-url", "http://x/v1"), 2, "captions need both an endpoint and a model"),
        (("--least", "4"), 2, "a least score of 4 was given and nothing that scores"),
    ],
)
def test_bad_input_is_one_sentence(
    tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    ended, _, said = run(str(tmp_path), "--out", str(tmp_path / "out"), *words)
    assert ended == code
    assert "error: " in said
    assert sentence in said
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.NEEDED, "data", {"no_such_module": "no-such-package"})
    code, _, said = run(str(tmp_path), "--out", str(tmp_path / "out"))
    assert code == 1
    assert "soul data needs no-such-package: run pip install -e '.[data]' in the clone" in said
