"""Stage `match`: distribution-matching distillation along the student's own rollouts.

After DMD2 (Yin et al. 2024, arXiv 2405.14867) without its GAN loss, on rollouts like those of
Self Forcing (Huang et al. 2025, arXiv 2506.08009): the student says a latent in K steps on top of
what it said before; where the guided teacher and a second score, which follows the student's own
distribution, would clean that latent differently, it is moved. `mend` keeps it at the truth.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from soul.model.sample import Soul, sigmas
from soul.model.window import Context, Window, gather
from soul.training.checkpoint import Checkpoint
from soul.training.crew import ALONE, Crew, trained
from soul.training.diffusion import (
    Clips,
    Guidance,
    Latents,
    Show,
    draw_clips,
    draw_levels,
    fresh_windows,
    guided_flow,
    keep,
    learned,
    predict,
    quick,
    silence,
    teach,
)
from soul.training.progress import Length, Progress, learning_rate
from soul.training.student import COUNTS, SHARES, follow, mend


@dataclass(frozen=True, slots=True)
class MatchConfig:
    """How the student is moved, and how the score of its own distribution keeps up with it."""

    length: Length = Length(300)
    batch: int = 8
    chunks: int = 12
    peak: float = 4e-5
    follower_peak: float = 2e-4
    guidance: float = 1.7
    counts: tuple[int, ...] = COUNTS
    shares: tuple[float, ...] = SHARES
    least: float = 0.02  # noise levels that the two scores are asked at
    most: float = 0.98
    mend: float = 1.0
    save_every: int = 200


@dataclass(frozen=True, slots=True)
class Voices:
    """The three models of a step, each with its own memory of what the student has said."""

    student: Soul
    teacher: Soul
    follower: Soul  # the score of what the student says
    kind: torch.dtype = ALONE.precision  # of what windows remember

    def windows(self, clips: Clips) -> list[list[Window]]:
        """One window a stream for student, teacher and follower."""
        return [
            fresh_windows(model, clips.pivotal, model.words(clips.prompts).detach(), self.kind)
            for model in (self.student, self.teacher, self.follower)
        ]


def train_matched(
    student: Soul,
    teacher: Soul,
    data: Latents,
    config: MatchConfig,
    folder: Path,
    seed: int,
    show: Show | None = None,
    crew: Crew = ALONE,
) -> Soul:
    """Go on from `student`; returns it. The follower starts as the teacher."""
    torch.manual_seed(seed)
    teacher.requires_grad_(False)
    kind = crew.precision
    voices = Voices(student, teacher, crew.pupil(teacher), kind)
    progress = crew.progress("match", folder, config.length, every=50)
    checkpoint = begin(voices, config, folder, progress, crew)
    fresh = True
    for step in progress.run():
        rng = np.random.default_rng([seed, step])
        chunk = step % config.chunks
        with quick(teacher.device, kind):
            if chunk == 0 or fresh:
                clips = draw_clips(data, rng, config.batch, config.chunks, crew.share)
                clips = clips.to(teacher.device)
                windows, fresh = voices.windows(clips), False
                own = student.words(clips.prompts).detach()
                held = fresh_windows(student, clips.pivotal, own, kind)
            steps = int(rng.choice(config.counts, p=config.shares))
            latent = say(student, windows[0], clips, chunk, steps)
            moved = match(voices, windows, clips, chunk, latent, config)
            follower = voices.follower
            kept_up = teach(
                follower, gather(windows[2], follower.config), latent.detach(),
                clips.heard(follower, chunk), clips.prompts, clips.weight[:, chunk],
            )  # fmt: skip
            said, heard = student.words(clips.prompts), clips.heard(student, chunk)
            strayed, near = mend(student, held, clips, chunk, said, heard)
        climb(checkpoint, moved + config.mend * strayed + kept_up, config)
        with torch.no_grad(), quick(teacher.device, kind):
            follow(student, held, near, said, heard)
            for model, some in zip((student, teacher, follower), windows, strict=True):
                told = clips.heard(model, chunk)
                follow(model, some, latent.detach(), model.words(clips.prompts), told)
        parts = {"moved": moved, "follower": kept_up, "strayed": strayed}
        progress.add(**{name: crew.mean(part) for name, part in parts.items()})
        if (step + 1) % config.save_every == 0:
            keep(checkpoint, student, show)
    keep(checkpoint, student, show)
    return student


def begin(
    voices: Voices, config: MatchConfig, folder: Path, progress: Progress, crew: Crew = ALONE
) -> Checkpoint:
    """One optimizer over student and follower, each with its own peak; where the stage is kept."""
    groups = []
    for model, peak in ((voices.student, config.peak), (voices.follower, config.follower_peak)):
        model.requires_grad_(False)
        groups.append({"params": trained(crew.free(learned(model))), "peak": peak})
    optimizer = torch.optim.AdamW(groups, lr=config.peak, betas=(0.0, 0.98), weight_decay=1e-3)
    both = nn.ModuleDict({"student": learned(voices.student), "follower": learned(voices.follower)})
    return crew.checkpoint(folder, both, optimizer, progress)


def climb(checkpoint: Checkpoint, loss: Tensor, config: MatchConfig) -> None:
    """One optimizer step of student and follower; their losses share no parameter."""
    for group in checkpoint.optimizer.param_groups:
        group["lr"] = learning_rate(checkpoint.progress.fraction, group["peak"])
    checkpoint.learn(loss)


def say(student: Soul, windows: list[Window], clips: Clips, chunk: int, steps: int) -> Tensor:
    """The student's latent in `steps` Euler steps; the last one has gradients."""
    past = gather(windows, student.config)
    words, heard = student.words(clips.prompts), clips.heard(student, chunk)
    latent = torch.randn_like(clips.pivotal)
    levels = sigmas(steps, student.config.shift)
    for level, following in pairwise(levels):
        at = torch.full((len(latent),), level, device=latent.device)
        with torch.set_grad_enabled(following == 0):
            flow = predict(student, latent, at, words, heard, past)
            latent = latent + (following - level) * flow
    return latent


