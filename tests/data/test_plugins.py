"""Plug-ins are found by name, or refused with what was expected."""

import pytest

from soul.data.errors import PluginError
from soul.data.plugins import load


def test_a_callable_is_found() -> None:
    assert load("statistics:mean")([1, 3]) == 2


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("statistics", "names no plug-in"),
        (":mean", "names no plug-in"),
        ("no_such_module:mean", "cannot be imported"),
        ("statistics:no_such", "has no callable 'no_such'"),
        ("math:pi", "has no callable 'pi'"),
    ],
)
def test_anything_else_is_refused(name: str, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        load(name)
