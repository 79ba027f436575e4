"""The plain form of every op, slow and readable; the fast forms are tested against these."""

import math

import torch
from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, visible: Tensor | None = None) -> Tensor:
    """softmax(q kᵀ / √d) v over [B, heads, tokens, d]; `visible` [B, 1, 1 or q, k] bool."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if visible is not None:
        scores = scores.masked_fill(~visible, -math.inf)
    return torch.softmax(scores, -1) @ value


def pullback(features: Tensor, centroids: Tensor, threshold: Tensor) -> tuple[Tensor, Tensor]:
    """Soul's threshold-aware codebook replacement (arXiv 2512.13495, section on the codebook).

    `features` [n, d], `centroids` [k, d], `threshold` τ scalar → (features', distances [n]). With
    the nearest centroid c: f where ‖f − c‖ ≤ τ, else c + τ (f − c)/‖f − c‖.
    """
    distances = torch.linalg.vector_norm(features[:, None] - centroids[None], dim=-1)
    nearest, index = distances.min(-1)
    centre = centroids[index]
    pulled = centre + threshold * (features - centre) / nearest.unsqueeze(-1)
    return torch.where((nearest <= threshold).unsqueeze(-1), features, pulled), nearest
