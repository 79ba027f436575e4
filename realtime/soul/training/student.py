"""Stages `student` and `recode`: few steps, no guidance, along the student's own rollouts.

The student's K steps are held to the stretches of the guided teacher's trajectory that they jump
over (`distil`), and a second rollout to the truth (`mend`). `matching` goes on from here.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soul.model.sample import Soul, remember, sigmas
from soul.model.window import Window, gather
from soul.training.crew import ALONE, Crew
from soul.training.diffusion import (
    Clips,
    Guidance,
    Latents,
    Show,
    descend,
    draw_clips,
    fresh_windows,
    guide,
    keep,
    predict,
    quick,
    silence,
    start,
)
from soul.training.losses import flow_matching
from soul.training.progress import Length

COUNTS = (1, 2, 4)  # of steps that the student learns to serve with
SHARES = (0.2, 0.6, 0.2)  # of chunks, one a count


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """Trajectory distillation on the student's own rollouts; no guidance is left at run time."""

    length: Length = Length(1200)
    batch: int = 8
    chunks: int = 12
    peak: float = 2e-4
    teacher_steps: int = 4
    guidance: float = 1.7
    counts: tuple[int, ...] = COUNTS
    shares: tuple[float, ...] = SHARES
    mend: float = 1.0  # weight of what holds the student to the truth; see `mend`
    save_every: int = 200


def train_student(
    teacher: Soul,
    data: Latents,
    config: StudentConfig,
    folder: Path,
    seed: int,
    show: Show | None = None,
    crew: Crew = ALONE,
) -> Soul:
    """Distil the guided teacher into K steps along the student's own rollouts."""
    torch.manual_seed(seed)
    teacher.requires_grad_(False)
    student, kind = crew.pupil(teacher), crew.precision
    progress = crew.progress("student", folder, config.length, every=50)
    checkpoint = start(student, config.peak, folder, progress, crew)
    fresh = True
    for step in progress.run():
        rng = np.random.default_rng([seed, step])
        chunk = step % config.chunks
        with quick(teacher.device, kind):
            if chunk == 0 or fresh:
                clips = draw_clips(data, rng, config.batch, config.chunks, crew.share)
                clips = clips.to(teacher.device)
                words = teacher.words(clips.prompts)
                own = student.words(clips.prompts).detach()
                mine, held = (fresh_windows(student, clips.pivotal, own, kind) for _ in range(2))
                theirs = fresh_windows(teacher, clips.pivotal, words, kind)
                fresh = False
            noise = torch.randn_like(clips.pivotal)
            steps = int(rng.choice(config.counts, p=config.shares))
            sound = clips.heard(teacher, chunk), clips.heard(student, chunk)
            said = student.words(clips.prompts)
            loss, latent = distil(
                teacher, student, (theirs, mine), (words, said), sound, noise, steps,
                clips.weight[:, chunk], config,
            )  # fmt: skip
            strayed, near = mend(student, held, clips, chunk, said, sound[1])
        descend(checkpoint, loss + config.mend * strayed, config.peak)
        with torch.no_grad(), quick(teacher.device, kind):
            follow(student, mine, latent, said, sound[1])
            follow(teacher, theirs, latent, words, sound[0])
            follow(student, held, near, said, sound[1])
        progress.add(loss=crew.mean(loss), strayed=crew.mean(strayed))
        if (step + 1) % config.save_every == 0:
            keep(checkpoint, student, show)
    keep(checkpoint, student, show)
    return student


def follow(
    model: Soul, windows: list[Window], latent: Tensor, words: Tensor, sound: Tensor
) -> None:
    """A latent becomes the past as it does live: strays pulled back, keys and values written."""
    pulled, _ = model.codebook(latent.float())
    remember(model, windows, pulled.unsqueeze(2), words, sound.unsqueeze(1))


