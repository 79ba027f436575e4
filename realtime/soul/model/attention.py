"""The three attentions of a block: over the window, over the text, over the sound.

Names and shapes of parameters are Wan2.2's; `CrossAttention` serves text and sound alike, since
Soul's audio layers start as copies of the text layers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from soul.kernels.attention import attention
from soul.model.config import DiTConfig
from soul.model.rope import rotate


class RMSNorm(nn.Module):
    """Root-mean-square norm over all heads together, in float32, as Wan does."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + self.eps)
        return (x.float() * scale).type_as(x) * self.weight


@dataclass(frozen=True, slots=True)
class Memory:
    """What one layer sees beside its own chunk: keys already turned, [B, heads, n, head_dim]."""

    keys: Tensor
    values: Tensor
    visible: Tensor  # [B, 1, 1, n + tokens]


class Projections(nn.Module):
    """q, k, v, o with normed queries and keys; shared by both kinds of attention."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.q = nn.Linear(config.dim, config.dim)
        self.k = nn.Linear(config.dim, config.dim)
        self.v = nn.Linear(config.dim, config.dim)
        self.o = nn.Linear(config.dim, config.dim)
        self.norm_q = RMSNorm(config.dim, config.eps)
        self.norm_k = RMSNorm(config.dim, config.eps)

    def split(self, x: Tensor) -> Tensor:
        """[B, tokens, dim] → [B, heads, tokens, head_dim]."""
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def merge(self, x: Tensor) -> Tensor:
        return self.o(x.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class SelfAttention(Projections):
    """Over [sink | ring | chunk]."""

    def forward(
        self, x: Tensor, rotation: Tensor, memory: Memory | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`x` [B, tokens, dim] → (answer, unrotated keys, values) of the chunk's own tokens."""
        query = rotate(self.split(self.norm_q(self.q(x))), rotation)
        key, value = self.split(self.norm_k(self.k(x))), self.split(self.v(x))
        turned = rotate(key, rotation)
        if memory is None:
            return self.merge(attention(query, turned, value)), key, value
        # In the memory's type: under autocast a norm's float32 would promote the whole window.
        keys = torch.cat((memory.keys, turned.to(memory.keys.dtype)), 2)
        values = torch.cat((memory.values, value.to(memory.values.dtype)), 2)
        return self.merge(attention(query, keys, values, memory.visible)), key, value


class CrossAttention(Projections):
    """Over a context that does not move: words, or the sound of this very chunk."""

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """`x` [B, tokens, dim], `context` [B, n, dim] → [B, tokens, dim]."""
        query = self.split(self.norm_q(self.q(x)))
        key, value = self.split(self.norm_k(self.k(context))), self.split(self.v(context))
        return self.merge(attention(query, key, value))
