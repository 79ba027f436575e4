"""What sound and words do not say: when the eyes close, and whether somebody else has the word.

The DiT is told of both by one more token. A model of few steps answers what it is not told with the
mean, eyes that never close (LOG.md); so blinks are drawn here, at people's rate, and what a closing
lid looks like on this face is the DiT's. Not in the paper; `soul-5b` goes without.
"""

import numpy as np
import torch
from torch import Tensor, nn

from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT

SHAPES: tuple[tuple[float, ...], ...] = (  # share of the resting opening: 120, 160 and 200 ms
    (0.35, 0.0, 0.5),
    (0.4, 0.0, 0.1, 0.6),
    (0.5, 0.05, 0.0, 0.3, 0.75),
)
PER_MINUTE = 14.0  # people in conversation: 10 to 20
REGULARITY = 2.5  # of the gamma distribution of the time between two blinks; 1 is pure chance
SHORTEST, LONGEST = FRAME_RATE // 2, 9 * FRAME_RATE  # frames between two blinks


class Blinks:
    """The lids of one stream, frame after frame; all follows from `seed`."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._ahead: list[float] = self._rest()[: FRAME_RATE * 3]  # nobody stares for long at first

    def next(self, frames: int) -> list[float]:
        """The lids of the next `frames` frames, as shares of their resting opening."""
        while len(self._ahead) < frames:
            self._ahead += [*SHAPES[self._rng.integers(len(SHAPES))], *self._rest()]
        now, self._ahead = self._ahead[:frames], self._ahead[frames:]
        return now

    def _rest(self) -> list[float]:
        mean = 60 * FRAME_RATE / PER_MINUTE
        gap = self._rng.gamma(REGULARITY, mean / REGULARITY)
        return [1.0] * int(np.clip(gap, SHORTEST, LONGEST))


CUES = 2  # lids, listening


def cues(lids: Tensor, listening: Tensor) -> Tensor:
    """Lids [..., 4] (1 open, 0 shut) and listening [..., 4] (1 while somebody else has the word)
    of a latent's frames → [..., 4, 2]."""
    return torch.stack((lids, listening.to(lids)), -1)


class CueEncoder(nn.Module):
    """A latent's cues [B, 4, 2] → one token [B, 1, audio_dim]."""

    def __init__(self, width: int, audio_dim: int) -> None:
        super().__init__()
        self.inward = nn.Linear(FRAMES_PER_LATENT * CUES, width)
        self.outward = nn.Linear(width, audio_dim)

    def forward(self, cues: Tensor) -> Tensor:
        closed = torch.stack((1 - cues[..., 0], cues[..., 1]), -1)  # nothing to tell: zeros
        hidden = torch.nn.functional.gelu(self.inward(closed.flatten(1)))
        return self.outward(hidden).unsqueeze(1)  # type: ignore[no-any-return]
