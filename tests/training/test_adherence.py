"""Judges name what the world's own motion shows, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from soul.model.manner import Manner, mood
from soul.training.adherence import (
    LOOKS_AT,
    JudgeConfig,
    Material,
    accuracy,
    asked,
    bridged,
    draw_voices,
    seen,
    statistics,
    train_judge,
    train_judges,
)
from soul.training.life import live
from soul.training.manner import SIDES
from soul.training.probe import Probe
from soul.training.sight import CHANNELS, Error

SMALL = JudgeConfig(takes=24, tests=10, voices=6, people=1, steps=200)
SIGHT = {name: Error(1.0, 0.0, 0.04, 0.03) for name in CHANNELS}


@pytest.fixture(scope="module")
def material() -> Material:
    return Material(SIGHT, draw_voices(np.random.default_rng(0), SMALL))


@pytest.mark.parametrize(("side", "least"), [("energy", 0.7), ("head", 0.85), ("gaze", 0.75)])
def test_a_judge_names_what_drawn_motion_shows(side: str, least: float, material: Material) -> None:
    judge = train_judge(np.random.default_rng(0), side, SMALL, material)
    assert accuracy(judge, np.random.default_rng(1), SMALL, material) >= least


def test_a_face_that_ignores_its_prompt_is_found_out(material: Material) -> None:
    rng = np.random.default_rng(2)
    judge = train_judge(rng, "expression", SMALL, material)
    assert accuracy(judge, rng, SMALL, material) >= 0.9
    for value in SIDES["expression"]:
        neutral = live(rng, mood(Manner()), material.voices[0], 240)
        assert (judge.name(seen(neutral)) == value) == (value == "neutral")


def test_judges_are_trained_for_what_a_probe_reads() -> None:
    tiny = replace(SMALL, takes=2, tests=1, seconds=1.6, steps=2)
    judges, right = train_judges(Probe().eval(), 5, tiny, ("energy",))
    assert judges.keys() == right.keys() == {"energy"}
    assert 0.0 <= right["energy"] <= 1.0


def test_only_the_side_that_is_asked_for_is_not_as_usual() -> None:
    assert asked("gaze", "down") == Manner(gaze="down")
    assert asked("head", "free") == Manner()


def test_statistics_are_finite_for_a_face_that_does_not_move() -> None:
    for side, channels in LOOKS_AT.items():
        still = statistics({name: np.zeros(50) for name in CHANNELS}, side)
        assert still.shape == (6 * len(channels),)
        assert not still.any()


def test_a_gaze_behind_closed_lids_is_not_looked_at() -> None:
    channels = {name: np.zeros(60) for name in CHANNELS} | {"eye_open": np.ones(60)}
    plain = statistics(channels, "gaze")
    lids, gaze = np.ones(60), np.zeros(60)
    lids[20:24], gaze[20:24] = 0.0, 0.9
    found = statistics(channels | {"eye_open": lids, "gaze_x": gaze}, "gaze")
    assert np.array_equal(found[:12], plain[:12])  # gaze_x and gaze_y come first
    known = np.array([True, False, True])
    assert bridged(np.array([1.0, 9.0, 3.0]), known).tolist() == [1.0, 2.0, 3.0]
