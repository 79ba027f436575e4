"""Every call has a process of its own, and the answers come in order."""

import os
from functools import partial

import numpy as np
import pytest

from soul.training.fresh import each_alone
from soul.training.listener import ListenerConfig, make_take

SHORT = ListenerConfig(seconds=2.0)


def process(_: int) -> int:
    return os.getpid()


def test_each_call_is_alone_and_answers_come_in_order() -> None:
    assert list(each_alone(abs, [-3, 4, -5], 2, "math")) == [3, 4, 5]
    assert len(set(each_alone(process, range(3), 2, "math"))) == 3


def test_an_error_of_a_call_is_raised_here() -> None:
    with pytest.raises(ZeroDivisionError):
        list(each_alone(partial(divmod, 1), [0], 1, "math"))


def test_a_take_does_not_depend_on_the_takes_before() -> None:
    """eSpeak's takes differed by what their process had spoken before."""
    make, home = partial(make_take, SHORT), "soul.training.listener"
    first = list(each_alone(make, [3, 9, 4], 2, home))
    again = list(each_alone(make, [4, 3, 9], 1, home))
    for one, other in zip(first, (again[1], again[2], again[0]), strict=True):
        assert np.array_equal(one[0], other[0])
        assert np.array_equal(one[1], other[1])
