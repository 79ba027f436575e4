"""What sound does not say: how head, eyes, brows and mouth corners are held, who has the word.

The DiT is told of it by a few more tokens. A model of few steps answers what it is not told with
the mean, eyes that neither close nor move (LOG.md); so `bearing` draws it, with the blinks and
glances of this file, at people's rate. Not in the paper; `soul-5b` goes without.
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


AWAY = 0.15  # share of fixations that leave the viewer
FIXATION = (8, 45)  # frames that the eyes rest on one point


class Glances:
    """Where the eyes of one stream wander of themselves, frame after frame; follows from `seed`.

    Offsets (x, y) in -1 .. 1 to where the mood has them look: mostly nearly none, sometimes aside.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._point = (0.0, 0.0)
        self._ahead: list[tuple[float, float]] = []

    def next(self, frames: int) -> list[tuple[float, float]]:
        """The offsets of the next `frames` frames; an eye jumps within two of them."""
        while len(self._ahead) < frames:
            (x, y), point = self._point, self._draw()
            eased = (0.4 * x + 0.6 * point[0], 0.4 * y + 0.6 * point[1])
            self._ahead += [eased, *[point] * (int(self._rng.integers(*FIXATION)) - 1)]
            self._point = point
        now, self._ahead = self._ahead[:frames], self._ahead[frames:]
        return now

    def _draw(self) -> tuple[float, float]:
        if self._rng.random() < AWAY:
            side = self._rng.choice([-1.0, 1.0])
            return float(side * self._rng.uniform(0.3, 0.8)), float(self._rng.uniform(-0.4, 0.3))
        x, y = self._rng.normal(0.0, 0.05, 2)
        return float(x), float(y)


CHANNELS = (  # of a frame, as the DiT is told them; but for `listening` the world's own
    "lids",  # 0 .. 1, shut .. open
    "listening",  # 1 while somebody else has the word
    "gaze_x", "gaze_y", "yaw", "pitch", "roll", "brow_left", "brow_right", "smile",  # -1 .. 1
    "breath",
)  # fmt: skip
CUES = len(CHANNELS)
TOKENS = 3  # for the head, the eyes, the rest of a face: what each says is learned


class CueEncoder(nn.Module):
    """A latent's cues [..., 4, CUES] → tokens [..., TOKENS, audio_dim]."""

    def __init__(self, width: int, audio_dim: int) -> None:
        super().__init__()
        self.inward = nn.Linear(FRAMES_PER_LATENT * CUES, TOKENS * width)
        self.outward = nn.Linear(TOKENS * width, TOKENS * audio_dim)

    def forward(self, cues: Tensor) -> Tensor:
        closed = torch.cat((1 - cues[..., :1], cues[..., 1:]), -1)  # nothing to tell: zeros
        hidden = torch.nn.functional.gelu(self.inward(closed.flatten(-2)))
        return self.outward(hidden).unflatten(-1, (TOKENS, -1))  # type: ignore[no-any-return]
