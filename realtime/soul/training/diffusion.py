"""Stage `teacher`: flow matching over encoded clips; and what every stage of the DiT shares.

All of them roll the model out chunk by chunk through the functions that serve live
(`soul.model.sample`). The teacher sees true latents, a little disturbed, as its past; `student` and
`matching` let a model see its own.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from soul.model.cues import TOKENS
from soul.model.dit import Block, copy_text_to_audio
from soul.model.sample import TIMESTEPS, Soul, remember, write_sink
from soul.model.window import Context, Window, empty_window, gather
from soul.training.checkpoint import Checkpoint
from soul.training.crew import ALONE, Crew, Share, trained
from soul.training.losses import flow_matching, region_weight
from soul.training.manner import reword
from soul.training.progress import Length, Progress, learning_rate

Show: TypeAlias = Callable[[Soul, Path], None]  # writes what a model says, to look at
GAINS = torch.tensor([8.0, 5.0, 5.0])  # mouth, eyes


@dataclass(frozen=True)
class Latents:
    """A bank as the DiT sees it, float16 on disk or in memory."""

    pivotal: NDArray[np.float16]  # [clips, references, C, h, w], the neutral portrait first
    latents: NDArray[np.float16]  # [clips, n, C, h, w]
    tokens: NDArray[np.float16]  # [clips, microphones, n, m, audio_dim], each of the same speech
    cues: NDArray[np.float32]  # [clips, n, 4, 11], see `soul.model.cues`
    boxes: NDArray[np.float32]  # [clips, n, 3, 4] in latent cells
    prompts: tuple[str, ...]
    reworded: bool = True  # prompts are of the world's phrases, to be told in others


@dataclass(frozen=True, slots=True)
class TeacherConfig:
    """Flow matching with sound and words dropped now and then, for guidance."""

    length: Length = Length(6600)
    batch: int = 16
    chunks: int = 10
    peak: float = 8e-4
    drop_both: float = 0.1  # share of chunks without sound and words: what guidance leads away from
    drop_sound: float = 0.05
    drop_words: float = 0.05
    overlap: int = 2  # latents of the clip that half of the rollouts start with, as in the paper
    warm_start: float = 0.08  # share of the stage without sound; then text layers become audio's
    disturb: float = 0.2  # largest deviation of the noise added to context latents
    forget: float = 0.5  # share of chunks that see no past but the sink: it would tell the mood
    save_every: int = 500


@dataclass(frozen=True, slots=True)
class Clips:
    """One batch of rollouts."""

    pivotal: Tensor
    latents: Tensor  # [B, chunks, C, h, w]
    tokens: Tensor  # [B, chunks, m, audio_dim]
    cues: Tensor  # [B, chunks, 4, 11]
    weight: Tensor  # [B, chunks, 1, h, w]
    prompts: list[str]

    def heard(self, model: Soul, chunk: int) -> Tensor:
        """What `model` is told of a chunk beside words: its sound and its cues."""
        return model.told(self.tokens[:, chunk], self.cues[:, chunk])

    def to(self, device: torch.device) -> "Clips":
        """The same on `device`."""
        return Clips(
            self.pivotal.to(device),
            self.latents.to(device),
            self.tokens.to(device),
            self.cues.to(device),
            self.weight.to(device),
            self.prompts,
        )


def learned(model: Soul) -> nn.ModuleList:
    """The parts that teacher and student learn: DiT, words, cues. The rest is left alone."""
    return nn.ModuleList([model.dit, model.text, *([] if model.cues is None else [model.cues])])


def draw_clips(
    data: Latents, rng: np.random.Generator, batch: int, chunks: int, share: Share = ALONE.share
) -> Clips:
    """Random stretches of `chunks` latents: of a batch that is drawn whole, the share's own."""
    clips, length = data.latents.shape[:2]
    which = rng.integers(clips, size=batch)
    reference = draw_references(rng, batch, data.pivotal.shape[1])
    starts = rng.integers(length - chunks + 1, size=batch)
    spans = [(c, slice(s, s + chunks)) for c, s in zip(which, starts, strict=True)]
    boxes = torch.from_numpy(np.stack([data.boxes[span] for span in spans]))
    weight = region_weight(boxes.flatten(0, 1), GAINS, *data.latents.shape[-2:])
    prompts = [data.prompts[c] for c in which]
    heard = rng.integers(data.tokens.shape[1], size=batch)
    sounds = [(c, m, span) for (c, span), m in zip(spans, heard, strict=True)]
    own = share.rows(batch)
    mine = spans[own]
    return Clips(
        torch.from_numpy(data.pivotal[which[own], reference[own]]).float(),
        torch.from_numpy(np.stack([data.latents[span] for span in mine])).float(),
        torch.from_numpy(np.stack([data.tokens[sound] for sound in sounds[own]])).float(),
        torch.from_numpy(np.stack([data.cues[span] for span in mine])),
        (weight / weight.mean()).unflatten(0, boxes.shape[:2])[own],
        ([reword(rng, p) for p in prompts] if data.reworded else prompts)[own],
    )


