"""What a stream draws from, as plain numbers and lists, and back: nothing of it is a pickle.

For objects of this package's own: their attributes are numbers, texts, lists, arrays, generators,
moods, functions (which stay as they are) and objects of the same kind.
"""

from dataclasses import astuple
from typing import Any

import numpy as np

from soul.model.manner import Mood


def plain(value: Any) -> Any:
    """`value` as numbers, texts, None, lists and dictionaries."""
    if isinstance(value, np.random.Generator):
        return dict(value.bit_generator.state)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mood):
        return list(astuple(value))
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if value is None or callable(value) or isinstance(value, (bool, int, float, str)):
        return None if callable(value) else value
    return {name: plain(one) for name, one in vars(value).items()}


def filled(now: Any, values: Any) -> Any:
    """What `now` was when `plain` told `values` of it; objects are filled in place.

    KeyError or TypeError for values of something else.
    """
    if isinstance(now, np.random.Generator):
        now.bit_generator.state = values
        return now
    if isinstance(now, np.ndarray):
        return np.array(values, now.dtype)
    if isinstance(now, Mood):
        return Mood(*values)
    if isinstance(now, dict):
        return {name: filled(one, values[name]) for name, one in now.items()}
    if isinstance(now, tuple):
        return tuple(values)
    if isinstance(now, list):
        # Glances wait as pairs, blinks as numbers.
        return [tuple(one) if isinstance(one, list) else one for one in values]
    if now is None or callable(now):
        return now
    if isinstance(now, (bool, int, float, str, np.generic)):
        return values
    for name, one in vars(now).items():
        setattr(now, name, filled(one, values[name]))
    return now
