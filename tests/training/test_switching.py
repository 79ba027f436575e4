"""Takes that follow a new prompt cleanly, with a jump, late, and never."""

import math
from dataclasses import replace

import numpy as np
import pytest

from made_behaviour import AT, FRAMES, painted, smiling_from, speaking, switch
from soul.training.probe import Probe
from soul.training.switching import (
    SWITCHES,
    course_of,
    of_renders,
    seconds_of,
    switch_figures,
)
from soul.training.switching import switch as play
from soul.training.takes import drawn


def test_the_world_follows_within_half_a_second_and_without_a_jump() -> None:
    found = switch_figures([switch()])
    assert found.switches_followed == 1.0
    assert found.switch_seconds == pytest.approx(0.4, abs=0.05)
    assert found.switch_jump_picture < 1.5
    assert found.switch_jump_pose < 4.0  # nothing but a smile moves by itself here


def test_a_picture_that_jumps_is_found_out() -> None:
    broken = replace(switch(), seen=painted(smiling_from(AT + 4, 1, speaking())))
    found = switch_figures([broken])
    assert found.switches_followed == 1.0
    assert found.switch_jump_picture > 2.0
    assert found.switch_jump_pose > 3 * switch_figures([switch()]).switch_jump_pose


def test_a_late_picture_is_told_by_its_seconds() -> None:
    late = replace(switch(), seen=painted(smiling_from(AT + 40, 12, speaking())))
    assert seconds_of(late) == pytest.approx(46 / 25, abs=0.05)


def test_a_face_that_ignores_its_new_prompt_never_follows() -> None:
    deaf = replace(switch(), seen=painted(speaking()))
    found = switch_figures([deaf, switch()])
    assert math.isnan(seconds_of(deaf))
    assert found.switches_followed == 0.5
    assert found.switch_seconds == pytest.approx(0.4, abs=0.05)
    assert switch_figures(of_renders([deaf])).switches_followed == 1.0


def test_half_a_change_counts_as_half() -> None:
    half = speaking()
    half[AT + 10 :, 10] = 0.4  # of a smile of 0.75
    course, end = course_of(replace(switch(), seen=painted(half)))
    assert end == pytest.approx(0.4 / 0.75, abs=0.01)
    assert course.shape == (FRAMES,)


def test_a_prompt_changes_in_the_middle_of_a_played_take() -> None:
    take = play(drawn, Probe().eval(), 120_001, 0, 10)
    assert (take.before, take.after) == SWITCHES[0]
    assert take.at == 20
    assert np.array_equal(take.seen.picture, take.renders.picture)
    assert take.seen.picture.shape == take.seen.pose.shape == (39,)
    assert take.prompts[0] != take.prompts[1]


def test_without_takes_there_is_no_figure() -> None:
    assert math.isnan(switch_figures([]).switches_followed)
