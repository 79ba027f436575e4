"""Finds what a person names as `module:function`. Knows nothing of what it is for."""

import importlib
from collections.abc import Callable
from typing import Any

from soul.data.errors import PluginError


def load(name: str) -> Callable[..., Any]:
    """The callable named `module:function`; PluginError if there is none."""
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise PluginError(f"{name!r} names no plug-in; expected module:function")
    try:
        found: object = vars(importlib.import_module(module)).get(function)
    except ImportError as error:
        raise PluginError(f"{name!r} cannot be imported ({error}); expected module:function") from (
            error
        )
    if not callable(found):
        raise PluginError(f"{module!r} has no callable {function!r}; expected module:function")
    return found
