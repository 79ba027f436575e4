"""Figures, bars and the report of somebody who does as told, and of nobody."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from made_behaviour import SMILES, behaved, prompted, turn
from soul.training.behaviour import (
    BEHAVIOUR_BARS,
    Behaviour,
    BehaviourConfig,
    as_report,
    behave,
    switch_rows,
)
from soul.training.evaluate import finite
from soul.training.probe import Probe
from soul.training.takes import drawn

NOBODY = Behaviour((), (), (), {}, {})


def test_who_does_as_told_reaches_every_bar_that_was_tried() -> None:
    verdicts = {verdict.bar.figure: verdict for verdict in behaved().verdicts()}
    tried = {name: v for name, v in verdicts.items() if v.met_bar is not None}
    still = {"switch_jump_pose"}  # a made face that moves nothing else has no usual second
    assert {name for name, v in tried.items() if not v.met_bar} <= still
    assert tried["prompt_adherence"].met_goal
    assert verdicts["adherence_gaze"].value is None
    assert verdicts["listening_smile"].met_bar is None  # words are nobody's to meet


def test_who_does_not_is_told_so() -> None:
    deaf = tuple(replace(t, seen=prompted("neutral").seen) for t in behaved().prompted)
    open_ = turn().seen
    open_ = replace(open_, read=replace(open_.read, mouth_open=np.full(240, 0.5, np.float32)))
    broken = replace(behaved(), prompted=deaf, turns=(replace(turn(), seen=open_),))
    verdicts = {verdict.bar.figure: verdict for verdict in broken.verdicts()}
    assert verdicts["prompt_adherence"].met_bar is False
    assert verdicts["listening_closed"].met_bar is False
    assert verdicts["prompt_adherence"].on_renders == 1.0


def test_every_bar_is_of_a_figure_that_there_is() -> None:
    assert {bar.figure for bar in BEHAVIOUR_BARS} == NOBODY.figures().keys()
    assert len({bar.figure for bar in BEHAVIOUR_BARS}) == len(BEHAVIOUR_BARS)


def test_where_nothing_is_asked_there_is_nothing_to_tell() -> None:
    found = behave(drawn, Probe(), 0, 12, BehaviourConfig(0, 0, 0))
    assert found == NOBODY
    assert all(math.isnan(value) for value in found.figures().values())
    assert all(verdict.value is None for verdict in found.verdicts())


def test_the_report_is_json_and_holds_every_take() -> None:
    report = finite(as_report(behaved()))
    assert json.loads(json.dumps(report)) == json.loads(json.dumps(report))
    assert report["named"]["expression"]["happy"]["happy"] == 2
    assert len(report["takes"]) == 2 * len(SMILES)
    assert report["chance"] == pytest.approx(1 / 6)
    (row,) = switch_rows(behaved())
    assert (row.seconds, row.reached) == pytest.approx((0.4, 1.0), abs=0.05)
    assert report["switches"][0]["before"] == "neutral"
