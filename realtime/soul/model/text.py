"""Prompt → word vectors, for the small model: hashed words, a learned table, one mixing layer.

The 5B model takes umT5's vectors instead; this file knows nothing of it.
"""

import re
import zlib

import torch
from torch import Tensor, nn

from soul.model.config import TextConfig

WORD = re.compile(r"[^\W_]+", re.UNICODE)


def tokenize(prompt: str, config: TextConfig) -> Tensor:
    """Word numbers [length] int64; 0 fills up. A word's number is its CRC-32, the same anywhere."""
    words = WORD.findall(prompt.lower())[: config.length]
    numbers = [1 + zlib.crc32(w.encode()) % (config.vocabulary - 1) for w in words]
    return torch.tensor(numbers + [0] * (config.length - len(numbers)))


class TextEncoder(nn.Module):
    """Word numbers [B, length] → [B, length, dim]; an empty prompt is the unconditional one."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.config = config
        self.table = nn.Embedding(config.vocabulary, config.dim)
        self.place = nn.Parameter(torch.randn(config.length, config.dim) * 0.02)
        self.mix = nn.Sequential(
            nn.Linear(2 * config.dim, 2 * config.dim),
            nn.GELU(),
            nn.Linear(2 * config.dim, config.dim),
        )

    def forward(self, numbers: Tensor) -> Tensor:
        words = self.table(numbers) + self.place
        present = (numbers > 0).unsqueeze(-1)
        mean = (words * present).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp_min(1)
        return words + self.mix(torch.cat((words, mean.expand_as(words)), -1))  # type: ignore[no-any-return]
