"""A stream that was kept goes on exactly as one that never stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, advance, build, open_stream
from soul.model.vae import from_bytes
from soul.training.drift import First, Subject
from soul.training.snapshot import Snapshot, SnapshotError, keep, resume

SUBJECT = Subject("noise", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
FIRST = First(SUBJECT.portrait, np.ones(64, np.float32))


@pytest.fixture(scope="module")
def model() -> Soul:
    tiny = build(SOUL_TEST, 0).requires_grad_(False)
    draw = torch.Generator().manual_seed(1)
    for parameter in tiny.parameters():
        if not parameter.any():
            parameter.copy_(torch.randn(parameter.shape, generator=draw) * 0.1)
    return tiny


@torch.inference_mode()
def test_a_kept_stream_goes_on_exactly(model: Soul, tmp_path: Path) -> None:
    sound = torch.randn(14, SOUL_TEST.window_samples, generator=torch.Generator().manual_seed(2))
    state = open_stream(model, from_bytes(SUBJECT.portrait), "", 3)
    for window in sound[:9]:
        advance(model, [state], window[None])
    keep(tmp_path / "stream.pt", Snapshot(state, FIRST, 2))
    kept = resume(tmp_path / "stream.pt", model, SUBJECT, 3)
    assert (kept.minutes, kept.state.chunk) == (2, 9)
    assert np.array_equal(kept.first.median, FIRST.median)
    assert np.array_equal(kept.first.vector, FIRST.vector)
    for window in sound[9:]:
        wanted = advance(model, [state], window[None])
        assert torch.equal(advance(model, [kept.state], window[None]), wanted)
    assert list(tmp_path.glob("*.new")) == []


def test_what_is_no_stream_of_this_model_is_refused(model: Soul, tmp_path: Path) -> None:
    path = tmp_path / "stream.pt"
    with pytest.raises(SnapshotError, match="expected a kept stream"):
        resume(path, model, SUBJECT, 3)
    for broken in ({"keys": torch.zeros(1)}, [1, 2]):
        torch.save(broken, path)
        with pytest.raises(SnapshotError, match="expected a kept stream"):
            resume(path, model, SUBJECT, 3)
    with torch.inference_mode():
        state = open_stream(model, from_bytes(SUBJECT.portrait), "", 3)
    state.painting = replace(state.painting, memory=torch.zeros(1, 2, 3, 3))
    keep(path, Snapshot(state, FIRST, 1))
    with pytest.raises(SnapshotError, match="a stream of another model, expected soul-test"):
        resume(path, model, SUBJECT, 3)
