"""A stream's state as plain values, and back: so that a film can stop and go on, to the last bit.

What follows from portrait, prompt and seed is made again by `open_stream` and is not kept. It knows
no files; what a large codec keeps is turned by the codec.
"""

from collections.abc import Callable, Mapping
from typing import Any

from soul.model.manner import Mood
from soul.model.plain import filled, plain
from soul.model.sample import Blend, StreamState, Tail

Turned = Callable[[Any], Any]  # a decoder's own state ↔ plain values


def kept(state: StreamState, painting: Turned) -> dict[str, Any]:
    """`state` between two chunks as numbers, tensors and dictionaries of them."""
    window, blend, tail = state.window, state.blend, state.tail
    return {
        "chunk": state.chunk,
        "strays": state.strays,
        "listening": state.listening,
        "noise": state.noise.get_state(),
        "words": state.words,
        "blend": None if blend is None else [blend.old, blend.new, blend.done],
        "tail": None if tail is None else [tail.latents, tail.audio],
        "window": [window.keys, window.values, window.sink_keys, window.sink_values],
        "written": window.written,
        "bearing": plain(state.bearing),
        "mood": plain(state.mood),
        "painting": painting(state.painting),
    }


def taken_up(state: StreamState, values: Mapping[str, Any], painting: Turned) -> StreamState:
    """`state`, freshly opened, as it was when `kept` told of it; KeyError if a value is missing.

    Tensors are taken as they are: they have to lie on the model's device.
    """
    window, blend, tail = state.window, values["blend"], values["tail"]
    window.keys, window.values, window.sink_keys, window.sink_values = values["window"]
    window.written = values["written"]
    state.noise.set_state(values["noise"].cpu())
    state.words, state.strays = values["words"], values["strays"]
    state.listening, state.chunk = values["listening"], values["chunk"]
    state.blend = None if blend is None else Blend(*blend)
    state.tail = None if tail is None else Tail(*tail)
    state.painting = painting(values["painting"])
    filled(state.bearing, values["bearing"])
    state.mood = None if values["mood"] is None else Mood(*values["mood"])
    return state
