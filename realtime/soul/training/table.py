"""The paper's table: what distillation and the light decoder save, and what they cost in quality.

Three ways to say the same held-out takes: the teacher with many guided steps and the full decoder,
the student with that decoder, the student with the light one; and the last with other numbers of
steps. Times come from a clock that is handed in; pictures are judged as in `evaluate`, and by the
eye that tells people apart.
"""

from collections.abc import Callable, Sequence
from copy import copy, deepcopy
from dataclasses import astuple, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from soul.measure.identity import cosine_distance
from soul.measure.lips import best_lag, closure_in_silence
from soul.measure.picture import psnr, sharpness, ssim
from soul.model.sample import Soul, StreamState, advance
from soul.timebase import FRAMES_PER_LATENT
from soul.training.baseline import advance_guided
from soul.training.figures import CLOSED, mean_of_known, speaks
from soul.training.identity import Embedding
from soul.training.probe import Probe, readings_of
from soul.training.student import COUNTS
from soul.training.takes import Actor, Frames, Step, draw_scene, drawn, live

Clock = Callable[[], float]
EVERY = FRAMES_PER_LATENT  # one picture a chunk is compared as a picture


@dataclass(frozen=True, slots=True)
class TableConfig:
    """How much is said in each way."""

    takes: int = 4
    chunks: int = 40  # 6.4 s a take
    steps: int = 25  # of the baseline, as in the paper
    guidance: float = 1.7
    seed: int = 140_001


@dataclass(frozen=True, slots=True)
class Quality:
    """What pictures are worth. Means over takes; `identity` is a cosine to the portrait."""

    mouth_correlation: float
    closed_in_silence: float
    identity: float
    psnr: float  # dB, against the world's own renders, whose poses are others
    ssim: float
    sharpness: float  # against the portrait's


@dataclass(frozen=True, slots=True)
class Row:
    """One way: the median time of a chunk of 160 ms, how often it goes into the first row's, ..."""

    name: str
    chunk_ms: float
    speedup: float
    quality: Quality


class Timed:
    """A step whose time is taken; the first of each stream, which warms up, is left out."""

    def __init__(self, step: Step, clock: Clock) -> None:
        self.step = step
        self.clock = clock
        self.seconds: list[float] = []

    def __call__(self, model: Soul, states: Sequence[StreamState], pcm: Tensor) -> Tensor:
        began = self.clock()
        first = states[0].chunk == 0
        pictures = self.step(model, states, pcm)
        if not first:
            self.seconds.append(self.clock() - began)
        return pictures

    @property
    def chunk_ms(self) -> float:
        """The median."""
        return 1000.0 * float(np.median(self.seconds))


def quality(actor: Actor, probe: Probe, eye: Embedding, config: TableConfig) -> Quality:
    """What an actor's pictures of all takes are worth."""
    found = [judge(actor, probe, eye, config, number) for number in range(config.takes)]
    columns = zip(*(astuple(one) for one in found), strict=True)
    return Quality(*(mean_of_known(list(column)) for column in columns))


def judge(actor: Actor, probe: Probe, eye: Embedding, config: TableConfig, number: int) -> Quality:
    """One take's."""
    scene, take = draw_scene(config.seed, number, config.chunks * FRAMES_PER_LATENT)
    pictures, renders = actor(scene).pictures, drawn(scene).pictures
    portrait = scene.artist.portrait()
    truth, seen = readings_of(take.motion).mouth_open, probe.read(pictures).mouth_open
    return Quality(
        mouth_correlation=best_lag(truth, seen).correlation if speaks(truth) else float("nan"),
        closed_in_silence=closure_in_silence(seen, take.silent, CLOSED),
        identity=1.0 - cosine_distance(eye.mean(portrait[None]), eye.mean(pictures[::EVERY])),
        psnr=pairwise(psnr, pictures, renders),
        ssim=pairwise(ssim, pictures, renders),
        sharpness=float(np.mean([sharpness(p) for p in pictures[::EVERY]])) / sharpness(portrait),
    )


def pairwise(
    measure: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float], first: Frames, second: Frames
) -> float:
    """The mean of a measure of two pictures, one pair a chunk."""
    pairs = zip(first[::EVERY], second[::EVERY], strict=True)
    return float(np.mean([measure(a, b) for a, b in pairs]))


@dataclass(frozen=True)
class Way:
    """A name, a model and a step of it."""

    name: str
    model: Soul
    step: Step


def ways(student: Soul, teacher: Soul, config: TableConfig) -> tuple[Way, ...]:
    """The paper's three: baseline, + distillation, + light decoder; and the last in other steps.

    `teacher` paints in full.
    """

    def guided(model: Soul, states: Sequence[StreamState], pcm: Tensor) -> Tensor:
        return advance_guided(model, states, pcm, config.steps, config.guidance)

    distilled = deepcopy(student)
    distilled.decoder = teacher.decoder
    return (
        Way(f"baseline: {config.steps} guided steps, full decoder", teacher, guided),
        Way(f"+ distillation: {student.config.steps} steps, no guidance", distilled, advance),
        Way("+ light decoder", student, advance),
        *(
            Way(f"+ light decoder, K = {count}", paced(student, count), advance)
            for count in COUNTS
            if count != student.config.steps
        ),
    )


def paced(student: Soul, steps: int) -> Soul:
    """The same weights, serving with another number of steps."""
    other = copy(student)
    other.config = replace(student.config, steps=steps)
    return other


def table(
    some: Sequence[Way], probe: Probe, eye: Embedding, config: TableConfig, clock: Clock
) -> list[Row]:
    """One row a way; speedups are against the first."""
    rows: list[Row] = []
    for way in some:
        step = Timed(way.step, clock)
        worth = quality(live(way.model, step), probe, eye, config)
        base = rows[0].chunk_ms if rows else step.chunk_ms
        rows.append(Row(way.name, step.chunk_ms, base / step.chunk_ms, worth))
    return rows


def worst_loss(row: Row, baseline: Row) -> float:
    """By what share of the baseline's the worst figure of quality is below it; 0 if none is."""
    pairs = zip(astuple(row.quality), astuple(baseline.quality), strict=True)
    losses = [float((b - a) / abs(b)) for a, b in pairs if a == a and b == b]
    return max(0.0, *losses)
