"""Stages `teacher` and `student`: flow matching over encoded clips, then few steps, unguided.

Both roll the model out chunk by chunk through the functions that serve live (`soul.model.sample`).
The teacher sees true latents, a little disturbed, as its past; the student sees its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from soul.model.sample import TIMESTEPS, Soul, remember, sigmas, write_sink
from soul.model.window import Context, Window, empty_window, gather
from soul.training.checkpoint import Checkpoint
from soul.training.losses import flow_matching, region_weight
from soul.training.progress import Length, Progress, learning_rate

Show: TypeAlias = Callable[[Soul, Path], None]  # writes what a model says, to look at
GAINS = torch.tensor([8.0, 5.0, 5.0])  # mouth, eyes


@dataclass(frozen=True)
class Latents:
    """A bank as the DiT sees it, float16 on disk or in memory."""

    pivotal: NDArray[np.float16]  # [clips, C, h, w]
    latents: NDArray[np.float16]  # [clips, n, C, h, w]
    tokens: NDArray[np.float16]  # [clips, n, m, audio_dim]
    lids: NDArray[np.float32]  # [clips, n, 4], see `soul.model.lids`
    boxes: NDArray[np.float32]  # [clips, n, 3, 4] in latent cells
    prompts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """Flow matching with sound and words dropped now and then, for guidance."""

    length: Length = Length(2700)
    batch: int = 16
    chunks: int = 10
    peak: float = 8e-4
    drop_sound: float = 0.1
    drop_words: float = 0.1
    disturb: float = 0.2  # largest deviation of the noise added to context latents
    save_every: int = 500


@dataclass(frozen=True, slots=True)
class StudentConfig:
    """Trajectory distillation on the student's own rollouts; no guidance is left at run time."""

    length: Length = Length(1020)
    batch: int = 8
    chunks: int = 12
    peak: float = 2e-4
    teacher_steps: int = 6
    guidance: float = 1.7
    one_step: float = 0.25  # share of chunks that are distilled into a single step
    mend: float = 1.0  # weight of what holds the student to the truth; see `mend`
    save_every: int = 200


@dataclass(frozen=True, slots=True)
class Clips:
    """One batch of rollouts."""

    pivotal: Tensor
    latents: Tensor  # [B, chunks, C, h, w]
    tokens: Tensor  # [B, chunks, m, audio_dim]
    lids: Tensor  # [B, chunks, 4]
    weight: Tensor  # [B, chunks, 1, h, w]
    prompts: list[str]

    def heard(self, model: Soul, chunk: int) -> Tensor:
        """What `model` is told of a chunk beside words: its sound and its blinks."""
        return model.told(self.tokens[:, chunk], self.lids[:, chunk])

    def to(self, device: torch.device) -> "Clips":
        """The same on `device`."""
        return Clips(
            self.pivotal.to(device),
            self.latents.to(device),
            self.tokens.to(device),
            self.lids.to(device),
            self.weight.to(device),
            self.prompts,
        )


def learned(model: Soul) -> nn.ModuleList:
    """The parts that teacher and student learn: DiT, words, lids. The rest is left alone."""
    return nn.ModuleList([model.dit, model.text, *([] if model.lids is None else [model.lids])])


def draw_clips(data: Latents, rng: np.random.Generator, batch: int, chunks: int) -> Clips:
    """Random stretches of `chunks` latents."""
    clips, length = data.latents.shape[:2]
    which = rng.integers(clips, size=batch)
    starts = rng.integers(length - chunks + 1, size=batch)
    spans = [(c, slice(s, s + chunks)) for c, s in zip(which, starts, strict=True)]
    boxes = torch.from_numpy(np.stack([data.boxes[span] for span in spans]))
    side = data.latents.shape[-1]
    weight = region_weight(boxes.flatten(0, 1), GAINS, side, side)
    return Clips(
        torch.from_numpy(data.pivotal[which]).float(),
        torch.from_numpy(np.stack([data.latents[span] for span in spans])).float(),
        torch.from_numpy(np.stack([data.tokens[span] for span in spans])).float(),
        torch.from_numpy(np.stack([data.lids[span] for span in spans])),
        (weight / weight.mean()).unflatten(0, boxes.shape[:2]),
        [data.prompts[c] for c in which],
    )