def draw_references(rng: np.random.Generator, batch: int, count: int) -> NDArray[np.int64]:
    """Which reference each stream starts from: half of them the portrait, else any other frame."""
    other = rng.integers(1, count, size=batch) if count > 1 else np.zeros(batch, np.int64)
    return np.where(rng.random(batch) < 0.5, 0, other)


def fresh_windows(
    model: Soul, pivotal: Tensor, words: Tensor, kind: torch.dtype = ALONE.precision
) -> list[Window]:
    """One window a stream with the pivotal latent as its sink; no gradients.

    In bfloat16, like the autocast products that read it: half as much to copy a step.
    """
    windows = [empty_window(model.config, model.device, kind) for _ in pivotal]
    with torch.no_grad():
        write_sink(model, windows, pivotal, words)
    return windows


@contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Random draws on `device` within this disturb nobody's outside."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield


@contextmanager
def quick(device: torch.device, kind: torch.dtype = ALONE.precision) -> Iterator[None]:
    """bfloat16 products, or float32 if `kind` says so; on a CPU attention as plain products.

    On CPUs torch's fused attention is slower than these: 9 ms forward and 23 ms backward against 6
    and 9, for 16 streams of 64 queries and 512 keys on one core.
    """
    attention = sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" else nullcontext()
    lower = torch.autocast(device.type, torch.bfloat16, enabled=kind != torch.float32)
    with lower, attention:
        yield


def predict(
    model: Soul, latent: Tensor, levels: Tensor, words: Tensor, sound: Tensor | None, past: Context
) -> Tensor:
    """The flow at each stream's own noise level [B]."""
    heard = None if sound is None else sound.unsqueeze(1)
    answer = model.dit(latent.unsqueeze(2), levels * TIMESTEPS, words, heard, past)
    return answer.flow.squeeze(2).float()  # type: ignore[no-any-return]


def start(
    model: Soul, peak: float, folder: Path, progress: Progress, crew: Crew = ALONE
) -> Checkpoint:
    """The optimizer over what is learned, and where the stage is kept."""
    model.requires_grad_(False)
    parts = crew.free(learned(model))
    optimizer = torch.optim.AdamW(trained(parts), lr=peak, betas=(0.9, 0.98), weight_decay=1e-3)
    return crew.checkpoint(folder, parts, optimizer, progress)


def descend(checkpoint: Checkpoint, loss: Tensor, peak: float) -> None:
    """One optimizer step."""
    for group in checkpoint.optimizer.param_groups:
        group["lr"] = learning_rate(checkpoint.progress.fraction, peak)
    checkpoint.learn(loss)


def keep(checkpoint: Checkpoint, model: Soul, show: Show | None) -> None:
    """Everything to go on from and to look at; the stage's random draws are not disturbed."""
    checkpoint.save()
    checkpoint.progress.plot()
    if show is not None:
        with undisturbed(model.device):
            show(model, checkpoint.path.parent / "samples.png")


