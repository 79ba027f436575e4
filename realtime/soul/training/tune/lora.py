"""LoRA on a transformer's layers (Hu et al. 2021, arXiv 2106.09685), under PEFT's names.

`lora_A` and `lora_B` stand beside the layer that they change, so that what is written is read by
`soul convert --lora` and by whoever reads PEFT's files. It knows no optimizer and no file.
"""

import math
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn

from soul.training.tune.settings import LoraConfig, TuneError

DOWN, UP, BASE = "lora_A", "lora_B", "base"


class Lora(nn.Module):
    """A linear layer, which stays as it is, and its pair: W x + scale · B A x."""

    def __init__(self, base: nn.Linear, config: LoraConfig) -> None:
        super().__init__()
        self.base = base
        with base.weight.device:
            self.lora_A = nn.Linear(base.in_features, config.rank, bias=False)
            self.lora_B = nn.Linear(config.rank, base.out_features, bias=False)
        self.scale = config.scale

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.scale * self.lora_B(self.lora_A(x))  # type: ignore[no-any-return]


def adapt(module: nn.Module, config: LoraConfig) -> list[str]:
    """Give every linear layer of `module.blocks` that is a target its pair; the layers' names.

    TuneError names a target that no layer's name ends with.
    """
    layers = {n: m for n, m in module.named_modules() if n.startswith("blocks.")}
    chosen = {n: m for n, m in layers.items() if isinstance(m, nn.Linear) and hit(n, config)}
    for target in config.targets:
        if not any(name.endswith(f".{target}") for name in chosen):
            raise TuneError(f"lora.targets has {target!r}, and no layer's name ends with it")
    for name, layer in chosen.items():
        parent, _, last = name.rpartition(".")
        setattr(module.get_submodule(parent), last, Lora(layer, config))
    return list(chosen)


def hit(name: str, config: LoraConfig) -> bool:
    ends = any(name.endswith(f".{target}") for target in config.targets)
    return ends and not is_whole(name, config)


def is_whole(name: str, config: LoraConfig) -> bool:
    """Whether a parameter or layer is trained itself."""
    return any(f".{part}." in f".{name}." for part in config.whole)


def is_trained(name: str, config: LoraConfig) -> bool:
    """Whether a parameter is: one of a pair, one that is told; all of them without LoRA."""
    return not config.rank or is_pair(name) or is_whole(name, config)


def is_pair(name: str) -> bool:
    """Whether a parameter is one of a pair."""
    return f".{DOWN}." in name or f".{UP}." in name


def bare(name: str) -> str:
    """The name that a layer's own parameter has without LoRA."""
    return name.replace(f".{BASE}.", ".")


def first(name: str, shape: Iterable[int], generator: torch.Generator) -> Tensor:
    """What a pair's matrix starts as: A as a linear layer does, B nought, so nothing changes."""
    found = torch.zeros(tuple(shape))
    if f".{DOWN}." in name:
        found.uniform_(-1.0, 1.0, generator=generator).div_(math.sqrt(found.shape[1]))
    return found


def layers_of(pairs: Iterable[str]) -> Iterator[str]:
    """The layers whose pairs have these names."""
    for name in pairs:
        layer, found, _ = name.partition(f".{DOWN}.")
        if found:
            yield layer
