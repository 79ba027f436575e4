"""Is it worth starting audio layers as copies of text layers? Two teachers, told of it or not.

They are twins: the same first weights, clips and noise, one step after the other in one process.
One learns as the recipe says (some steps without sound, then its text layers become its audio
layers), the other hears sound from its first step through audio layers that start at random.
What they learn is thrown away; curves are kept. Knows no runs and no command line.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from soul.model.sample import Soul, build
from soul.model.window import gather
from soul.training.diffusion import (
    Clips,
    Latents,
    Lessons,
    TeacherConfig,
    begin,
    draw_clips,
    keep_true,
    quick,
    teach,
    undisturbed,
)
from soul.training.progress import Length, Progress

WARM, COLD = "warm start", "random start"
TRAINING, HELD_OUT, DEAF = "training", "held out", "held out, without sound"
Curve = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class TwinConfig:
    """How long both learn, and how they are watched."""

    steps: int = 1000
    every: int = 25  # steps that a point of the training's curve is the mean of
    look: int = 50  # steps from one look at the held-out clips to the next
    held_out: int = (
        24  # clips at the bank's end that neither learns from; a quarter, if that's less
    )
    chunks: int = 4  # of each that are looked at
    seed: int = 0


@dataclass(frozen=True)
class Twin:
    """One of the two, and what was seen of it: curves of loss by `TRAINING`, `HELD_OUT`, `DEAF`."""

    name: str
    model: Soul
    lessons: Lessons
    progress: Progress
    seen: dict[str, Curve]

    @property
    def curves(self) -> dict[str, Curve]:
        """Training's loss as means over `TwinConfig.every` steps, held-out losses as they were."""
        return {TRAINING: self.progress.curves["loss"], **self.seen}


def parted(data: Latents, held_out: int) -> tuple[Latents, Latents]:
    """What is learned from, and the last `held_out` clips or quarter of the bank.

    Raises ValueError if the bank has fewer than four clips.
    """
    clips = len(data.prompts)
    if clips < 4:
        raise ValueError(f"the bank has {clips} clips, expected at least 4 to hold one out")
    first = clips - min(held_out, clips // 4)
    return part(data, slice(first)), part(data, slice(first, None))


def part(data: Latents, which: slice) -> Latents:
    """Some of the clips; nothing is copied."""
    return Latents(
        data.pivotal[which],
        data.latents[which],
        data.tokens[which],
        data.cues[which],
        data.boxes[which],
        data.prompts[which],
    )


def twins(
    model: Soul, data: Latents, teacher: TeacherConfig, config: TwinConfig, folder: Path
) -> tuple[Twin, Twin]:
    """Both before their first step, with sizes and device of `model`; `folder` is TensorBoard's."""
    teacher = replace(teacher, length=Length(config.steps))

    def twin(name: str, how: TeacherConfig) -> Twin:
        fresh = build(model.config, config.seed).to(model.device).train()
        place = folder / name.replace(" ", "_")
        progress = Progress(name, place, how.length, every=config.every)
        lessons = Lessons(fresh, data, how, config.seed, place, progress)
        return Twin(name, fresh, lessons, progress, {HELD_OUT: [], DEAF: []})

    return twin(WARM, teacher), twin(COLD, replace(teacher, warm_start=0.0))


def compare(
    model: Soul, data: Latents, teacher: TeacherConfig, config: TwinConfig, folder: Path
) -> tuple[Twin, Twin]:
    """Train both. Raises ValueError if there are too few clips to hold some out."""
    learned_from, held_out = parted(data, config.held_out)
    chunks = min(config.chunks, data.latents.shape[1])
    rng = np.random.default_rng([config.seed, 1])
    clips = draw_clips(held_out, rng, len(held_out.prompts), chunks).to(model.device)
    both = twins(model, learned_from, teacher, config, folder)
    for step, _ in zip(*(twin.progress.run() for twin in both), strict=True):
        for twin in both:
            torch.manual_seed((config.seed << 32) + step)  # the same noise for both
            twin.progress.add(loss=twin.lessons.take(step))
        if (step + 1) % config.look == 0 or step + 1 == config.steps:
            for twin in both:
                look(twin, clips, step + 1, config.seed)
    for twin in both:
        if twin.progress.pending:
            twin.progress.report()
    return both


def look(twin: Twin, clips: Clips, step: int, seed: int) -> None:
    """Write down its losses on `clips`; before it hears, sound would only disturb it."""
    deaf = held_out_loss(twin.model, clips, seed, heard=False)
    heard = held_out_loss(twin.model, clips, seed, heard=True) if twin.lessons.warm else deaf
    twin.seen[HELD_OUT].append((step, heard))
    twin.seen[DEAF].append((step, deaf))


@torch.no_grad()
def held_out_loss(model: Soul, clips: Clips, seed: int, heard: bool) -> float:
    """The flow-matching loss over all chunks of `clips`, at noise that follows from `seed`."""
    found = []
    with of_its_own(model, seed):
        windows = begin(model, clips, 0)
        for chunk in range(clips.latents.shape[1]):
            clean = clips.latents[:, chunk]
            with quick(model.device):
                sound = clips.heard(model, chunk) if heard else None
                weight = clips.weight[:, chunk]
                past = gather(windows, model.config)
                loss = teach(model, past, clean, sound, clips.prompts, weight)
            found.append(loss.item())
            keep_true(model, windows, clips, chunk, clean)
    return float(np.mean(found))


@contextmanager
def of_its_own(model: Soul, seed: int) -> Iterator[None]:
    """Random draws that follow from `seed` and disturb nobody's."""
    with undisturbed(model.device):
        torch.manual_seed(seed)
        yield


def reached(curve: Curve, loss: float) -> int | None:
    """The first step at which a curve is as low as `loss`, None if it never is."""
    return next((step for step, value in curve if value <= loss), None)


def verdict(warm: Twin, cold: Twin) -> dict[str, dict[str, dict[str, float | int | None]]]:
    """For each curve and each twin: the loss at the end, and the step that met the other's end."""
    found: dict[str, dict[str, dict[str, float | int | None]]] = {}
    for name in (TRAINING, HELD_OUT, DEAF):
        found[name] = {
            one.name: {
                "final": one.curves[name][-1][1],
                "steps_to_the_others_final": reached(one.curves[name], other.curves[name][-1][1]),
            }
            for one, other in ((warm, cold), (cold, warm))
        }
    return found


def draw(both: tuple[Twin, Twin], path: Path) -> None:
    """curves.png: the training's loss, the held-out one, and what of that one sound explains."""
    figure = Figure(figsize=(14, 4))
    panels = figure.subplots(1, 3)
    figure.subplots_adjust(0.05, 0.13, 0.98, 0.9, 0.2)
    for twin in both:
        for axis, name in zip(panels, (TRAINING, HELD_OUT), strict=False):
            axis.plot(*zip(*twin.curves[name], strict=True), label=twin.name, linewidth=1.2)
        steps, worth = zip(*worth_of_sound(twin), strict=True)
        panels[2].plot(steps, worth, label=twin.name, linewidth=1.2)
    titles = ("flow-matching loss in training", "on held-out clips", "without sound, less with it")
    for axis, title in zip(panels, titles, strict=True):
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def worth_of_sound(twin: Twin) -> Curve:
    """By how much sound lowers the held-out loss."""
    pairs = zip(twin.seen[HELD_OUT], twin.seen[DEAF], strict=True)
    return [(step, deaf - heard) for (step, heard), (_, deaf) in pairs]
