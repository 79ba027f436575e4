"""Rotary positions in time, height and width, exact for a stream without end.

Wan splits a head of d channels into d − 4⌊d/6⌋ for time and 2⌊d/6⌋ each for height and width, in
interleaved pairs, base 10,000. Angles are formed in float64 and reduced modulo 2π before they are
cast, so latent 10,000,000 is rotated as exactly as latent 1.
"""

import math

import torch
from torch import Tensor

BASE = 10_000.0


def split(head_dim: int) -> tuple[int, int, int]:
    """Channels of one head for time, height and width."""
    side = 2 * (head_dim // 6)
    return head_dim - 2 * side, side, side


def frequencies(channels: int) -> Tensor:
    """[channels / 2] float64 radians a position."""
    return BASE ** (-torch.arange(0, channels, 2, dtype=torch.float64) / channels)


def angles(position: Tensor, channels: int) -> Tensor:
    """Angles in [0, 2π) of integer `position` [...] → [..., channels / 2] float64."""
    raw = position.double().unsqueeze(-1) * frequencies(channels).to(position.device)
    return torch.remainder(raw, 2 * math.pi)


def rotation(times: Tensor, rows: int, columns: int, head_dim: int) -> Tensor:
    """Cosines and sines of every token of latents at `times` [B], or [B, n] for n latents each.

    → [2, B, n·rows·columns, head_dim / 2] float32.
    """
    time, height, width = split(head_dim)
    device = times.device
    t = angles(times, time)[..., None, None, :]
    y = angles(torch.arange(rows, device=device), height)[:, None]
    x = angles(torch.arange(columns, device=device), width)
    shape = (*times.shape, rows, columns, -1)
    theta = torch.cat([angle.expand(shape) for angle in (t, y, x)], -1).flatten(1, -2)
    return torch.stack((theta.cos(), theta.sin())).float()


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turn pairs of `x` [..., B, heads, tokens, d] by `rotation` [2, B, tokens, d / 2]."""
    cos, sin = rotation.unsqueeze(2).unbind(0)
    even, odd = x.float().view(*x.shape[:-1], -1, 2).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1)
    return turned.flatten(-2).to(x.dtype)
