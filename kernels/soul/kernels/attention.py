"""Attention by torch's fused kernels; `reference.attention` is its plain twin."""

from torch import Tensor
from torch.nn import functional as F


def attention(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d) v over [B, heads, tokens, d]; `visible` [B, 1, 1 or q, k] bool."""
    return F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