def distil(
    teacher: Soul,
    student: Soul,
    windows: tuple[list[Window], list[Window]],
    words: tuple[Tensor, Tensor],
    sound: tuple[Tensor, Tensor],
    noise: Tensor,
    steps: int,
    weight: Tensor,
    config: StudentConfig,
) -> tuple[Tensor, Tensor]:
    """Each student step is held to the stretch of the teacher's trajectory that it jumps over.

    Pairs are the teacher's, then the student's. `noise` [B, C, h, w] is where both start.
    Returns (loss, the student's own clean latent, without gradient).
    """
    shift = student.config.shift
    fine = sigmas(config.teacher_steps, shift)
    stride = config.teacher_steps // steps
    theirs, mine = (gather(some, student.config) for some in windows)
    guidance = Guidance(config.guidance, silence(teacher, len(noise)))
    latent, total = noise, torch.zeros((), device=noise.device)
    for i in range(steps):
        levels = fine[i * stride : (i + 1) * stride + 1]
        goal = guide(teacher, latent, levels, words[0], sound[0], theirs, guidance)
        wanted = (goal - latent) / (levels[-1] - levels[0])
        at = torch.full((len(latent),), levels[0], device=latent.device)
        flow = predict(student, latent, at, words[1], sound[1], mine)
        total = total + ((flow - wanted).square() * weight).mean() * (levels[0] - levels[-1])
        latent = (latent + (levels[-1] - levels[0]) * flow).detach()
    return total, latent


def mend(
    student: Soul, windows: list[Window], clips: Clips, chunk: int, words: Tensor, sound: Tensor
) -> tuple[Tensor, Tensor]:
    """The student's steps held to the truth, while its past has its own errors.

    A rollout of its own has poses of its own, and no truth. One that starts each chunk's last step
    from the true latent, as noisy as that step expects, keeps the clip's poses; what it gets wrong
    gathers in its past as it does live, and has to be put right. Returns (loss, the student's clean
    latent, without gradient).
    """
    truth, weight = clips.latents[:, chunk], clips.weight[:, chunk]
    past = gather(windows, student.config)
    levels = sigmas(student.config.steps, student.config.shift)[:-1]
    total = torch.zeros((), device=truth.device)
    for level in levels:
        noise = torch.randn_like(truth)
        mixed = torch.lerp(truth, noise, level)
        at = torch.full((len(truth),), level, device=truth.device)
        flow = predict(student, mixed, at, words, sound, past)
        total = total + flow_matching(flow, noise, truth, weight) * level / len(levels)
    return total, (mixed - level * flow).detach()


@torch.no_grad()
def recode(student: Soul, data: Latents, said: NDArray[np.float16], seed: int, batch: int) -> None:
    """Write into `said` every latent as the student's last step says it, its past being its own.

    The true latent is mixed with noise as at that step, as in `mend`: `said` has the errors that
    gather live but belongs to the very frames: what a decoder must learn to paint from.
    """
    torch.manual_seed(seed)
    device = student.device
    level = sigmas(student.config.steps, student.config.shift)[-2]
    clips, length = data.latents.shape[:2]
    for first in range(0, clips, batch):
        some = slice(first, min(first + batch, clips))
        truth = torch.from_numpy(np.array(data.latents[some])).float().to(device)
        tokens = torch.from_numpy(np.array(data.tokens[some, 0])).float().to(device)
        cues = torch.from_numpy(data.cues[some]).to(device)
        levels = torch.full((len(truth),), level, device=device)
        with quick(device):
            words = student.words(data.prompts[some])
            pivotal = torch.from_numpy(np.array(data.pivotal[some, 0])).float().to(device)
            windows = fresh_windows(student, pivotal, words)
            for n in range(length):
                mixed = torch.lerp(truth[:, n], torch.randn_like(truth[:, n]), level)
                past = gather(windows, student.config)
                heard = student.told(tokens[:, n], cues[:, n])
                flow = predict(student, mixed, levels, words, heard, past)
                clean = mixed - level * flow
                said[some, n] = clean.cpu().numpy()
                follow(student, windows, clean, words, heard)
