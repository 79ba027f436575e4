"""Judges name what the world's own motion shows, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from soul.training.adherence import (
    CHANNELS,
    JudgeConfig,
    accuracy,
    asked,
    murmur,
    seen,
    statistics,
    train_judge,
)
from soul.training.life import live
from soul.training.manner import SIDES, Manner, mood

SMALL = JudgeConfig(takes=30, steps=200)


@pytest.mark.parametrize(("side", "least"), [("expression", 0.95), ("head", 0.85), ("gaze", 0.85)])
def test_a_judge_names_what_drawn_motion_shows(side: str, least: float) -> None:
    judge = train_judge(np.random.default_rng(0), side, SMALL)
    assert accuracy(judge, np.random.default_rng(1), replace(SMALL, takes=15)) >= least


def test_a_face_that_ignores_its_prompt_is_found_out() -> None:
    rng = np.random.default_rng(2)
    judge = train_judge(rng, "expression", SMALL)
    for value in SIDES["expression"]:
        neutral = live(rng, mood(Manner()), murmur(rng, 240), 240)
        assert (judge.name(seen(neutral)) == value) == (value == "neutral")


def test_only_the_side_that_is_asked_for_is_not_as_usual() -> None:
    assert asked("gaze", "down") == Manner(gaze="down")
    assert asked("head", "free") == Manner()


def test_statistics_are_finite_for_a_face_that_does_not_move() -> None:
    still = statistics({name: np.zeros(50) for name in CHANNELS})
    assert still.shape == (6 * len(CHANNELS),)
    assert not still.any()
