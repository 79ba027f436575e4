"""Stage `evae`: the 5B's light decoder learns to paint what the full one paints.

What it takes are latents of clips, which training the DiT needs anyway, and the full decoder, which
does not learn. The full decoder's pictures are the truth, and not the clips' own: latents decide
the former to the last pixel, while of the latter they have lost what no decoder can know, and the
best answer to that is a blur. So it takes no pictures, and generated latents serve as well.
(Turbo-VAED, arXiv 2508.09136, and TAESD learn from the clips' own pictures, with LPIPS or an
adversary against the blur; whatever tells how unlike pictures look can be added here.)

A batch walks along its clips from their beginnings, where a decoder's first latent is a single
frame; both decoders carry their memory from piece to piece, and gradients stay within one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from soul.measure.picture import psnr
from soul.model.vae import to_bytes
from soul.model.wan.evae import Evae, EvaeConfig, EvaeStream
from soul.training.autoencoder import new_optimizer
from soul.training.checkpoint import Checkpoint
from soul.training.diffusion import descend, quick
from soul.training.encoded import Clips, Paint, Teacher
from soul.training.losses import edge_l1, weighted_l1
from soul.training.notes import note
from soul.training.progress import Length, Progress, sheet

# Two batches of pictures [n, 3, H, W] in [-1, 1] → how unlike they look, a scalar: LPIPS, say.
Unlikeness: TypeAlias = Callable[[Tensor, Tensor], Tensor]

NOTE = "evae.json"
FREE = ("length", "save_every")  # may change within a run
COLUMNS = 5  # frames of an example on a sheet


@dataclass(frozen=True, slots=True)
class DistilConfig:
    """How the light decoder is trained."""

    decoder: EvaeConfig = EvaeConfig()
    length: Length = Length(200_000)
    batch: int = 8
    pieces: int = 5  # of a walk, one optimizer step each
    latents: int = 5  # of a piece: a walk has 25 and 97 frames, as many as 4 s have
    crop: int = 16  # cells a side: 256 pixels; no more than the clips have
    peak: float = 3e-4
    edges: float = 1.0  # weight of differences between neighbouring pixels
    changes: float = 0.5  # weight of differences between frames: what flickers is worse than soft
    looks: float = 0.5  # weight of what looks unlike, if anything tells that
    judged: int = 4  # clips that are kept to judge by: the first
    save_every: int = 1000

    def __post_init__(self) -> None:
        if self.latents < 2:
            raise ValueError(f"a piece has {self.latents} latents, expected at least 2")
        if self.pieces < 1 or self.save_every % self.pieces:
            raise ValueError(
                f"save_every {self.save_every} is not a number of walks of {self.pieces} pieces: "
                "what is kept within a walk could not go on exactly"
            )

    @property
    def walk(self) -> int:
        """Latents of a clip that are used."""
        return self.pieces * self.latents


@dataclass(frozen=True, slots=True)
class Begun:
    """What a run depends on."""

    config: DistilConfig
    clips: int
    seed: int


def draw_latents(
    clips: Clips, chosen: list[int], rng: np.random.Generator, config: DistilConfig
) -> Tensor:
    """Random crops of the `chosen` clips: [B, 48, walk, crop, crop] float32.

    ValueError if one is too short.
    """
    side = min(config.crop, *(min(clips[which].shape[2:]) for which in chosen))
    crops = []
    for which in chosen:
        _, count, rows, columns = clips[which].shape
        if count < config.walk:
            raise ValueError(f"clip {which} has {count} latents, a walk takes {config.walk}")
        y, x = (int(rng.integers(room - side + 1)) for room in (rows, columns))
        crops.append(clips[which][:, : config.walk, y : y + side, x : x + side])
    return torch.from_numpy(np.stack(crops)).float()


def losses(
    answer: Tensor, truth: Tensor, config: DistilConfig, unlikeness: Unlikeness | None = None
) -> dict[str, Tensor]:
    """Losses of pictures [B, 3, F, H, W] by name; `total` is what is minimised."""
    frames, wanted = (video.movedim(2, 1).flatten(0, 1) for video in (answer, truth))
    even = wanted.new_ones(()).expand_as(wanted[:, :1])
    found = {
        "picture": weighted_l1(frames, wanted, even),
        "edge": edge_l1(frames, wanted, even),
        "change": (answer.diff(dim=2) - truth.diff(dim=2)).abs().mean(),
    }
    total = found["picture"] + config.edges * found["edge"] + config.changes * found["change"]
    if unlikeness is not None:
        found["look"] = unlikeness(frames, wanted)
        total = total + config.looks * found["look"]
    return {"total": total, **found}


@dataclass(frozen=True, slots=True)
class Walk:
    """A batch on its way along its clips, and what both decoders remember of it."""

    latents: Tensor  # [B, 48, walk, crop, crop]
    paint: Paint  # the teacher's
    stream: EvaeStream  # the student's


class Lessons:
    """Walks, piece by piece; what is drawn follows from `seed` and the step's number."""

    def __init__(
        self,
        student: Evae,
        teacher: Teacher,
        clips: Clips,
        config: DistilConfig,
        seed: int,
        unlikeness: Unlikeness | None = None,
    ) -> None:
        if len(clips) <= config.judged:
            raise ValueError(
                f"{len(clips)} clips are too few, expected more than the {config.judged} that are "
                "kept to judge by"
            )
        self.student = student
        self.teacher = teacher
        self.clips = clips
        self.config = config
        self.seed = seed
        self.unlikeness = unlikeness
        self.walk: Walk | None = None

    def take(self, step: int) -> dict[str, Tensor]:
        """The losses of one piece.

        A stage that was ended within a walk and is to go on after all walks up to there first.
        """
        piece = step % self.config.pieces
        if piece == 0 or self.walk is None:
            self.walk = self._begin(step - piece)
            with torch.no_grad():
                for earlier in range(piece):
                    self._pair(self.walk, earlier)
        answer, truth = self._pair(self.walk, piece)
        self.walk.stream.let_go()
        return losses(answer, truth, self.config, self.unlikeness)

    def judge(self) -> tuple[Tensor, Tensor]:
        """Pictures of the clips that are kept for it, always the same crops: (answer, truth)."""
        rng = np.random.default_rng(self.seed)
        chosen = list(range(self.config.judged))
        walk = self._open(draw_latents(self.clips, chosen, rng, self.config))
        with torch.no_grad():
            pairs = [self._pair(walk, piece) for piece in range(self.config.pieces)]
        answers, truths = zip(*pairs, strict=True)
        return torch.cat(answers, 2), torch.cat(truths, 2)

    def _begin(self, step: int) -> Walk:
        rng = np.random.default_rng([self.seed, step])
        drawn = rng.integers(self.config.judged, len(self.clips), size=self.config.batch)
        return self._open(draw_latents(self.clips, [int(at) for at in drawn], rng, self.config))

    def _open(self, latents: Tensor) -> Walk:
        device = self.student.head.conv.weight.device
        return Walk(latents.to(device), self.teacher(), EvaeStream())

    def _pair(self, walk: Walk, piece: int) -> tuple[Tensor, Tensor]:
        """A piece as the student and as the teacher paints it; both remember."""
        begin = piece * self.config.latents
        latents = walk.latents[:, :, begin : begin + self.config.latents]
        with torch.no_grad():
            truth = walk.paint(latents)
        with quick(latents.device):
            answer = self.student(latents, walk.stream)
        return answer.float(), truth.float()


