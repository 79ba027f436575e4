"""What may stand in the place of a stream's codebook, and students that are made to drift.

Each is put into the model as its codebook, so the rollout stays the live one. Knows no sound, no
pictures and no clock: whoever measures brings one.
"""

import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from soul.model.codebook import Codebook, extended, with_threshold
from soul.model.sample import Soul

Seconds: TypeAlias = Callable[[], float]

BOOKS = ("off", "hard", "pullback", "extended")


@dataclass(frozen=True, slots=True)
class Damage:
    """How a student is made to drift."""

    noise: float = 0.5  # standard deviation, added to every latent that becomes context
    weights: float = 0.01  # share by which each weight of the DiT is off, standard deviation
    seed: int = 7  # of both


@dataclass(frozen=True, slots=True)
class Pulls:
    """What a codebook did over some chunks; `seconds` is what it took for it."""

    share: float  # of all cells, that were pulled
    size: float  # mean distance that a pulled cell was moved by; 0 if none was
    seconds: float


class Watched(Codebook):
    """A codebook that keeps count of what it does; it may be handed latents with noise added."""

    def __init__(self, book: Codebook, seconds: Seconds, noise: float = 0.0, seed: int = 0) -> None:
        super().__init__(*book.centroids.shape)
        self.to(book.centroids)
        self.load_state_dict(book.state_dict())
        self.noise = noise
        self._random = torch.Generator(book.centroids.device).manual_seed(seed)
        self._seconds = seconds
        self._counts = [0.0, 0.0, 0.0, 0.0]  # cells, strays, their way, seconds

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """As `Codebook.forward`."""
        if self.noise:
            latents = latents + self.noise * torch.randn(
                latents.shape, generator=self._random, device=latents.device, dtype=latents.dtype
            )
        began = moment(self._seconds, latents.device)
        pulled, strays = super().forward(latents)
        spent = moment(self._seconds, latents.device) - began
        cells = latents[0, 0].numel()
        way = float(torch.linalg.vector_norm(pulled - latents, dim=1).sum())
        seen = (float(cells * len(latents)), float(strays.sum()) * cells, way, spent)
        self._counts = [old + new for old, new in zip(self._counts, seen, strict=True)]
        return pulled, strays

    def tell(self) -> Pulls:
        """What was done since this was last asked."""
        cells, strays, way, spent = self._counts
        self._counts = [0.0, 0.0, 0.0, 0.0]
        return Pulls(
            share=strays / cells if cells else math.nan,
            size=way / strays if strays else 0.0,
            seconds=spent,
        )


def moment(seconds: Seconds, device: torch.device) -> float:
    """`seconds` now, after all that `device` was asked to do."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return seconds()


def variant(name: str, codebook: Codebook, portrait: Tensor) -> Codebook:
    """One of `BOOKS`: nothing, hard replacement, the paper's pullback, or that with the portrait.

    `portrait` [1, channels, h, w] are the session's own latents. ValueError for another name.
    """
    if name == "off":
        return with_threshold(codebook, math.inf)
    if name == "hard":
        return with_threshold(codebook, 0.0)
    if name == "pullback":
        return codebook
    if name == "extended":
        return extended(codebook, portrait)
    raise ValueError(f"codebook {name!r} is not known, expected one of {', '.join(BOOKS)}")


@torch.no_grad()
def weakened(model: Soul, damage: Damage) -> Soul:
    """A copy whose DiT's weights are each off by a share of themselves."""
    twin = deepcopy(model)
    draw = torch.Generator().manual_seed(damage.seed)
    for weight in twin.dit.parameters():
        weight.mul_(1 + damage.weights * torch.randn(weight.shape, generator=draw).to(weight))
    return twin
