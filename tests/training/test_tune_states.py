"""What a step is made of where gradients are added up; and who tells of it."""

from pathlib import Path

import torch
from torch import Tensor, nn

from soul.training.progress import Length
from soul.training.tune.crew import Quiet
from soul.training.tune.states import Sharded


def made(folder: Path, module: nn.Module, accumulate: int, clip: float, decay: float) -> Sharded:
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    progress = Quiet("teacher", folder, Length(9))
    return Sharded(folder, module, optimizer, progress, True, accumulate, clip, decay)


def test_gradients_that_are_added_up_are_those_of_the_mean(tmp_path: Path) -> None:
    torch.manual_seed(0)
    one, other = nn.Linear(3, 1), nn.Linear(3, 1)
    other.load_state_dict(one.state_dict())
    parts = torch.randn(4, 5, 3)
    state = made(tmp_path, one, 4, 1e9, 0.0)
    for step, part in enumerate(parts):
        before = one.weight.clone()
        state.progress.step = step + 1
        state.learn(one(part).square().mean())
        assert torch.equal(before, one.weight) == (step < 3)
    whole = made(tmp_path, other, 1, 1e9, 0.0)
    whole.progress.step = 1
    whole.learn(other(parts.flatten(0, 1)).square().mean())
    torch.testing.assert_close(one.weight, other.weight)
    assert one.weight.grad is None


def test_gradients_are_clipped_to_the_norm_that_is_told(tmp_path: Path) -> None:
    module = nn.Linear(3, 1, bias=False)
    before = module.weight.detach().clone()
    state = made(tmp_path, module, 1, 0.5, 0.9)
    state.progress.step = 1
    state.learn(1000 * module(torch.ones(2, 3)).sum())
    moved = module.weight.detach() - before
    torch.testing.assert_close(moved.norm(), torch.tensor(0.1 * 0.5))
    kept: Tensor = state.kept()["weight"]
    torch.testing.assert_close(kept, before + 0.1 * moved)


def test_a_process_that_is_not_the_first_tells_nobody(tmp_path: Path) -> None:
    progress = Quiet("teacher", tmp_path / "run", Length(3), every=1)
    for _ in progress.run():
        progress.add(loss=1.0)
        progress.plot()
    assert progress.step == 3
    assert not (tmp_path / "run").exists()
