"""A stage that stopped goes on as if it had not."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from soul.training.checkpoint import Checkpoint
from soul.training.progress import Length, Progress


class Killed(Exception):
    """The machine went down."""


def train(folder: Path, dies_at: int | None = None, save_every: int = 2) -> Tensor:
    """Ten steps of a tiny stage that depends on momentum, the step and random numbers."""
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    progress = Progress("tiny", folder, Length(10), every=1)
    checkpoint = Checkpoint(folder / "state.pt", module, optimizer, progress)
    checkpoint.resume()
    for step in progress.run():
        if step == dies_at:
            raise Killed
        loss = (module(torch.randn(4, 3)) - step).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        progress.add(loss=loss.item())
        if (step + 1) % save_every == 0:
            checkpoint.save()
    return module.weight.detach()


def test_no_file_is_a_fresh_start(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    progress = Progress("tiny", tmp_path, Length(10))
    optimizer = torch.optim.AdamW(module.parameters())
    Checkpoint(tmp_path / "state.pt", module, optimizer, progress).resume()
    assert progress.step == 0
    assert torch.equal(module.weight, before)


@pytest.mark.parametrize("dies_at", [4, 7])
def test_stopped_and_resumed_is_the_same_as_never_stopped(tmp_path: Path, dies_at: int) -> None:
    whole = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "stopped", dies_at)
    assert torch.equal(train(tmp_path / "stopped"), whole)


def test_everything_of_a_stage_comes_back(tmp_path: Path) -> None:
    train(tmp_path)
    module = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1)
    progress = Progress("tiny", tmp_path, Length(10))
    Checkpoint(tmp_path / "state.pt", module, optimizer, progress).resume()
    assert progress.step == 10
    assert [step for step, _ in progress.curves["loss"]] == list(range(1, 11))
    assert all(isinstance(point, tuple) for point in progress.curves["loss"])
    assert len(optimizer.state_dict()["state"]) == 2


def test_the_file_is_replaced_whole(tmp_path: Path) -> None:
    train(tmp_path)
    assert [path.name for path in tmp_path.glob("state*")] == ["state.pt"]


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    train(tmp_path)
    module = nn.Linear(4, 2)
    checkpoint = Checkpoint(
        tmp_path / "state.pt", module, torch.optim.AdamW(module.parameters()),
        Progress("tiny", tmp_path, Length(10)),
    )  # fmt: skip
    with pytest.raises(RuntimeError, match="size mismatch"):
        checkpoint.resume()
