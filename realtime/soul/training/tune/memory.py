"""What one process of a run will hold at once, counted on the meta device before anything is read.

Weights, gradients, the optimizer's two moments and the means over time, each in equal parts; one
block gathered and the next on its way; activations, by asking autograd what it keeps; windows.
What libraries take for themselves, and what an allocator loses, is not in it.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from soul.model.config import SoulConfig
from soul.model.dit import DiT
from soul.model.wan.memory import GIGA
from soul.model.wan.whisper import TOKENS_PER_LATENT
from soul.model.window import Context, empty_window, gather
from soul.timebase import exact_div
from soul.training.tune.lora import adapt, is_trained
from soul.training.tune.settings import PRECISIONS, TuneError, Tuning

FLOAT = 4  # bytes
MOMENTS = 2  # AdamW's


@dataclass(frozen=True, slots=True)
class Cast:
    """Who is on stage: models that are trained and that are not, and what hangs from passes."""

    trained: int
    frozen: int
    passes: int  # through trained models before one backward pass
    windows: int  # sets of windows, of one stream each


def cast_of(stage: str, tuning: Tuning) -> Cast:
    """`mend` holds each step that the model serves with to the truth."""
    if stage == "teacher":
        return Cast(trained=1, frozen=0, passes=1, windows=1)
    if stage == "student":
        return Cast(
            trained=1, frozen=1, passes=max(tuning.student.counts) + tuning.steps, windows=3
        )
    return Cast(trained=2, frozen=1, passes=2 + tuning.steps, windows=4)


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes that one process needs at once."""

    weights: int
    gradients: int
    optimizer: int
    means: int
    gathered: int
    activations: int
    windows: int

    @property
    def total(self) -> int:
        return sum(self.parts().values())

    def parts(self) -> dict[str, int]:
        return asdict(self)

    def told(self) -> str:
        """In one line."""
        each = ", ".join(f"{k} {v / GIGA:.2f}" for k, v in self.parts().items() if v)
        return f"{self.total / GIGA:.2f} GB a process ({each})"


@dataclass(frozen=True, slots=True)
class Layout:
    """A model on the meta device, counted."""

    trained: int  # parameters
    frozen: int  # beside them in the same model
    block: int  # parameters of one block
    around: int  # and of all that stands around the blocks
    kept: int  # bytes of activations that one pass of one stream keeps
    inner: int  # and those of one block, while it is computed once more
    window: int  # bytes of one stream's window, and of what is gathered from it


def need_of(stage: str, config: SoulConfig, tuning: Tuning, processes: int) -> Need:
    """Bytes a process of `stage`, its batch and weights split among so many."""
    return scaled(stage, lay_out(config, tuning), tuning, processes)


def scaled(stage: str, layout: Layout, tuning: Tuning, processes: int) -> Need:
    """The same for any number of processes, without counting once more."""
    cast = cast_of(stage, tuning)
    low = PRECISIONS[tuning.precision].itemsize
    streams = exact_div(tuning.staged(stage).batch, processes)
    whole = layout.trained + layout.frozen
    held = cast.trained * (FLOAT * layout.trained + low * layout.frozen) + cast.frozen * low * whole
    moved = cast.trained * layout.trained
    # Two blocks and what stands around them, in the precision; a block's gradients in float32.
    gathered = low * (2 * layout.block + layout.around) + FLOAT * layout.block
    return Need(
        weights=held // processes,
        gradients=FLOAT * moved // processes,
        optimizer=MOMENTS * FLOAT * moved // processes,
        means=FLOAT * moved // processes if tuning.ema else 0,
        gathered=gathered,
        activations=streams * (cast.passes * layout.kept + layout.inner),
        windows=streams * cast.windows * layout.window,
    )


def lay_out(config: SoulConfig, tuning: Tuning) -> Layout:
    """Count a model of `config` as `tuning` trains it; nothing is computed."""
    precision = PRECISIONS[tuning.precision]
    with torch.device("meta"):
        dit = DiT(config.dit).to(precision)
        if tuning.lora.rank:
            adapt(dit, tuning.lora)
    for name, parameter in dit.named_parameters():
        parameter.requires_grad_(is_trained(name, tuning.lora))
    sizes = {name: p.numel() for name, p in dit.named_parameters()}
    trained = sum(size for name, size in sizes.items() if is_trained(name, tuning.lora))
    blocks = sum(size for name, size in sizes.items() if name.startswith("blocks."))
    window = empty_window(config, torch.device("meta"), precision)
    context = gather([window], config)
    inner, outer = kept_by(dit, config, precision, context)
    layers, entering = config.dit.layers, config.tokens * config.dit.dim * precision.itemsize
    kept = outer + layers * (entering if tuning.recompute else inner)
    held = bytes_of((window.keys, window.values, window.sink_keys, window.sink_values))
    return Layout(
        trained,
        sum(sizes.values()) - trained,
        blocks // layers,
        sum(sizes.values()) - blocks,
        kept,
        inner if tuning.recompute else 0,
        held + bytes_of((context.keys, context.values)),
    )


class Fused(TorchFunctionMode):
    """Attention as fused kernels have it, which keep no square of probabilities."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            query, key, value = args[:3]
            fused = torch.ops.aten._scaled_dot_product_efficient_attention
            return fused(query, key, value, None, True)[0]
        return func(*args, **(kwargs or {}))


def kept_by(
    dit: DiT, config: SoulConfig, precision: torch.dtype, context: Context
) -> tuple[int, int]:
    """Bytes that autograd keeps of one pass of one stream: of one block, and around the blocks."""
    with torch.device("meta"):
        latent = torch.empty(1, config.vae.channels, 1, *config.cells, dtype=precision)
        text = torch.empty(1, config.dit.text_len, config.dit.text_dim, dtype=precision)
        sound = torch.empty(1, 1, TOKENS_PER_LATENT, config.dit.audio_dim, dtype=precision)
        level = torch.ones(1)
    counted = {p.untyped_storage()._cdata for p in dit.parameters()}  # weights are counted apart
    seen = [0, 0]
    kept: list[Tensor] = []  # so that no two of them are told by one address
    inside = [False]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()._cdata
        if storage not in counted:
            counted.add(storage)
            kept.append(tensor)
            seen[inside[0]] += tensor.nbytes
        return tensor

    def enter(*_: object) -> None:
        inside[0] = True

    def leave(*_: object) -> None:
        inside[0] = False

    handles = [
        handle
        for block in dit.blocks
        for handle in (block.register_forward_pre_hook(enter), block.register_forward_hook(leave))
    ]
    with Fused(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        dit(latent, level, text, sound, context)
    for handle in handles:
        handle.remove()
    return seen[True] // config.dit.layers, seen[False]


def bytes_of(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def check_fits(stage: str, config: SoulConfig, tuning: Tuning, processes: int, free: int) -> Need:
    """What a process needs; TuneError if `free` bytes are less, with what would help."""
    layout = lay_out(config, tuning)
    need = scaled(stage, layout, tuning, processes)
    if need.total <= free:
        return need
    batch = tuning.staged(stage).batch
    more = (n for n in range(processes + 1, batch + 1) if batch % n == 0)
    fits = next((n for n in more if scaled(stage, layout, tuning, n).total <= free), None)
    help_ = f"{fits} processes would do" if fits else "name a smaller batch, or lora.rank"
    raise TuneError(
        f"stage {stage} needs {need.told()}, and {free / GIGA:.2f} GB are free; {help_}"
    )