def match(
    voices: Voices,
    windows: list[list[Window]],
    clips: Clips,
    chunk: int,
    latent: Tensor,
    config: MatchConfig,
) -> Tensor:
    """A loss whose gradient moves `latent` along the difference of the two scores (DMD2, eq. 3).

    Both clean the same noisy latent; the difference is scaled by how far the teacher is off.
    """
    with torch.no_grad():
        levels = draw_levels(voices.student.config.shift, latent)
        levels = levels.clamp(config.least, config.most)
        at = levels.view(-1, 1, 1, 1)
        mixed = torch.lerp(latent, torch.randn_like(latent), at)
        real = clean_guided(voices.teacher, windows[1], clips, chunk, mixed, levels, config)
        words = voices.follower.words(clips.prompts)
        heard = clips.heard(voices.follower, chunk)
        past = gather(windows[2], voices.follower.config)
        own = mixed - at * predict(voices.follower, mixed, levels, words, heard, past)
        off = (latent - real).abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-3)
        target = latent - (own - real) / off
    return 0.5 * ((latent - target).square() * clips.weight[:, chunk]).mean()


def clean_guided(
    teacher: Soul,
    windows: list[Window],
    clips: Clips,
    chunk: int,
    mixed: Tensor,
    levels: Tensor,
    config: MatchConfig,
) -> Tensor:
    """What the guided teacher takes the noisy latents [B, C, h, w] for."""
    past: Context = gather(windows, teacher.config)
    guidance = Guidance(config.guidance, silence(teacher, len(mixed)))
    words, heard = teacher.words(clips.prompts), clips.heard(teacher, chunk)
    flow = guided_flow(teacher, mixed, levels, words, heard, past, guidance)
    return mixed - levels.view(-1, 1, 1, 1) * flow