def train_teacher(
    model: Soul,
    data: Latents,
    config: TeacherConfig,
    folder: Path,
    seed: int,
    show: Show | None = None,
    crew: Crew = ALONE,
) -> None:
    """Flow matching with the true past; one optimizer step a chunk."""
    torch.manual_seed(seed)
    progress = crew.progress("teacher", folder, config.length, every=100)
    lessons = Lessons(model, data, config, seed, folder, progress, crew)
    for step in progress.run():
        progress.add(loss=lessons.take(step))
        if (step + 1) % config.save_every == 0:
            keep(lessons.checkpoint, model, show)
    keep(lessons.checkpoint, model, show)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A batch of clips on its way: their windows, and how many latents were there before it."""

    clips: Clips
    windows: list[Window]
    lead: int


class Lessons:
    """The teacher's rollouts, one chunk and one optimizer step at a time.

    Clips follow from `seed` and the step's number, noise from torch's own generator.
    """

    def __init__(
        self,
        model: Soul,
        data: Latents,
        config: TeacherConfig,
        seed: int,
        folder: Path,
        progress: Progress,
        crew: Crew = ALONE,
    ) -> None:
        crew.begin(model)
        self.model = model
        self.data = data
        self.config = config
        self.seed = seed
        self.crew = crew
        self.checkpoint = start(model, config.peak, folder, progress, crew)
        self.warm = progress.fraction >= config.warm_start  # sound is heard
        self.rollout: Rollout | None = None

    def take(self, step: int) -> float:
        """One step; its loss."""
        rng = np.random.default_rng([self.seed, step])
        chunk = step % self.config.chunks
        if not self.warm and self.checkpoint.progress.fraction >= self.config.warm_start:
            copy_text_to_audio(self.model.dit)
            self.warm = True
        if chunk == 0 or self.rollout is None:
            self.rollout = self._begin(rng)
        return self._chunk(rng, self.rollout, self.rollout.lead + chunk)

    def _begin(self, rng: np.random.Generator) -> Rollout:
        lead = self.config.overlap * int(rng.random() < 0.5)
        chunks, share = self.config.chunks + lead, self.crew.share
        clips = draw_clips(self.data, rng, self.config.batch, chunks, share)
        clips = clips.to(self.model.device)
        return Rollout(clips, begin(self.model, clips, lead, self.crew.precision), lead)

    def _chunk(self, rng: np.random.Generator, rollout: Rollout, at: int) -> float:
        model, clips, windows = self.model, rollout.clips, rollout.windows
        clean, kind = clips.latents[:, at], self.crew.precision
        with quick(model.device, kind):
            told = clips.heard(model, at)
            sound, prompts = drop(self.config, rng, clips.prompts, told, self.crew.share)
            heard = unheard(model, told) if sound is None else sound
            heard = heard if self.warm else None
            past = forget(gather(windows, model.config), self.config.forget)
            loss = teach(model, past, clean, heard, prompts, clips.weight[:, at])
        descend(self.checkpoint, loss, self.config.peak)
        amount = self.config.disturb * torch.rand(len(clean), 1, 1, 1, device=clean.device)
        keep_true(model, windows, clips, at, clean + amount * torch.randn_like(clean), kind)
        return self.crew.mean(loss)


def unheard(model: Soul, told: Tensor) -> Tensor | None:
    """What is left of what streams are told [B, m, audio_dim] without their sound: their cues.

    None where there are none. Guidance leads away from this: how a head is held is told exactly,
    and to be led farther would be another pose.
    """
    return None if model.cues is None else told[:, -TOKENS:]


def forget(past: Context, share: float) -> Context:
    """`past` with the ring hidden from a random `share` of the streams; the sink stays.

    Who sees a clip's past sees its mood, and has no need of the words that ask for it.
    """
    tokens = past.turn.shape[2]
    kept = torch.rand(len(past.visible), 1, 1, 1, device=past.visible.device) >= share
    visible = past.visible.clone()
    visible[..., tokens:-tokens] &= kept
    return replace(past, visible=visible)


def teach(
    model: Soul,
    past: Context,
    clean: Tensor,
    sound: Tensor | None,
    prompts: list[str],
    weight: Tensor,
) -> Tensor:
    """Flow-matching loss of one chunk at random noise levels."""
    noise = torch.randn_like(clean)
    levels = draw_levels(model.config.shift, clean)
    mixed = torch.lerp(clean, noise, levels.view(-1, 1, 1, 1))
    flow = predict(model, mixed, levels, model.words(prompts), sound, past)
    return flow_matching(flow, noise, clean, weight)


def draw_levels(shift: float, like: Tensor) -> Tensor:
    """Noise levels [B] for the batch of `like`, shifted as in sampling."""
    uniform = torch.rand(len(like), device=like.device)
    return shift * uniform / (1 + (shift - 1) * uniform)


def begin(
    model: Soul, clips: Clips, lead: int, kind: torch.dtype = ALONE.precision
) -> list[Window]:
    """Windows with their sinks and the first `lead` latents of the clips, as they are."""
    with torch.no_grad(), quick(model.device, kind):
        windows = fresh_windows(model, clips.pivotal, model.words(clips.prompts), kind)
    for n in range(lead):
        keep_true(model, windows, clips, n, clips.latents[:, n], kind)
    return windows


def keep_true(
    model: Soul,
    windows: list[Window],
    clips: Clips,
    chunk: int,
    past: Tensor,
    kind: torch.dtype = ALONE.precision,
) -> None:
    """`past` [B, C, h, w] becomes context as chunk `chunk`, with all that was said and heard."""
    with torch.no_grad(), quick(model.device, kind):
        words, heard = model.words(clips.prompts), clips.heard(model, chunk)
        remember(model, windows, past.unsqueeze(2), words, heard.unsqueeze(1))


def blocks_of(model: Soul) -> list[Block]:
    """The DiT's blocks by their type, which a module list does not tell."""
    return [cast(Block, block) for block in model.dit.blocks]


