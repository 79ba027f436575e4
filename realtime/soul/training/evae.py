"""Stage `evae`: the 5B's light decoder learns to paint what the full one paints.

It takes no pictures: the latents of clips, which training the DiT needs anyway, and the full
decoder, which does not learn. Crops are cut in space alone, and every example starts where its clip
starts, because there a decoder's first latent is a single frame. Knows no library of VAEs: a
teacher is a function from latents to pictures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soul.model.vae import to_bytes
from soul.model.wan.evae import Evae
from soul.training.autoencoder import new_optimizer
from soul.training.checkpoint import Checkpoint
from soul.training.diffusion import descend, quick
from soul.training.losses import edge_l1, weighted_l1
from soul.training.progress import Length, Progress, sheet

# Latents [B, 48, T, h, w] as the DiT has them → pictures [B, 3, 4T - 3, 16h, 16w] in [-1, 1].
Teacher = Callable[[Tensor], Tensor]

COLUMNS = 5  # frames of an example on a sheet


@dataclass(frozen=True, slots=True)
class DistilConfig:
    """How the light decoder is trained."""

    length: Length = Length(200_000)
    batch: int = 8
    latents: int = 7  # of an example: 25 frames
    crop: int = 16  # cells a side: 256 pixels; no more than the clips have
    peak: float = 3e-4
    edges: float = 1.0  # weight of differences between neighbouring pixels
    changes: float = 0.5  # weight of differences between frames: what flickers is worse than soft
    save_every: int = 1000

    def __post_init__(self) -> None:
        if self.latents < 2:
            raise ValueError(f"an example has {self.latents} latents, expected at least 2")


def draw_latents(
    clips: Sequence[NDArray[np.float16]], rng: np.random.Generator, config: DistilConfig
) -> Tensor:
    """Random crops of random clips: [B, 48, latents, crop, crop] float32.

    `clips` are [48, T, h, w] each, in memory or on disk. ValueError if one is too short.
    """
    chosen = [int(which) for which in rng.integers(len(clips), size=config.batch)]
    side = min(config.crop, *(min(clips[which].shape[2:]) for which in chosen))
    crops = []
    for which in chosen:
        _, count, rows, columns = clips[which].shape
        if count < config.latents:
            raise ValueError(f"clip {which} has {count} latents, an example takes {config.latents}")
        y, x = (int(rng.integers(room - side + 1)) for room in (rows, columns))
        crops.append(clips[which][:, : config.latents, y : y + side, x : x + side])
    return torch.from_numpy(np.stack(crops)).float()


def losses(answer: Tensor, truth: Tensor, config: DistilConfig) -> dict[str, Tensor]:
    """Losses of pictures [B, 3, F, H, W] by name; `total` is what is minimised."""
    frames, wanted = (video.movedim(2, 1).flatten(0, 1) for video in (answer, truth))
    even = wanted.new_ones(()).expand_as(wanted[:, :1])
    picture = weighted_l1(frames, wanted, even)
    edge = edge_l1(frames, wanted, even)
    change = (answer.diff(dim=2) - truth.diff(dim=2)).abs().mean()
    total = picture + config.edges * edge + config.changes * change
    return {"total": total, "picture": picture, "edge": edge, "change": change}


def distil_evae(
    student: Evae,
    teacher: Teacher,
    clips: Sequence[NDArray[np.float16]],
    config: DistilConfig,
    folder: Path,
    seed: int,
) -> None:
    """Run or resume the stage; leaves `state.pt`, curves and a sheet in `folder`."""
    torch.manual_seed(seed)
    progress = Progress("evae", folder, config.length)
    optimizer = new_optimizer(student, config.peak)
    checkpoint = Checkpoint(folder / "state.pt", student, optimizer, progress)
    checkpoint.resume()
    for step in progress.run():
        found = compare(student, teacher, draw_latents(clips, drawer(seed, step), config), config)
        descend(checkpoint, found["total"], config.peak)
        progress.add(**{name: value.item() for name, value in found.items()})
        if (step + 1) % config.save_every == 0:
            keep(checkpoint, student, teacher, draw_latents(clips, drawer(seed, 0), config))
    keep(checkpoint, student, teacher, draw_latents(clips, drawer(seed, 0), config))


def drawer(seed: int, step: int) -> np.random.Generator:
    """What a step draws follows from its number alone, so that a resumed stage draws the same."""
    return np.random.default_rng([seed, step])


def compare(
    student: Evae, teacher: Teacher, latents: Tensor, config: DistilConfig
) -> dict[str, Tensor]:
    """The losses of one batch of latents."""
    latents = latents.to(student.head.conv.weight.device)
    with torch.no_grad():
        truth = teacher(latents)
    with quick(latents.device):
        answer = student(latents)
    return losses(answer.float(), truth.float(), config)


def keep(checkpoint: Checkpoint, student: Evae, teacher: Teacher, latents: Tensor) -> None:
    """Everything to go on from, and to look at: some frames, the teacher's above the student's."""
    checkpoint.save()
    checkpoint.progress.plot()
    latents = latents[:1].to(student.head.conv.weight.device)
    with torch.no_grad():
        videos = [paint(latents).float() for paint in (teacher, student)]
    at = np.linspace(0, videos[0].shape[2] - 1, COLUMNS).astype(int)
    rows = [
        list(to_bytes(video[0].movedim(1, 0), video.shape[2])[0].cpu().numpy()[at])
        for video in videos
    ]
    sheet(rows, checkpoint.path.parent / "samples.png")
