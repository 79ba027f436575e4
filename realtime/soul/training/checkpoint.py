"""A training stage's state on disk, so that it can stop and go on."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from soul.training.progress import Progress


@dataclass(frozen=True)
class Checkpoint:
    """Weights, optimizer and progress of one stage in one file, replaced whole."""

    path: Path
    module: nn.Module
    optimizer: torch.optim.Optimizer
    progress: Progress

    def learn(self, loss: Tensor) -> None:
        """One optimizer step; the gradients of each group of parameters are clipped together."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], 1.0)
        self.optimizer.step()

    def save(self) -> None:
        values = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **self.progress.kept(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
        }
        fresh = self.path.with_suffix(".new")
        torch.save(values, fresh)
        fresh.replace(self.path)

    def resume(self) -> None:
        """Go on from the file, if there is one."""
        if not self.path.exists():
            return
        values = torch.load(self.path, map_location="cpu", weights_only=True)
        self.module.load_state_dict(values["module"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.progress.take_up(values)
        torch.set_rng_state(values["random"])
        if torch.cuda.is_initialized() and values.get("random_cuda"):
            torch.cuda.set_rng_state_all(values["random_cuda"])
