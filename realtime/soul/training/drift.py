"""One stream for hours, faster than real time: does the person in it stay who they were?

Every minute of the live rollout hears a fresh held-out take of speech and pauses, whose mouth is
known; minutes are compared with the first. Of each minute only figures stay, and one picture a
second until they are computed, so a day takes no more memory than an hour. Knows no files.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soul.measure.identity import cosine_distance
from soul.measure.lips import best_lag, closure_in_silence
from soul.measure.picture import delta_e2000, sharpness, tint_e2000
from soul.measure.trend import trend
from soul.model.config import SoulConfig
from soul.model.sample import Soul, StreamState, advance, cut
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT
from soul.training.figures import CLOSED, speaks
from soul.training.identity import Embedding
from soul.training.motion import COLUMN
from soul.training.performance import perform
from soul.training.probe import Probe
from soul.training.variants import Pulls, Seconds, Watched, moment
from soul.training.world import Artist, draw_identity
from soul.training.world.parts import Parts, parts

Pictures = NDArray[np.uint8]
Curve = NDArray[np.float32]
Compare: TypeAlias = Callable[[Pictures, Pictures, NDArray[np.bool_] | None], float]

CHUNKS_A_MINUTE = 60 * FRAME_RATE // FRAMES_PER_LATENT
EVERY = 6  # one chunk's first picture of so many is kept: about one a second
_DISTANCE = "identity_distance_to_portrait"


@dataclass(frozen=True, slots=True)
class DriftConfig:
    """How long, and whose. Seeds far from training's and from `TrialConfig`'s."""

    minutes: int = 10
    seed: int = 130_001
    chunks: int = CHUNKS_A_MINUTE  # what counts as a minute

    @property
    def frames(self) -> int:
        return self.chunks * FRAMES_PER_LATENT


@dataclass(frozen=True)
class Subject:
    """Who is shown. `parts` is None for a portrait that was not drawn here: it has no masks."""

    name: str
    portrait: Pictures  # [H, W, 3]
    parts: Parts | None = None


@dataclass(frozen=True)
class Judges:
    """The trained eyes that look at the pictures."""

    probe: Probe
    embedding: Embedding


@dataclass(frozen=True)
class Take:
    """One minute of sound, and what the mouth does in it."""

    pcm: Curve  # [640 * frames] at 16 kHz
    opening: Curve  # [frames]
    silent: NDArray[np.bool_]  # [frames]


@dataclass(frozen=True)
class Seen:
    """What is kept of one minute until its figures are known."""

    pictures: Pictures  # [n, H, W, 3], about one a second
    opening: Curve  # [frames], as the probe reads it
    pulls: Pulls
    seconds: float  # that the rollout took


@dataclass(frozen=True)
class First:
    """What every minute is held against."""

    median: Pictures  # [H, W, 3], knows no mouth and no blink
    vector: Curve  # [64], who it is


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute's figures; a figure that it does not have is nan.

    `delta_e` compares its median picture with the first minute's pixel by pixel, CIEDE2000, and so
    answers to pose too; `tint` compares mean colours. Both tell the picture and, of a drawn person,
    each part. Distances are 1 − cosine of the identity embedding.
    """

    minute: int  # from 1
    identity_distance: float  # to the first minute
    identity_distance_to_portrait: float
    delta_e: dict[str, float]
    tint: dict[str, float]
    delta_e_to_portrait: float
    sharpness: float
    change: float  # mean absolute difference of pictures about a second apart, grey levels
    pulled_back: float  # share of all cells
    pull_size: float  # mean distance that a pulled cell was moved by, in latent units
    lip_correlation: float
    lip_lag_frames: int
    closed_in_silence: float
    codebook_share: float  # of the time that the rollout took
    realtime_factor: float


def drawn_subject(config: DriftConfig, size: int) -> Subject:
    """The person of the world that `config.seed` stands for."""
    identity = draw_identity(np.random.default_rng([config.seed, 0]))
    name = f"drawn person {config.seed}"
    return Subject(name, Artist(identity, size).portrait(), parts(identity, size))


def take(config: DriftConfig, minute: int) -> Take:
    """The held-out take of a minute, from 0; drawn anew until somebody speaks in it.

    Raises SpeechError without voices.
    """
    for attempt in count():
        rng = np.random.default_rng([config.seed, 1 + minute, attempt])
        found = perform(rng, config.frames / FRAME_RATE, "held_out")
        opening = found.motion[:, COLUMN["mouth_open"]].copy()
        if speaks(opening):
            break
    return Take(found.pcm.astype(np.float32), opening, found.silent)


class Takes:
    """The takes of a stream in order, without a seam: each hears the end of the one before."""

    def __init__(self, config: DriftConfig, minute: int = 0) -> None:
        self._config = config
        self._minute = minute
        self._now = take(config, minute)
        before = take(config, minute - 1).pcm if minute else np.zeros_like(self._now.pcm)
        self._before: Curve = before

    def next(self, model: SoulConfig) -> tuple[Take, Tensor]:
        """The next minute's take and its chunks' windows [chunks, window_samples]."""
        self._minute += 1
        following, now = take(self._config, self._minute), self._now
        sound = np.concatenate((self._before, now.pcm, following.pcm))
        chunks = self._config.chunks
        windows = cut(model, torch.from_numpy(sound))[chunks : 2 * chunks]
        self._before, self._now = now.pcm, following
        return now, windows


