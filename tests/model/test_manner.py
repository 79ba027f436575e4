"""Manners as numbers."""

from dataclasses import astuple
from itertools import product

import pytest

from soul.model.manner import NUMBERS, VALUES, Manner, Mood, attentive, mix, mood


def test_the_first_value_of_a_side_is_as_usual() -> None:
    usual = {side: values[0] for side, values in VALUES.items()}
    assert Manner(**usual) == Manner()


def test_no_two_manners_have_the_same_numbers() -> None:
    found = [mood(Manner(*sides)) for sides in product(*VALUES.values())]
    assert len(set(found)) == 6 * 3 * 5 * 5


def test_a_mixture_lies_between() -> None:
    half = mix((mood(Manner("happy")), mood(Manner("sad"))), (0.5, 0.5))
    assert half.smile == pytest.approx(0.075)
    assert mix((Mood(),), (1.0,)) == Mood()
    assert len(NUMBERS) == len(astuple(Mood()))


def test_who_listens_does_nothing_of_what_was_asked_but_keeps_the_face() -> None:
    asked = mood(Manner("happy", "lively", "nodding", "away"))
    found = attentive(asked)
    assert (found.smile, found.brow) == (asked.smile, asked.brow)
    assert (found.nodding, found.wander, found.head) == (0.0, 0.0, 0.6)
