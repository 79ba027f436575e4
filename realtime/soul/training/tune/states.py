"""A stage's state in parts: each process writes and reads its own (torch.distributed.checkpoint).

Weights that are trained, their means over time, the optimizer's state and the progress; in a folder
`state-STEP` that appears whole or not at all. It may be read by another number of processes.
"""

import shutil
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from soul.training.checkpoint import Checkpoint

WRAPPED = "_checkpoint_wrapped_module."
PROGRESS = "progress.pt"
MOMENTS = ("exp_avg", "exp_avg_sq")


def named(module: nn.Module) -> dict[str, nn.Parameter]:
    """Parameters by the names that they have without wrappers."""
    return {name.replace(WRAPPED, ""): p for name, p in module.named_parameters()}


def local(tensor: Tensor) -> Tensor:
    """This process's part."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@dataclass(frozen=True)
class Sharded(Checkpoint):
    """See the module's docstring. `path` is the stage's folder."""

    first: bool  # whether this process does what one alone should
    accumulate: int
    clip: float
    decay: float  # of the means; 0: none are kept
    means: dict[str, Tensor] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        if self.decay:
            self.means.update({k: p.detach().clone() for k, p in self.weights().items()})

    def weights(self) -> dict[str, nn.Parameter]:
        """Those that are trained."""
        return {name: p for name, p in named(self.module).items() if p.requires_grad}

    def kept(self) -> dict[str, Tensor]:
        """What the stage leaves of them: their means over time, where those are kept."""
        return dict(self.means) or {name: p.detach() for name, p in self.weights().items()}

    def learn(self, loss: Tensor) -> None:
        """The gradients of one loss; an optimizer step with every `accumulate`-th of them."""
        # As in the forward pass: blocks that are computed once more must do what they did then.
        plain = sdpa_kernel(SDPBackend.MATH) if loss.device.type == "cpu" else nullcontext()
        with plain:
            (loss / self.accumulate).backward()
        if self.progress.step % self.accumulate:
            return
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.follow()

    @torch.no_grad()
    def follow(self) -> None:
        """mean ← decay · mean + (1 − decay) · weight."""
        if self.means:
            weights = self.weights()
            means = [local(mean) for mean in self.means.values()]
            torch._foreach_lerp_(means, [local(weights[k]) for k in self.means], 1 - self.decay)

    def parts(self) -> dict[str, Any]:
        """Everything that is split, by name; the optimizer's state is made if it is not there."""
        found: dict[str, Any] = {}
        for name, weight in self.weights().items():
            state = self.optimizer.state[weight]
            if not state:
                state["step"] = torch.zeros(())
                state |= {moment: torch.zeros_like(weight) for moment in MOMENTS}
            found[f"weight.{name}"] = weight.detach()
            found |= {f"{key}.{name}": value for key, value in state.items()}
        return found | {f"mean.{name}": mean for name, mean in self.means.items()}

    def save(self) -> None:
        fresh, place = self.path / "state.new", self.path / f"state-{self.progress.step:08d}"
        if place.exists():  # nothing was done since
            return
        if self.first:
            shutil.rmtree(fresh, ignore_errors=True)  # of a run that was killed
        dist.barrier()
        save(self.parts(), checkpoint_id=fresh)
        if self.first:
            values = {
                **self.progress.kept(),
                "random": torch.get_rng_state(),
                "random_device": torch.cuda.get_rng_state() if on_gpu(self.module) else None,
            }
            torch.save(values, fresh / PROGRESS)
            old = states(self.path)
            fresh.rename(place)
            for folder in old:
                shutil.rmtree(folder)
        dist.barrier()

    def resume(self) -> None:
        """Go on from the latest state, if there is one."""
        found = states(self.path)
        if not found:
            return
        load(self.parts(), checkpoint_id=found[-1])
        values = torch.load(found[-1] / PROGRESS, map_location="cpu", weights_only=True)
        self.progress.take_up(values)
        torch.set_rng_state(values["random"])
        if values["random_device"] is not None and on_gpu(self.module):
            torch.cuda.set_rng_state(values["random_device"])


def on_gpu(module: nn.Module) -> bool:
    return any(p.device.type == "cuda" for p in module.parameters())


def states(folder: Path) -> list[Path]:
    """Whole states in a stage's folder, the latest last."""
    return sorted(folder.glob("state-*"))
