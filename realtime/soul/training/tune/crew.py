"""Many processes that share one large model: FSDP2 under soul-mini's own stages.

Each holds an equal part of every weight, of its gradient and of the optimizer's state, and works on
its own rows of every batch. Random numbers are drawn for the whole batch, and each process keeps
its rows: a run is the same whoever shares it. accelerate's own FSDP works on GPUs alone, so
what two CPU processes prove would not be what GPUs run; here both are torch's `fully_shard`.
Whatever starts processes as torchrun does starts these.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.overrides import TorchFunctionMode

from soul.model.dit import DiT
from soul.model.sample import Soul
from soul.training.checkpoint import Checkpoint
from soul.training.crew import Crew, Share
from soul.training.progress import Length, Progress
from soul.training.tune.lora import is_trained
from soul.training.tune.settings import PRECISIONS, Tuning
from soul.training.tune.states import Sharded

LIKE = {torch.rand_like: torch.rand, torch.randn_like: torch.randn}
SIZED = (torch.rand, torch.randn)
PATIENCE = timedelta(days=1)  # with a process that encodes or writes; who dies is seen at once


@dataclass(frozen=True, slots=True)
class Group:
    """The processes, and which of them this one is."""

    share: Share
    device: torch.device
    mesh: DeviceMesh

    @property
    def first(self) -> bool:
        """Whether this process writes and tells what one alone should."""
        return self.share.rank == 0


@contextmanager
def joined(kind: str) -> Iterator[Group]:
    """The group that the launcher's variables tell of; without any, this process alone."""
    rank, of = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cpu")
    if kind == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    if "MASTER_ADDR" in os.environ:
        dist.init_process_group(backend, timeout=PATIENCE)
    else:
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    try:
        yield Group(Share(rank, of), device, init_device_mesh(kind, (of,)))
    finally:
        dist.destroy_process_group()


class OwnRows(TorchFunctionMode):
    """Within it `torch.rand` and its kin draw for the whole batch, and answer this share's rows."""

    def __init__(self, share: Share) -> None:
        super().__init__()
        self.share = share

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        told = kwargs or {}
        if func in LIKE:
            like: Tensor = args[0]
            told = {"dtype": like.dtype, "device": like.device, **told}
            return self.drawn(LIKE[func], like.shape, told)
        if func in SIZED:
            return self.drawn(func, torch.empty(*args, device="meta").shape, told)
        return func(*args, **told)

    def drawn(self, func: Callable[..., Tensor], shape: torch.Size, told: dict[str, Any]) -> Tensor:
        whole = shape[0] * self.share.of
        return func(whole, *shape[1:], **told)[self.share.rows(whole)].clone()


class Quiet(Progress):
    """The progress of a process that tells nobody: another does."""

    def __post_init__(self) -> None:
        self.pending = {}
        self.since = 0.0, 0.0

    def report(self) -> None:
        self.pending = {}

    def plot(self) -> None:
        """Another does."""


class ShardedCrew(Crew):
    """All processes of a group. `open_pupil` makes a model to be trained, as the teacher is."""

    state: Sharded  # of the stage that was begun

    def __init__(self, group: Group, tuning: Tuning, open_pupil: Callable[[], Soul]) -> None:
        self.group = group
        self.tuning = tuning
        self.open_pupil = open_pupil
        self.share = group.share
        self.precision = PRECISIONS[tuning.precision]

    def begin(self, model: Soul) -> None:
        """It knows much already: nothing is made nought."""

    def free(self, parts: nn.ModuleList) -> nn.ModuleList:
        for name, parameter in parts.named_parameters():
            parameter.requires_grad_(is_trained(name, self.tuning.lora))
        return parts

    def pupil(self, teacher: Soul) -> Soul:
        """From where the teacher came from: a sharded model cannot be copied."""
        return self.open_pupil()

    def progress(self, stage: str, folder: Path, length: Length, every: int) -> Progress:
        made = Progress if self.group.first else Quiet
        return made(stage, folder, length, every)

    def checkpoint(
        self,
        folder: Path,
        module: nn.Module,
        optimizer: torch.optim.Optimizer,
        progress: Progress,
    ) -> Checkpoint:
        how = self.tuning
        found = Sharded(
            folder, module, optimizer, progress, self.group.first, how.accumulate, how.clip, how.ema
        )
        found.resume()
        self.state = found
        return found

    def mean(self, loss: Tensor) -> float:
        total = loss.detach().float().clone()
        dist.all_reduce(total)
        return total.item() / self.share.of

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """What a stage is run in."""
        rows = OwnRows(self.share) if self.share.of > 1 else nullcontext()
        with warnings.catch_warnings(), rows:
            # Of what is changed in place behind a shard's back: nothing here is.
            warnings.filterwarnings("ignore", "FSDP2-wrapped module")
            yield


def shard(dit: DiT, group: Group, precision: torch.dtype, recompute: bool) -> None:
    """Split every weight of `dit` (on the meta device, without values) among the group.

    Blocks are gathered one after another, in `precision`; with `recompute` their activations are
    not kept for the backward pass. Inputs are not cast: rotations and what windows hold have types
    of their own.
    """
    lower = None if precision == torch.float32 else precision
    policy = MixedPrecisionPolicy(
        param_dtype=lower, reduce_dtype=torch.float32, cast_forward_inputs=False
    )
    for index, block in enumerate(dit.blocks):
        if recompute:
            block = checkpoint_wrapper(block, preserve_rng_state=False)
            dit.blocks[index] = block
        fully_shard(block, mesh=group.mesh, mp_policy=policy)
    fully_shard(dit, mesh=group.mesh, mp_policy=policy, reshard_after_forward=True)
    if group.device.type == "cpu":  # gloo sums, and knows no means
        for part in (*dit.blocks, dit):
            cast(FSDPModule, part).set_force_sum_reduction_for_comms(True)