def fresh_windows(model: Soul, pivotal: Tensor, words: Tensor) -> list[Window]:
    """One window a stream with the pivotal latent as its sink; no gradients.

    In bfloat16, like the autocast products that read it: half as much to copy a step.
    """
    windows = [empty_window(model.config, model.device, torch.bfloat16) for _ in pivotal]
    with torch.no_grad():
        write_sink(model, windows, pivotal, words)
    return windows


@contextmanager
def quick(device: torch.device) -> Iterator[None]:
    """bfloat16 products, and on a CPU attention as plain products.

    On CPUs torch's fused attention is slower than these: 9 ms forward and 23 ms backward against 6
    and 9, for 16 streams of 64 queries and 512 keys on one core.
    """
    attention = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    with torch.autocast(device.type, torch.bfloat16), attention:
        yield


def predict(
    model: Soul, latent: Tensor, levels: Tensor, words: Tensor, sound: Tensor | None, past: Context
) -> Tensor:
    """The flow at each stream's own noise level [B]."""
    answer = model.dit(latent, levels * TIMESTEPS, words, sound, past)
    return answer.flow.float()  # type: ignore[no-any-return]


def start(model: Soul, peak: float, folder: Path, progress: Progress) -> Checkpoint:
    """The optimizer over what is learned, and where the stage is kept."""
    model.requires_grad_(False)
    parts = learned(model).requires_grad_(True)
    optimizer = torch.optim.AdamW(parts.parameters(), lr=peak, betas=(0.9, 0.98), weight_decay=1e-3)
    checkpoint = Checkpoint(folder / "state.pt", parts, optimizer, progress)
    checkpoint.resume()
    return checkpoint


def descend(checkpoint: Checkpoint, loss: Tensor, peak: float) -> None:
    """One optimizer step."""
    optimizer = checkpoint.optimizer
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(checkpoint.progress.fraction, peak)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(checkpoint.module.parameters(), 1.0)
    optimizer.step()


def keep(checkpoint: Checkpoint, model: Soul, show: Show | None) -> None:
    """Everything to go on from and to look at; the stage's random draws are not disturbed."""
    checkpoint.save()
    checkpoint.progress.plot()
    if show is not None:
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            show(model, checkpoint.path.parent / "samples.png")


def train_teacher(
    model: Soul,
    data: Latents,
    config: TeacherConfig,
    folder: Path,
    seed: int,
    show: Show | None = None,
) -> None:
    """Flow matching with the true past; one optimizer step a chunk."""
    torch.manual_seed(seed)
    nn.init.zeros_(model.dit.head.head.weight)
    progress = Progress("teacher", folder, config.length, every=100)
    checkpoint = start(model, config.peak, folder, progress)
    fresh = True
    for step in progress.run():
        rng = np.random.default_rng([seed, step])
        chunk = step % config.chunks
        if chunk == 0 or fresh:
            clips = draw_clips(data, rng, config.batch, config.chunks).to(model.device)
            prompts = [p if rng.random() > config.drop_words else "" for p in clips.prompts]
            with quick(model.device):
                windows = fresh_windows(model, clips.pivotal, model.words(prompts).detach())
            fresh = False
        with quick(model.device):
            sound = None if rng.random() < config.drop_sound else clips.heard(model, chunk)
            clean = clips.latents[:, chunk]
            loss = teach(model, windows, clean, sound, prompts, clips.weight[:, chunk])
        descend(checkpoint, loss, config.peak)
        with torch.no_grad(), quick(model.device):
            amount = config.disturb * torch.rand(len(clean), 1, 1, 1, device=clean.device)
            past = clean + amount * torch.randn_like(clean)
            remember(model, windows, past, model.words(prompts), clips.heard(model, chunk))
        progress.add(loss=loss.item())
        if (step + 1) % config.save_every == 0:
            keep(checkpoint, model, show)
    keep(checkpoint, model, show)


def teach(
    model: Soul,
    windows: list[Window],
    clean: Tensor,
    sound: Tensor | None,
    prompts: list[str],
    weight: Tensor,
) -> Tensor:
    """Flow-matching loss of one chunk at random noise levels, shifted as in sampling."""
    noise = torch.randn_like(clean)
    uniform = torch.rand(len(clean), device=clean.device)
    shift = model.config.shift
    levels = shift * uniform / (1 + (shift - 1) * uniform)
    mixed = torch.lerp(clean, noise, levels.view(-1, 1, 1, 1))
    flow = predict(model, mixed, levels, model.words(prompts), sound, gather(windows, model.config))
    return flow_matching(flow, noise, clean, weight)