@torch.inference_mode()
def live_minute(
    model: Soul, state: StreamState, windows: Tensor, probe: Probe, seconds: Seconds
) -> Seen:
    """One minute more of a stream whose model has a `Watched` codebook."""
    watched = watched_of(model)
    watched.tell()  # what came before is not this minute's
    pictures, opening, spent = [], [], 0.0
    for chunk, window in enumerate(windows.to(model.device)):
        began = moment(seconds, model.device)
        shown = advance(model, [state], window.unsqueeze(0))[0]
        spent += moment(seconds, model.device) - began
        frames = shown.cpu().numpy()
        opening.append(probe.read(frames).mouth_open)
        if chunk % EVERY == 0:
            pictures.append(frames[0])
    return Seen(np.stack(pictures), np.concatenate(opening), watched.tell(), spent)


def watched_of(model: Soul) -> Watched:
    """The codebook of a model that is measured; TypeError if it is a plain one."""
    if not isinstance(model.codebook, Watched):
        raise TypeError(f"the codebook is a {type(model.codebook).__name__}, expected Watched")
    return model.codebook


def first_of(seen: Seen, embedding: Embedding) -> First:
    """What the other minutes are held against, from the first."""
    return First(median_of(seen), embedding.mean(seen.pictures))


def median_of(seen: Seen) -> Pictures:
    """A minute's picture [H, W, 3] without its moments."""
    median: Pictures = np.median(seen.pictures, 0).astype(np.uint8)
    return median


def figures(
    minute: int, seen: Seen, said: Take, subject: Subject, embedding: Embedding, first: First
) -> Minute:
    """The figures of one minute, from 1."""
    median, vector = median_of(seen), embedding.mean(seen.pictures)
    portrait = embedding.mean(subject.portrait[None])
    lag = best_lag(said.opening, seen.opening)
    still = seen.pictures.astype(np.int16)
    return Minute(
        minute=minute,
        identity_distance=cosine_distance(first.vector, vector),
        identity_distance_to_portrait=cosine_distance(portrait, vector),
        delta_e=by_part(delta_e2000, first.median, median, subject.parts),
        tint=by_part(tint_e2000, first.median, median, subject.parts),
        delta_e_to_portrait=delta_e2000(subject.portrait, median),
        sharpness=float(np.mean([sharpness(picture) for picture in seen.pictures[::5]])),
        change=float(np.abs(np.diff(still, axis=0)).mean()) if len(still) > 1 else float("nan"),
        pulled_back=seen.pulls.share,
        pull_size=seen.pulls.size,
        lip_correlation=lag.correlation,
        lip_lag_frames=lag.frames,
        closed_in_silence=closure_in_silence(seen.opening, said.silent, CLOSED),
        codebook_share=seen.pulls.seconds / seen.seconds,
        realtime_factor=seen.seconds * FRAME_RATE / len(seen.opening),
    )


def by_part(
    measure: Compare, first: Pictures, second: Pictures, found: Parts | None
) -> dict[str, float]:
    """`measure` over the whole picture, and over each part if they are known."""
    masks = {} if found is None else asdict(found)
    everywhere = {"picture": None, **masks}
    return {name: measure(first, second, mask) for name, mask in everywhere.items()}


def flat(minute: Minute) -> dict[str, float]:
    """A minute's figures by dotted names, without its number."""
    found: dict[str, float] = {}
    for name, value in asdict(minute).items():
        if isinstance(value, dict):
            found |= {f"{name}.{part}": inner for part, inner in value.items()}
        elif name != "minute":
            found[name] = float(value)
    return found


def summary(minutes: list[Minute], chunks: int = CHUNKS_A_MINUTE) -> dict[str, Any]:
    """First and last minute of at least two, and each figure's slope an hour.

    Slopes are over minutes 2 to the last: the first is what the others are held against. `seen` is
    whether a slope is more than two standard errors from zero. Likeness is 1 − distance. `chunks`
    make a minute.
    """
    first, last = flat(minutes[0]), flat(minutes[-1])
    rows = [flat(minute) for minute in minutes[1:]]
    hour = 60 * CHUNKS_A_MINUTE / chunks
    at = [minute.minute / hour for minute in minutes[1:]]
    trends = {name: trend(at, [row[name] for row in rows]) for name in first}
    return {
        "first_minute": first,
        "last_minute": last,
        "last_over_first": {
            "likeness_to_portrait": (1 - last[_DISTANCE]) / (1 - first[_DISTANCE]),
            "sharpness": last["sharpness"] / first["sharpness"],
        },
        "slope_per_hour": {
            name: {"slope": found.slope, "error": found.error, "seen": found.seen}
            for name, found in trends.items()
        },
    }