def distil_evae(
    student: Evae,
    teacher: Teacher,
    clips: Clips,
    config: DistilConfig,
    folder: Path,
    seed: int,
    unlikeness: Unlikeness | None = None,
) -> None:
    """Run or resume the stage; leaves `state.pt`, curves, figures and a sheet in `folder`.

    ValueError if the clips are too few or too short, or if `folder` was begun otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    note(folder / NOTE, Begun(config, len(clips), seed), FREE)
    torch.manual_seed(seed)
    progress = Progress("evae", folder, config.length)
    lessons = Lessons(student, teacher, clips, config, seed, unlikeness)
    checkpoint = Checkpoint(
        folder / "state.pt", student, new_optimizer(student, config.peak), progress
    )
    checkpoint.resume()
    kept = progress.step
    for step in progress.run():
        found = lessons.take(step)
        descend(checkpoint, found["total"], config.peak)
        progress.add(**{name: value.item() for name, value in found.items()})
        if (step + 1) % config.save_every == 0:
            keep(checkpoint, lessons)
            kept = progress.step
    if kept < progress.step:
        keep(checkpoint, lessons)


def keep(checkpoint: Checkpoint, lessons: Lessons) -> None:
    """Everything to go on from, and to look at: some frames, the teacher's above the student's."""
    progress = checkpoint.progress
    answer, truth = (as_bytes(video) for video in lessons.judge())
    progress.add(psnr=psnr(answer, truth))
    progress.report()
    checkpoint.save()
    progress.plot()
    at = np.linspace(0, answer.shape[1] - 1, COLUMNS).astype(int)
    sheet([list(video[0][at]) for video in (truth, answer)], progress.folder / "samples.png")


def as_bytes(video: Tensor) -> np.ndarray:
    """[B, 3, F, H, W] in [-1, 1] → uint8 [B, F, H, W, 3]."""
    found: np.ndarray = to_bytes(video.movedim(2, 1).flatten(0, 1), video.shape[2]).cpu().numpy()
    return found
