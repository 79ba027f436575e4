"""Losses as functions of tensors. No model, no data."""

import torch
from torch import Tensor
from torch.nn import functional as F


def edges(pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical differences of [B, C, H, W]."""
    return pictures[..., :, 1:] - pictures[..., :, :-1], pictures[..., 1:, :] - pictures[
        ..., :-1, :
    ]


def weighted_l1(answer: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Mean of weight · |answer − truth| over [B, C, H, W], `weight` [B, 1, H, W]."""
    return ((answer - truth).abs() * weight).mean()


def edge_l1(answer: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """The same on differences of neighbours: it is what keeps lips and lids crisp."""
    (ax, ay), (tx, ty) = edges(answer), edges(truth)
    across = ((ax - tx).abs() * weight[..., :, 1:]).mean()
    return across + ((ay - ty).abs() * weight[..., 1:, :]).mean()


def region_weight(boxes: Tensor, gains: Tensor, height: int, width: int) -> Tensor:
    """1 everywhere, plus `gains` [n] inside each of `boxes` [B, n, 4] → [B, 1, height, width]."""
    y = torch.arange(height, dtype=torch.float32).view(1, 1, height, 1) + 0.5
    x = torch.arange(width, dtype=torch.float32).view(1, 1, 1, width) + 0.5
    x0, y0, x1, y1 = (side[..., None, None] for side in boxes.unbind(-1))
    inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    return 1 + (inside.float() * gains.view(1, -1, 1, 1)).sum(1, keepdim=True)


def shrink(weight: Tensor, factor: int) -> Tensor:
    """A weight map averaged over blocks of `factor` x `factor`."""
    return F.avg_pool2d(weight, factor)


def flow_matching(predicted: Tensor, noise: Tensor, clean: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean square of v − (noise − x) over [B, C, h, w]; `weight` [B, 1, h, w]."""
    return ((predicted.float() - (noise - clean)).square() * weight).mean()


def nt_xent(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """SimCLR's loss (Chen et al. 2020, equation 1): each of a pair shall find the other.

    `first` and `second` are unit vectors [n, d]; row n of one and of the other are a pair, all
    other rows of both are strangers.
    """
    both = torch.cat((first, second))
    likeness = both @ both.T / temperature
    likeness.fill_diagonal_(float("-inf"))
    partner = torch.arange(len(both), device=both.device).roll(len(first))
    return F.cross_entropy(likeness, partner)
