"""Who works on a stage of the DiT: here one process that holds whole models.

The stages' loops ask a `Crew` for everything that differs where many processes share the weights
of large models (`soul.training.tune.crew`): the same loops then train those. It knows no stage.
"""

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from soul.model.sample import Soul
from soul.training.checkpoint import Checkpoint
from soul.training.progress import Length, Progress


@dataclass(frozen=True, slots=True)
class Share:
    """Which of several equal parts of every batch a process works on."""

    rank: int = 0
    of: int = 1

    def rows(self, batch: int) -> slice:
        """Its own rows of a whole batch; `of` divides `batch`."""
        own = batch // self.of
        return slice(self.rank * own, (self.rank + 1) * own)


class Crew:
    """One process, whole models, one optimizer step a loss."""

    share = Share()
    precision = torch.bfloat16  # of products, and of what windows remember

    def begin(self, model: Soul) -> None:
        """Make the fresh `model` a teacher that answers nought."""
        nn.init.zeros_(model.dit.head.head.weight)

    def free(self, parts: nn.ModuleList) -> nn.ModuleList:
        """`parts`, with those of their parameters that are to be trained set free."""
        return parts.requires_grad_(True)

    def pupil(self, teacher: Soul) -> Soul:
        """A copy of `teacher` to be trained."""
        return deepcopy(teacher)

    def progress(self, stage: str, folder: Path, length: Length, every: int) -> Progress:
        return Progress(stage, folder, length, every)

    def checkpoint(
        self,
        folder: Path,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
    ) -> Checkpoint:
        """Where a stage in `folder` is kept; it goes on from what is there."""
        found = Checkpoint(folder / "state.pt", module, optimizer, progress)
        found.resume()
        return found

    def mean(self, loss: Tensor) -> float:
        """The loss of the whole batch."""
        return loss.item()


ALONE = Crew()


def trained(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of `module` that an optimizer is given."""
    return [p for p in module.parameters() if p.requires_grad]
