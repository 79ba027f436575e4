"""LoRA files: whose layer each pair belongs to, and the weights with all pairs merged in.

Reads PEFT's and diffusers' `lora_A`/`lora_B` and kohya's `lora_down`/`lora_up` with `alpha`, under
every prefix that trainers put before a transformer's names. A weight is merged when it is read:
W + scale · alpha / rank · B A, in float32 (Hu et al. 2021, arXiv 2106.09685).
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from soul.checkpoints.compare import grouped, row
from soul.checkpoints.sources import CheckpointError, Entry, Tensors, metadata
from soul.model.wan.names import from_diffusers

DOWN = re.compile(r"(.+)\.(?:lora_A|lora_down)(?:\.\w+)??(?:\.weight)?")
UP = re.compile(r"(.+)\.(?:lora_B|lora_up)(?:\.\w+)??(?:\.weight)?")
ALPHA = re.compile(r"(.+)\.alpha")
# What trainers put before a transformer's own names; several may stand one after another.
PREFIXES = (
    "base_model.model.",
    "model.diffusion_model.",
    "diffusion_model.",
    "pipe.dit.",
    "transformer.",
    "model.",
    "module.",
)
INSIDE = ("_fsdp_wrapped_module.", "_orig_mod.", "_checkpoint_wrapped_module.")
KOHYA = ("lora_unet_", "lora_transformer_")  # dots are underscores behind these


@dataclass(frozen=True, slots=True)
class Pair:
    """One layer's two matrices."""

    down: Entry  # A, [rank, in]
    up: Entry  # B, [out, rank]
    alpha: float

    def delta(self) -> Tensor:
        """[out, in], in float32."""
        rank = self.down.shape[0]
        return self.up.read().float() @ self.down.read().float() * (self.alpha / rank)


def bare(name: str) -> str:
    """Wan's own name of a parameter or layer, without prefixes and by whichever library."""
    for piece in INSIDE:
        name = name.replace(piece, "")
    while prefix := next((p for p in PREFIXES if name.startswith(p)), None):
        name = name.removeprefix(prefix)
    return from_diffusers(name)


def has_pairs(names: Iterable[str]) -> bool:
    return any(DOWN.fullmatch(name) for name in names)


def split(tensors: Tensors) -> tuple[Tensors, Tensors]:
    """(what belongs to LoRA pairs, the other tensors)."""
    mine = {
        k: v
        for k, v in tensors.items()
        if DOWN.fullmatch(k) or UP.fullmatch(k) or ALPHA.fullmatch(k)
    }
    return mine, {k: v for k, v in tensors.items() if k not in mine}


def read_pairs(
    tensors: Tensors, layers: Iterable[str], alpha: float | None, where: Path
) -> dict[str, Pair]:
    """Layer (by Wan's name) → its pair. `alpha` holds where the file tells none; None: its rank.

    Raises CheckpointError if a half of a pair is missing, or a tensor is none of a pair.
    """
    flat = {layer.replace(".", "_"): layer for layer in layers}
    downs, ups, alphas, others = {}, {}, {}, []
    for name, entry in tensors.items():
        if match := DOWN.fullmatch(name):
            downs[layer_of(match[1], flat)] = entry
        elif match := UP.fullmatch(name):
            ups[layer_of(match[1], flat)] = entry
        elif match := ALPHA.fullmatch(name):
            alphas[layer_of(match[1], flat)] = float(entry.read())
        else:
            others.append(name)
    if others:
        raise CheckpointError(f"{where} holds tensors that are no LoRA pair: {listed(others)}")
    if halves := sorted(downs.keys() ^ ups.keys()):
        raise CheckpointError(f"{where} holds half of a LoRA pair alone: {listed(halves)}")
    if not downs:
        raise CheckpointError(
            f"{where} holds no LoRA pairs; expected lora_A and lora_B, or down and up"
        )
    return {
        layer: Pair(
            down, ups[layer], alphas.get(layer, float(down.shape[0]) if alpha is None else alpha)
        )
        for layer, down in downs.items()
    }


def layer_of(name: str, flat: Mapping[str, str]) -> str:
    """Wan's name of a LoRA's layer; kohya's underscores are told apart by the layers there are."""
    for prefix in KOHYA:
        if name.startswith(prefix):
            inner = name.removeprefix(prefix)
            return flat.get(inner, inner)
    return bare(name)


def listed(names: Iterable[str]) -> str:
    return ", ".join(row(key, same) for key, same in grouped(names).items())


def merge(base: Tensors, pairs: Mapping[str, Pair], scale: float, where: Path) -> Tensors:
    """`base` with every pair added to its weight, each when that weight is read.

    Raises CheckpointError if a pair's layer is not there, or has another shape.
    """
    lost = [layer for layer in pairs if f"{layer}.weight" not in base]
    if lost:
        raise CheckpointError(
            f"{where} is for layers that this model does not have: {listed(sorted(lost))}"
        )
    for layer, pair in pairs.items():
        check_shapes(layer, pair, base[f"{layer}.weight"], where)
    changed = {
        f"{layer}.weight": added(base[f"{layer}.weight"], pair, scale)
        for layer, pair in pairs.items()
    }
    return base | changed


def check_shapes(layer: str, pair: Pair, weight: Entry, where: Path) -> None:
    """CheckpointError unless B A has the weight's shape."""
    rank = pair.down.shape[0]
    if (pair.up.shape, pair.down.shape) != ((weight.shape[0], rank), (rank, *weight.shape[1:])):
        raise CheckpointError(
            f"{where}: the pair of {layer} has shapes {list(pair.up.shape)} and "
            f"{list(pair.down.shape)}, expected [{weight.shape[0]}, rank] and "
            f"[rank, {', '.join(map(str, weight.shape[1:]))}]"
        )


def added(weight: Entry, pair: Pair, scale: float) -> Entry:
    def read() -> Tensor:
        return (weight.read().float() + scale * pair.delta()).to(weight.dtype)

    return Entry(weight.shape, weight.dtype, read)


def alpha_of(path: Path) -> float | None:
    """`lora_alpha` as the file's metadata or a config beside it tells; None if neither does."""
    told = [("metadata", metadata(path).get("lora_adapter_metadata", "{}"))]
    beside = [path.parent / name for name in ("adapter_config.json", "config.json")]
    for where, text in (*told, *((p.name, p.read_text()) for p in beside if p.is_file())):
        try:
            values = json.loads(text)
        except ValueError:
            values = None
        if not isinstance(values, dict):
            raise CheckpointError(f"{path}: its {where} is not a config")
        found = [v for k, v in values.items() if k == "lora_alpha" or k.endswith(".lora_alpha")]
        if found and not isinstance(found[0], int | float):
            raise CheckpointError(
                f"{path}: its {where} says lora_alpha is {found[0]!r}, expected a number"
            )
        if found:
            return float(found[0])
    return None
