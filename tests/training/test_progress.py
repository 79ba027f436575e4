"""How far a stage is, what it writes, and the learning rate that follows from it."""

import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soul.training.progress import Length, Progress, learning_rate, sheet


def test_steps_are_counted_to_the_end(tmp_path: Path) -> None:
    progress = Progress("stage", tmp_path, Length(4))
    assert list(progress.run()) == [0, 1, 2, 3]
    assert progress.fraction == 1
    assert progress.spent >= 0
    assert list(progress.run()) == []


def test_the_step_under_way_counts_as_done(tmp_path: Path) -> None:
    """What is saved within a step has its effect: a resumed stage must not take it twice."""
    progress = Progress("stage", tmp_path, Length(2))
    assert [(step, progress.step) for step in progress.run()] == [(0, 1), (1, 2)]


def test_a_stage_goes_on_where_it_stood(tmp_path: Path) -> None:
    assert list(Progress("stage", tmp_path, Length(5), step=3).run()) == [3, 4]


def test_a_slow_day_before_says_nothing_of_the_time_left(tmp_path: Path) -> None:
    progress = Progress("stage", tmp_path, Length(10), step=5, spent=6000.0)
    assert [step for step, _ in zip(progress.run(), range(2), strict=False)] == [5, 6]
    progress.spent = 6000.0 + 120.0
    done, left = progress.step - 5, 10 - progress.step
    assert progress.minutes_left == pytest.approx(2.0 * left / done)


def test_minutes_end_a_stage_earlier(tmp_path: Path) -> None:
    progress = Progress("stage", tmp_path, Length(1000, minutes=2), spent=90)
    assert progress.fraction == pytest.approx(0.75)
    progress.spent = 121
    assert progress.fraction == 1
    assert list(progress.run()) == []


def test_means_are_written_every_so_often(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    progress = Progress("stage", tmp_path, Length(4), every=2)
    with caplog.at_level(logging.INFO, "soul.training"):
        for step in progress.run():
            progress.add(loss=float(step), other=1.0)
    assert [value for _, value in progress.curves["loss"]] == [0.5, 2.5]
    assert [value for _, value in progress.curves["other"]] == [1, 1]
    assert len(caplog.messages) == 2
    assert "min left" in caplog.messages[0]
    assert "loss 0.5000" in caplog.messages[0]


def test_curves_are_left_to_look_at(tmp_path: Path) -> None:
    progress = Progress("stage", tmp_path, Length(2), every=1)
    progress.plot()
    assert not (tmp_path / "curves.png").exists()  # nothing to show yet
    for _ in progress.run():
        progress.add(loss=0.25)
    progress.plot()
    assert json.loads((tmp_path / "curves.json").read_text())["loss"] == [[1, 0.25], [2, 0.25]]
    assert Image.open(tmp_path / "curves.png").width > 100
    assert list((tmp_path / "tensorboard").iterdir())


def test_the_learning_rate_warms_up_and_falls() -> None:
    assert learning_rate(0.0, 2.0) == 0
    assert learning_rate(0.015, 2.0) == pytest.approx(1.0)
    assert learning_rate(0.03, 2.0) == pytest.approx(2.0)
    assert learning_rate(1.0, 2.0) == pytest.approx(0.02)
    middle = learning_rate(0.515, 2.0)
    assert middle == pytest.approx(2.0 * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi / 2))))
    falling = [learning_rate(0.03 + 0.097 * i, 1.0) for i in range(11)]
    assert falling == sorted(falling, reverse=True)


def test_pictures_stand_in_rows(tmp_path: Path) -> None:
    rows = [[np.full((4, 6, 3), 40 * r + 10 * c, np.uint8) for c in range(3)] for r in range(2)]
    sheet(rows, tmp_path / "sheet.png")
    found = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert found.shape == (8, 18, 3)
    assert (found[2, 13], found[6, 1]) == (pytest.approx(20), pytest.approx(40))
