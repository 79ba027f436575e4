"""A state put away and taken up again: the next chunk is the same, to the last bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import made_actor
from soul.model import sample
from soul.model.config import SOUL_TEST, SoulConfig
from soul.model.keep import kept, taken_up
from soul.model.sample import Soul, Strokes
from soul.model.vae import Reference

CLIPS: dict[str, Any] = {"window": 0, "overlap": 1, "chunk": 2}


def strokes(painting: Strokes) -> list[Tensor]:
    return [painting.reference.picture, painting.reference.fine, painting.reference.coarse,
            painting.memory]  # fmt: skip


def painted(values: list[Tensor]) -> Strokes:
    return Strokes(Reference(*values[:3]), values[3])


@pytest.mark.parametrize("changes", [{}, CLIPS], ids=["stream", "clips"])
@torch.no_grad()
def test_a_stream_goes_on_where_it_was(
    model: Soul, portraits: Tensor, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        actor = Soul(replace(SOUL_TEST, **changes))
    actor.load_state_dict(model.state_dict())
    state = sample.open_stream(actor.eval(), portraits[0], "calm", 5)
    heard = torch.randn(4, 1, actor.config.window_samples) * 0.1
    sample.set_prompt(actor, state, "glad")
    for window in heard[:2]:
        sample.advance(actor, [state], window)
    torch.save(kept(state, strokes), tmp_path / "state.pt")
    values = torch.load(tmp_path / "state.pt", weights_only=True)
    fresh = sample.open_stream(actor, portraits[0], "calm", 5)
    again = taken_up(fresh, values, painted)
    assert (again.chunk, again.blend is None) == (2, state.blend is None)
    for window in heard[2:]:
        wanted = sample.advance(actor, [state], window)
        assert torch.equal(sample.advance(actor, [again], window), wanted)


@pytest.mark.parametrize("config", [made_actor.CLIPS, made_actor.STREAM], ids=["clip", "stream"])
@torch.no_grad()
def test_so_does_one_of_a_large_model(config: SoulConfig, tmp_path: Path) -> None:
    model, portrait = made_actor.actor(config), torch.zeros(3, 64, 96)
    state = sample.open_stream(model, portrait, "calm", 5)
    heard = torch.randn(3, 1, config.window_samples) * 0.1
    sample.advance(model, [state], heard[0])
    torch.save(kept(state, model.codec.kept), tmp_path / "state.pt")
    values = torch.load(tmp_path / "state.pt", weights_only=True)
    fresh = sample.open_stream(model, portrait, "calm", 5)
    again = taken_up(fresh, values, model.codec.again)
    for window in heard[1:]:
        wanted = sample.advance(model, [state], window)
        assert torch.equal(sample.advance(model, [again], window), wanted)
