"""From actor to report: the world itself reaches its own ceiling, and what is written is JSON."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from soul.model.config import SOUL_TEST
from soul.model.sample import build
from soul.training.alignment import AlignmentError
from soul.training.behaviour import BehaviourConfig
from soul.training.conditions import CONDITIONS
from soul.training.evaluate import TrialConfig, evaluate, finite, judge_actor
from soul.training.probe import Probe
from soul.training.recorded import Recording
from soul.training.takes import Played, Scene, drawn

SMALL = TrialConfig(trials=1, chunks=4, seed=7)  # its first take speaks at once


def test_the_world_itself_reaches_its_ceiling(tmp_path: Path) -> None:
    told = {"model": "the world", "seed": SMALL.seed}
    answer = judge_actor(drawn, Probe().eval(), SMALL, tmp_path, told)
    assert json.loads((tmp_path / "report.json").read_text()) == json.loads(json.dumps(answer))
    ceiling = answer["on_renders"]
    assert isinstance(ceiling, dict)
    assert {name: answer[name] for name in ceiling} == ceiling
    assert (answer["model"], answer["trials"], answer["frames"]) == ("the world", 1, 16)
    rows = answer["conditions"]
    assert isinstance(rows, list)
    assert [row["name"] for row in rows] == list(CONDITIONS)
    assert all(row["model"] == row["on_renders"] for row in rows)
    assert answer["recorded"] is None
    assert (answer["smudged"], answer["blinks_shown"]) == (0.0, answer["blinks_shown"])
    asked = answer["behaviour"]
    assert isinstance(asked, dict)
    assert asked["prompt_adherence"] is None  # one trial asks for nothing
    assert answer["longest_stare_seconds"] is None  # these takes are too short to show one
    assert Image.open(tmp_path / "trials.png").size == (9 * 256, 256)
    assert "Lips and life of the world" in (tmp_path / "index.html").read_text()


def test_a_text_that_does_not_fit_is_told_before_anything_is_played(tmp_path: Path) -> None:
    def never(scene: Scene) -> Played:
        raise AssertionError(scene.prompt)

    silence = Recording("nobody", np.zeros(16_000, np.float32), "Good day.", "en")
    with pytest.raises(AlignmentError, match="nobody: the recording is silent"):
        judge_actor(never, Probe().eval(), SMALL, tmp_path, {}, [silence])


def test_extras_cost_at_most_about_as_much_as_the_trials() -> None:
    config = TrialConfig()
    extra = 4 * config.hushes * config.hush_chunks + config.long_chunks
    assert extra <= config.trials * config.chunks
    assert config.long_chunks * 0.16 > 12  # a stare that is too long can be seen


def test_a_model_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="paints 64 pixels a side, expected 256"):
        evaluate(build(SOUL_TEST, 0), Probe(), SMALL, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_json_has_no_word_for_is_null() -> None:
    nested = {"a": math.nan, "b": (1.0, math.inf), "c": {"d": [2, "x"]}}
    assert finite(nested) == {"a": None, "b": [1.0, None], "c": {"d": [2, "x"]}}


def test_a_config_says_all_that_is_drawn() -> None:
    assert replace(SMALL, trials=8).hushes == 2
    assert TrialConfig().behaviour == BehaviourConfig(people=2, switches=4, turns=3)
    assert SMALL.behaviour == BehaviourConfig(people=0, switches=0, turns=0)
    assert (SMALL.hushes, SMALL.hush_chunks, SMALL.long_chunks) == (1, 2, 4)