@torch.no_grad()
def guide(
    teacher: Soul,
    latent: Tensor,
    levels: list[float],
    words: Tensor,
    sound: Tensor,
    past: Context,
    guidance: float,
) -> Tensor:
    """Euler steps of the teacher along `levels`, guided by sound."""
    for level, following in pairwise(levels):
        at = torch.full((len(latent),), level, device=latent.device)
        flow = predict(teacher, latent, at, words, sound, past)
        if guidance != 1.0:
            deaf = predict(teacher, latent, at, words, None, past)
            flow = deaf + guidance * (flow - deaf)
        latent = latent + (following - level) * flow
    return latent


def train_student(
    teacher: Soul,
    data: Latents,
    config: StudentConfig,
    folder: Path,
    seed: int,
    show: Show | None = None,
) -> Soul:
    """Distil the guided teacher into K steps along the student's own rollouts."""
    torch.manual_seed(seed)
    teacher.requires_grad_(False)
    student = deepcopy(teacher)
    progress = Progress("student", folder, config.length, every=50)
    checkpoint = start(student, config.peak, folder, progress)
    fresh = True
    for step in progress.run():
        rng = np.random.default_rng([seed, step])
        chunk = step % config.chunks
        with quick(teacher.device):
            if chunk == 0 or fresh:
                clips = draw_clips(data, rng, config.batch, config.chunks).to(teacher.device)
                words = teacher.words(clips.prompts)
                own = student.words(clips.prompts).detach()
                mine, held = (fresh_windows(student, clips.pivotal, own) for _ in range(2))
                theirs = fresh_windows(teacher, clips.pivotal, words)
                fresh = False
            noise = torch.randn_like(clips.pivotal)
            steps = 1 if rng.random() < config.one_step else student.config.steps
            sound = clips.heard(teacher, chunk), clips.heard(student, chunk)
            said = student.words(clips.prompts)
            loss, latent = distil(
                teacher, student, (theirs, mine), (words, said), sound, noise, steps,
                clips.weight[:, chunk], config,
            )  # fmt: skip
            strayed, near = mend(student, held, clips, chunk, said, sound[1])
        descend(checkpoint, loss + config.mend * strayed, config.peak)
        with torch.no_grad(), quick(teacher.device):
            follow(student, mine, latent, said, sound[1])
            follow(teacher, theirs, latent, words, sound[0])
            follow(student, held, near, said, sound[1])
        progress.add(loss=loss.item(), strayed=strayed.item())
        if (step + 1) % config.save_every == 0:
            keep(checkpoint, student, show)
    keep(checkpoint, student, show)
    return student


def follow(
    model: Soul, windows: list[Window], latent: Tensor, words: Tensor, sound: Tensor
) -> None:
    """A latent becomes the past as it does live: strays pulled back, keys and values written."""
    pulled, _ = model.codebook(latent.float())
    remember(model, windows, pulled, words, sound)


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
    latent, total = noise, torch.zeros((), device=noise.device)
    for i in range(steps):
        levels = fine[i * stride : (i + 1) * stride + 1]
        goal = guide(teacher, latent, levels, words[0], sound[0], theirs, config.guidance)
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
        tokens = torch.from_numpy(np.array(data.tokens[some])).float().to(device)
        lids = torch.from_numpy(data.lids[some]).to(device)
        levels = torch.full((len(truth),), level, device=device)
        with quick(device):
            words = student.words(data.prompts[some])
            pivotal = torch.from_numpy(np.array(data.pivotal[some])).float().to(device)
            windows = fresh_windows(student, pivotal, words)
            for n in range(length):
                mixed = torch.lerp(truth[:, n], torch.randn_like(truth[:, n]), level)
                past = gather(windows, student.config)
                heard = student.told(tokens[:, n], lids[:, n])
                flow = predict(student, mixed, levels, words, heard, past)
                clean = mixed - level * flow
                said[some, n] = clean.cpu().numpy()
                follow(student, windows, clean, words, heard)
