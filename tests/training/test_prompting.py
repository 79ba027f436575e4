"""A face that does as asked scores as it should, and so does one that does not."""

import math
from dataclasses import replace

import numpy as np
import pytest

from made_behaviour import SMILES, prompted, smile_judge
from soul.training.manner import SIDES
from soul.training.probe import Probe
from soul.training.prompting import (
    USUAL,
    ask,
    chance,
    confusion,
    lips_lost,
    of_renders,
    prompt_figures,
)
from soul.training.takes import drawn

JUDGES = {"expression": smile_judge()}
PERFECT = [prompted(value, person) for person in range(2) for value in SMILES]


def test_a_face_that_does_as_asked_is_named_right() -> None:
    found = prompt_figures(PERFECT, JUDGES)
    assert (found.prompt_adherence, found.adherence_expression) == (1.0, 1.0)
    assert math.isnan(found.adherence_gaze)  # nobody was asked
    assert found.lips_under_prompts == 0.0
    counts = confusion(PERFECT, JUDGES)["expression"]
    assert all(counts[value][value] == 2 for value in SMILES)


def test_a_face_that_ignores_its_prompt_is_right_by_chance() -> None:
    deaf = [replace(take, seen=prompted("neutral").seen) for take in PERFECT]
    found = prompt_figures(deaf, JUDGES)
    assert found.prompt_adherence == pytest.approx(chance(deaf)) == pytest.approx(1 / 6)
    assert confusion(deaf, JUDGES)["expression"]["angry"]["neutral"] == 2
    assert prompt_figures(of_renders(deaf), JUDGES).prompt_adherence == 1.0


def test_lips_that_fall_under_one_prompt_are_told_in_points() -> None:
    def worse(value: str) -> np.ndarray:
        rng = np.random.default_rng(0)
        opening = prompted(value).seen.mouth_open
        return opening + 0.05 * rng.standard_normal(len(opening)).astype(np.float32)

    takes = [
        replace(t, seen=replace(t.seen, mouth_open=worse(t.value))) if t.value == "sad" else t
        for t in PERFECT
    ]
    lost = lips_lost(takes)["expression"]
    assert lost.keys() == SMILES.keys() - {"neutral"}
    assert lost["happy"] == 0.0
    assert -8.0 < lost["sad"] < -1.0
    assert prompt_figures(takes, JUDGES).lips_under_prompts == lost["sad"]


def test_every_side_has_a_value_that_is_usual() -> None:
    assert USUAL.keys() == SIDES.keys()
    assert all(USUAL[side] in SIDES[side] for side in SIDES)


def test_one_person_is_asked_for_every_value_in_turn() -> None:
    takes = ask(drawn, Probe().eval(), 120_001, "energy", 0, 24)
    assert [take.value for take in takes] == list(SIDES["energy"])
    for take in takes:
        assert np.array_equal(take.truth.mouth_open, takes[0].truth.mouth_open)
        assert np.array_equal(take.seen.yaw, take.renders.yaw)
    assert not np.array_equal(takes[0].truth.yaw, takes[1].truth.yaw)


def test_without_takes_there_is_no_figure() -> None:
    assert math.isnan(chance([]))
    assert math.isnan(prompt_figures([], {}).prompt_adherence)
