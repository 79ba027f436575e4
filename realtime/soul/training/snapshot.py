"""A long stream on disk, so that hours can stop and go on: the state of the rollout, exactly.

What follows from portrait and seed is made again and not stored. Knows no sound: the takes follow
from the minute's number, as far as the voices do (see `speech.speak`).
"""

from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError

import torch

from soul.model.plain import filled, plain
from soul.model.sample import Soul, StreamState, open_stream
from soul.model.vae import from_bytes
from soul.training.drift import First, Subject

_SHAPED = ("keys", "values", "decoder")


class SnapshotError(Exception):
    """A snapshot cannot be read, or is of another model: one sentence."""


@dataclass(frozen=True)
class Snapshot:
    """A stream after `minutes`, and what its minutes are held against."""

    state: StreamState
    first: First
    minutes: int


def keep(path: Path, snapshot: Snapshot) -> None:
    """Write `snapshot`; the file is replaced whole."""
    state, first = snapshot.state, snapshot.first
    values = {
        "minutes": snapshot.minutes,
        "keys": state.window.keys,
        "values": state.window.values,
        "written": state.window.written,
        "decoder": state.painting.memory,
        "noise": state.noise.get_state(),
        "bearing": plain(state.bearing),
        "median": torch.from_numpy(first.median),
        "vector": torch.from_numpy(first.vector),
    }
    fresh = path.with_suffix(".new")
    torch.save(values, fresh)
    fresh.replace(path)


@torch.inference_mode()
def resume(path: Path, model: Soul, subject: Subject, seed: int) -> Snapshot:
    """The stream in `path` as it was kept; SnapshotError if it is no stream of `model`."""
    state = open_stream(model, from_bytes(subject.portrait), "", seed)
    window = state.window
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        shapes = {name: values[name].shape for name in _SHAPED}
        state.noise.set_state(values["noise"])
        filled(state.bearing, values["bearing"])
        first = First(values["median"].numpy(), values["vector"].numpy())
        window.written, minutes = int(values["written"]), int(values["minutes"])
    except (OSError, RuntimeError, UnpicklingError, KeyError, TypeError, EOFError) as error:
        raise SnapshotError(f"{path} could not be read, expected a kept stream") from error
    expected = {"keys": window.keys.shape, "values": window.values.shape}
    if shapes != {**expected, "decoder": state.painting.memory.shape}:
        raise SnapshotError(f"{path} holds a stream of another model, expected {model.config.name}")
    window.keys.copy_(values["keys"])
    window.values.copy_(values["values"])
    memory = values["decoder"].to(state.painting.memory)
    state.painting = replace(state.painting, memory=memory)
    state.chunk = window.written // model.config.chunk
    return Snapshot(state, first, minutes)
