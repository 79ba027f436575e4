"""Matrices in eight bits: float8_e4m3fn with a scale for each row, widened where they are used.

Half of bf16's memory; the arithmetic stays in the input's type, so that it runs on any device. It
knows layers, and not which of a model's are worth it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

STORED = torch.float8_e4m3fn
LARGEST = torch.finfo(STORED).max  # 448


def narrowed(weight: Tensor) -> tuple[Tensor, Tensor]:
    """`weight` [out, in] → (the same in eight bits, its scale [out] float32): w ≈ stored · scale.

    A row's largest value lands on the type's largest, so that one stray costs its own row alone.
    """
    wide = weight.float()
    scale = (wide.abs().amax(1) / LARGEST).clamp_min(torch.finfo(torch.float32).tiny)
    return (wide / scale.unsqueeze(1)).clamp(-LARGEST, LARGEST).to(STORED), scale


class NarrowLinear(nn.Module):
    """`nn.Linear` whose weight is stored in eight bits; its bias is not."""

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, features: int, out: int, bias: bool = True) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(out, features, dtype=STORED))
        self.register_buffer("scale", torch.ones(out))
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """The scale comes after the product: the wide copy of the weight lives for one product."""
        answer = F.linear(x, self.weight.to(x.dtype)) * self.scale.to(x.dtype)
        return answer if self.bias is None else answer + self.bias


def narrow(module: nn.Module) -> None:
    """Every `nn.Linear` inside `module` becomes a `NarrowLinear` of its sizes; weights are lost.

    For modules on the meta device, before they are filled with what `narrowed` gives.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            with torch.device(child.weight.device):
                fresh = NarrowLinear(child.in_features, child.out_features, child.bias is not None)
            fresh.bias = child.bias  # of the type that the module computes in
            module.register_module(name, fresh)
        else:
            narrow(child)


def narrow_weights(module: nn.Module, prefix: str = "") -> set[str]:
    """Names, below `prefix`, of the weights that `module` stores in eight bits."""
    return {
        f"{prefix}{name}.weight"
        for name, child in module.named_modules()
        if isinstance(child, NarrowLinear)
    }
