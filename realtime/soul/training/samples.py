"""What a DiT says while it trains, as pictures: rollouts on a few clips of the bank, on one sheet.

It trains nothing and draws from a generator of its own: a run is the same with it and without.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soul.model.sample import Soul, sigmas
from soul.model.vae import Decoder, from_bytes, to_bytes
from soul.model.window import gather
from soul.timebase import FRAMES_PER_LATENT
from soul.training.dataset import Bank
from soul.training.diffusion import Guidance, Latents, fresh_windows, guide, quick, silence
from soul.training.progress import sheet
from soul.training.student import follow


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a latent is said, and how much of it is shown."""

    steps: int
    guidance: float
    clips: int = 2
    chunks: int = 6


def show_rollouts(
    model: Soul, decoder: Decoder, bank: Bank, data: Latents, sampling: Sampling, path: Path
) -> None:
    """A sheet: per clip the portrait and the last frame of each chunk, truth above rollout.

    The rollout hears the clip's sound and is told how its face is held.
    """
    count = min(sampling.clips, bank.config.clips)
    chunks = min(sampling.chunks, bank.config.latents)
    shown = roll_out(model, decoder, bank.portraits[:count], data, sampling, chunks)
    said = torch.stack([last_frames(pictures) for pictures in shown], 1).numpy()
    rows = []
    for clip in range(count):
        truth = bank.frames[clip, FRAMES_PER_LATENT - 1 :: FRAMES_PER_LATENT][:chunks]
        rows += [[bank.portraits[clip], *truth], [bank.portraits[clip], *said[clip]]]
    sheet(rows, path)


@torch.no_grad()
def roll_out(
    model: Soul,
    decoder: Decoder,
    portraits: NDArray[np.uint8],
    data: Latents,
    sampling: Sampling,
    chunks: int,
) -> Iterator[Tensor]:
    """The rollout of the clips of `portraits`, chunk by chunk: pictures [clips · 4, 3, H, W] in
    [-1, 1]."""
    some, device = slice(len(portraits)), model.device
    pivotal, tokens, cues = (
        torch.from_numpy(np.array(values[some])).float().to(device)
        for values in (data.pivotal[:, 0], data.tokens[:, 0], data.cues)
    )
    generator = torch.Generator().manual_seed(0)
    levels = sigmas(sampling.steps, model.config.shift)
    reference = decoder.refer(from_bytes(portraits).to(device), pivotal)
    state = decoder.first_state(reference)
    with quick(device):
        words = model.words(data.prompts[some])
        guidance = Guidance(sampling.guidance, silence(model, len(pivotal)))
        windows = fresh_windows(model, pivotal, words)
    for n in range(chunks):
        noise = torch.randn(pivotal.shape, generator=generator).to(device)
        with quick(device):
            heard, past = model.told(tokens[:, n], cues[:, n]), gather(windows, model.config)
            latent = guide(model, noise, levels, words, heard, past, guidance)
            follow(model, windows, latent, words, heard)
        painted = decoder(latent, reference, state)
        state = painted.state
        yield painted.pictures


def last_frames(pictures: Tensor) -> Tensor:
    """[B·4, 3, H, W] in [-1, 1] → the last of each four, uint8 [B, H, W, 3]."""
    return to_bytes(pictures, FRAMES_PER_LATENT)[:, -1].cpu()
