"""The folder of a long measurement: lines, settings, a bounded number of pictures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soul.cli.bench.diary import PICTURES, Diary, minute_of, sheet
from soul.cli.bench.server import BenchError
from soul.training.drift import Minute

PICTURE = np.full((4, 4, 3), 9, np.uint8)


def minute(number: int) -> Minute:
    parts = {"picture": 1.5, "hair": float("nan")}
    return Minute(number, 0.1, 0.2, parts, parts, 1.0, 20.0, 3.0, 0.0, 0.0, 0.8, 0, 1.0, 0.01, 0.4)


def test_lines_are_read_back_and_what_is_not_finite_is_null(tmp_path: Path) -> None:
    diary = Diary(tmp_path, 3)
    diary.open({"seed": 1})
    assert diary.begin("a", 0) == []
    for number in (1, 2, 3):
        diary.write("a", minute(number), PICTURE)
    line = json.loads((tmp_path / "minutes.jsonl").read_text().splitlines()[1])
    assert (line["of"], line["minute"], line["tint"]["hair"]) == ("a", 2, None)
    read = Diary(tmp_path, 3).begin("a", 2)
    assert [m.minute for m in read] == [1, 2]
    assert np.isnan(read[1].delta_e["hair"])
    assert len((tmp_path / "minutes.jsonl").read_text().splitlines()) == 2
    assert minute_of(line).sharpness == 20.0


def test_a_day_leaves_no_more_pictures_than_an_hour(tmp_path: Path) -> None:
    day = Diary(tmp_path, 24 * 60)
    kept = [number for number in range(1, 24 * 60 + 1) if day.due(number)]
    assert (kept[0], kept[-1]) == (1, 24 * 60)
    assert len(kept) <= PICTURES + 1  # the last one always
    assert all(Diary(tmp_path, 60).due(number) for number in range(1, 61))


def test_another_measurements_folder_is_refused(tmp_path: Path) -> None:
    Diary(tmp_path, 2).open({"seed": 1, "model": "a"})
    with pytest.raises(BenchError, match="holds a measurement with seed 1, this one has 2"):
        Diary(tmp_path, 2).open({"seed": 2, "model": "a"})
    with pytest.raises(BenchError, match="has 0 minutes, expected at least 4"):
        Diary(tmp_path, 2).begin("a", 4)
    (tmp_path / "settings.json").write_text("{")
    with pytest.raises(BenchError, match="cannot be read as JSON"):
        Diary(tmp_path, 2).open({})


def test_the_report_has_its_sheet_and_curves(tmp_path: Path) -> None:
    diary = Diary(tmp_path, 2)
    diary.open({})
    for label in ("a", "b"):
        diary.write(label, minute(1), PICTURE)
    diary.finish({"figure": float("inf"), "list": [float("nan"), 1]})
    assert json.loads((tmp_path / "report.json").read_text()) == {"figure": None, "list": [None, 1]}
    assert Image.open(tmp_path / "sheet.png").size == (4, 4)
    assert Image.open(tmp_path / "curves.png").size == (1400, 600)


def test_a_sheet_has_lines_of_ten() -> None:
    assert sheet([PICTURE] * 3).shape == (4, 12, 3)
    wide = sheet([PICTURE] * 12)
    assert wide.shape == (8, 40, 3)
    assert (wide[4:, 8:] == 255).all()
