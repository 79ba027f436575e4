"""A listener who attends scores as one, and one who does not is found out."""

import math
from dataclasses import replace

import numpy as np
import pytest

from made_behaviour import FRAMES, painted, reread, speaking, turn
from soul.training.probe import Probe
from soul.training.takes import drawn
from soul.training.turns import converse, of_renders, turn_figures


def test_a_listener_attends() -> None:
    found = turn_figures([turn()])
    assert found.listening_closed == 1.0
    assert found.listening_gaze_at_viewer == 1.0
    assert found.listening_nods_a_minute == pytest.approx(30.0)  # two in four seconds
    assert found.listening_smile == pytest.approx(0.2, abs=1e-6)
    assert turn().switches == [70, 170]


def test_a_mouth_that_speaks_with_the_others_voice_is_found_out() -> None:
    mocking = replace(turn(), seen=painted(speaking()))
    found = turn_figures([mocking])
    assert found.listening_closed < 0.1
    assert found.listening_nods_a_minute == 0.0
    assert found.listening_smile == 0.0
    assert turn_figures(of_renders([mocking])) == turn_figures([turn()])


def test_eyes_that_wander_are_found_out() -> None:
    take = turn()
    aside = reread(take.seen, gaze_x=np.full(FRAMES, 0.7, np.float32))
    assert turn_figures([replace(take, seen=aside)]).listening_gaze_at_viewer == 0.0


def test_a_face_that_jumps_into_its_turn_is_found_out() -> None:
    take = turn()
    broken = take.seen.picture.copy()
    broken[72] = 10 * broken.max()
    found = turn_figures([replace(take, seen=replace(take.seen, picture=broken))])
    assert found.turn_jump_picture > 5 * turn_figures([take]).turn_jump_picture


def test_turns_are_played_as_they_are_drawn() -> None:
    take = converse(drawn, Probe().eval(), 120_001, 0, 48)
    assert take.listening.shape == take.silent.shape == (48,)
    assert 0 < take.listening.sum() < 48
    assert np.array_equal(take.seen.read.pitch, take.renders.read.pitch)


def test_without_takes_there_is_no_figure() -> None:
    assert math.isnan(turn_figures([]).listening_closed)
    assert math.isnan(turn_figures([]).listening_nods_a_minute)
