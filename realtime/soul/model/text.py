"""A prompt read by the small model: word vectors for the DiT, and the manner that it asks for.

A word is the mean of its own entry and those of its trigrams (after fastText, Bojanowski et al.
2017), so that "joyful" lends something to a "joyous" that training never saw. The 5B model takes
umT5's vectors instead; this file knows nothing of it.
"""

import re
import zlib
from dataclasses import replace

import torch
from torch import Tensor, nn

from soul.model.config import TextConfig
from soul.model.manner import VALUES, Manner, Mood, mix, mood

UNLIKELY = 0.1  # a value that gets less than this of its side is not meant
WORD = re.compile(r"[^\W_]+", re.UNICODE)


def pieces(word: str) -> list[str]:
    """The word itself, marked as whole, and its trigrams with its ends marked."""
    marked = f"<{word}>"
    return [marked, *(marked[i : i + 3] for i in range(len(marked) - 2) if len(marked) > 3)]


def tokenize(prompt: str, config: TextConfig) -> Tensor:
    """Numbers of the words' pieces [length, pieces] int64; 0 fills up.

    A piece's number is its CRC-32, the same anywhere.
    """
    numbers = torch.zeros(config.length, config.pieces, dtype=torch.int64)
    for row, word in zip(numbers, WORD.findall(prompt.lower()), strict=False):
        found = pieces(word)[: config.pieces]
        hashed = [1 + zlib.crc32(p.encode()) % (config.vocabulary - 1) for p in found]
        row[: len(hashed)] = torch.tensor(hashed)
    return numbers


class TextEncoder(nn.Module):
    """Numbers [B, length, pieces] → [B, length, dim]; no word is the unconditional prompt."""

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
        filled = (numbers > 0).unsqueeze(-1)
        looked = (self.table(numbers) * filled).sum(2) / filled.sum(2).clamp_min(1)
        words = looked + self.place
        present = filled.any(2)
        mean = (words * present).sum(1, keepdim=True) / present.sum(1, keepdim=True).clamp_min(1)
        return words + self.mix(torch.cat((words, mean.expand_as(words)), -1))  # type: ignore[no-any-return]


class MannerReader(nn.Module):
    """Numbers [B, length, pieces] → how much a prompt speaks for every value of every side.

    Each word gives evidence of its own, in the light of the others; no word at all is as usual.
    """

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.encoder = TextEncoder(config)
        self.sizes = [len(values) for values in VALUES.values()]
        self.evidence = nn.Linear(config.dim, sum(self.sizes))
        self.usual = nn.Parameter(torch.zeros(sum(self.sizes)))

    def forward(self, numbers: Tensor) -> list[Tensor]:
        """Logits [B, values], a side each, in the order of `VALUES`."""
        present = (numbers > 0).any(2, keepdim=True)
        found = (self.evidence(self.encoder(numbers)) * present).sum(1) + self.usual
        return list(found.split(self.sizes, -1))

    @torch.no_grad()
    def mood(self, numbers: Tensor) -> Mood:
        """The mood that one prompt's numbers [length, pieces] ask for: of all, as much as said."""
        shares = [logits[0].softmax(-1).tolist() for logits in self(numbers.unsqueeze(0))]
        manners, weights = [Manner()], [1.0]
        for (side, values), found in zip(VALUES.items(), shares, strict=True):
            likely = [
                (v, share) for v, share in zip(values, found, strict=True) if share > UNLIKELY
            ]
            manners = [replace(m, **{side: value}) for m in manners for value, _ in likely]
            weights = [w * share for w in weights for _, share in likely]
        return mix([mood(m) for m in manners], [w / sum(weights) for w in weights])
