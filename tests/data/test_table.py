"""The table holds every row with its reason, and says what was not done."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from soul.data.config import CaptionConfig, DataConfig, ScoreConfig
from soul.data.errors import StopError
from soul.data.table import Reason, Row, row_from_json, write_table

KEPT = Row("a.mp4", 100, 120, Reason.KEPT, clip="a-1", sound=True, sync_lag=-1, score=4.5)
DROPPED = Row("a.mp4", 0, 50, Reason.LENGTH, "a shot of 2.00 s; expected at least 4", rate=25.0)


def test_rows_stand_in_order_with_what_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, [KEPT, DROPPED], {"a-1": "000003.tar"}, DataConfig())
    first, second = pq.read_table(path).to_pylist()
    assert (first["reason"], first["kept"], first["shard"]) == ("length", False, None)
    assert first["detail"] == "a shot of 2.00 s; expected at least 4"
    assert (first["start"], first["seconds"], first["rate"]) == (0.0, 2.0, 25.0)
    assert (second["clip"], second["kept"], second["shard"]) == ("a-1", True, "000003.tar")
    assert (second["start"], second["seconds"]) == (4.0, 4.8)
    assert (second["sync_lag"], second["score"], second["sound"]) == (-1, 4.5, True)
    assert second["text"] is None
    assert list(tmp_path.iterdir()) == [path]


def test_what_was_not_done_is_said(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(path, [], {}, DataConfig())
    notes = pq.read_schema(path).metadata
    assert notes[b"soul.score"] == b"not scored: no plug-in was named"
    assert notes[b"soul.captions"] == b"not captioned: no endpoint was named"
    assert json.loads(notes[b"soul.config"]) == DataConfig().to_json()
    told = DataConfig(
        score=ScoreConfig("my.looks:score"), caption=CaptionConfig(url="http://x/v1", model="vlm")
    )
    write_table(path, [], {}, told)
    notes = pq.read_schema(path).metadata
    assert (notes[b"soul.score"], notes[b"soul.captions"]) == (b"by my.looks:score", b"by vlm")


def test_a_row_survives_json() -> None:
    for row in (KEPT, DROPPED):
        assert row_from_json(json.loads(json.dumps(row.to_json()))) == row


def test_a_table_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    (tmp_path / "table.parquet.part").symlink_to("/dev/full")
    with pytest.raises(StopError, match=r"table.parquet' cannot be written"):
        write_table(path, [KEPT], {}, DataConfig())
    assert list(tmp_path.iterdir()) == []