def drop(
    config: TeacherConfig,
    rng: np.random.Generator,
    prompts: list[str],
    sound: Tensor,
    share: Share = ALONE.share,
) -> tuple[Tensor | None, list[str]]:
    """One chunk's sound and prompts, one or both left out now and then.

    Drawn for the whole batch, of which `prompts` and `sound` are the share's own.
    """
    draw = rng.random()
    both = draw < config.drop_both
    deaf = both or draw < config.drop_both + config.drop_sound
    whole = prompts * share.of
    kept = [p if rng.random() >= config.drop_words and not both else "" for p in whole]
    return None if deaf else sound, kept[share.rows(len(whole))]


@dataclass(frozen=True, slots=True)
class Guidance:
    """How far a teacher is led away from what it says without sound and words, though told how the
    face is held; 1: not at all."""

    scale: float
    silent: Tensor  # [B, length, text_dim], the empty prompt's words


def silence(model: Soul, batch: int) -> Tensor:
    """The empty prompt's words [B, length, text_dim], without gradient."""
    with torch.no_grad():
        return model.words([""]).expand(batch, -1, -1)


@torch.no_grad()
def guide(
    teacher: Soul,
    latent: Tensor,
    levels: list[float],
    words: Tensor,
    sound: Tensor,
    past: Context,
    guidance: Guidance,
) -> Tensor:
    """Euler steps of the teacher along `levels`, guided by sound and words together."""
    for level, following in pairwise(levels):
        at = torch.full((len(latent),), level, device=latent.device)
        flow = guided_flow(teacher, latent, at, words, sound, past, guidance)
        latent = latent + (following - level) * flow
    return latent


def guided_flow(
    teacher: Soul,
    latent: Tensor,
    levels: Tensor,
    words: Tensor,
    sound: Tensor,
    past: Context,
    guidance: Guidance,
) -> Tensor:
    """The guided flow at each stream's own noise level [B]."""
    flow = predict(teacher, latent, levels, words, sound, past)
    if guidance.scale == 1.0:
        return flow
    alone = predict(teacher, latent, levels, guidance.silent, unheard(teacher, sound), past)
    return alone + guidance.scale * (flow - alone)
