"""Does a face do what its prompt asked? A judge a side, trained on the world's own motion.

A judge sees what the probe reads from pictures, as statistics over a take, and names the value of
one side of a manner (`manner.SIDES`). It is trained on drawn motion, where the manner is known,
misread as the probe misreads it, and never on what a model made. It reads no pictures itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from torch.nn import functional as F

from soul.model.cues import Glances
from soul.model.manner import Manner, mood
from soul.timebase import FRAME_RATE
from soul.training.figures import speaks
from soul.training.life import live
from soul.training.manner import SIDES
from soul.training.motion import COLUMN, Motion
from soul.training.performance import perform
from soul.training.probe import VISIBLE, Probe, readings_of
from soul.training.sight import CHANNELS, Sight, misread, sight_of
from soul.training.speech import Pcm

# What tells the values of a side apart, and no more: a judge of the eyes who looks at smiles too
# learns what a few drawn takes happen to have in common.
LOOKS_AT: dict[str, tuple[str, ...]] = {
    "expression": ("smile", "brows", "eye_open"),
    "energy": ("yaw", "pitch", "roll"),
    "head": ("yaw", "pitch", "roll"),
    "gaze": ("gaze_x", "gaze_y", "eye_open"),
}
_FARTHEST = 4.0  # deviations from the mean beyond which a statistic says no more
_JUDGES = 90_000  # what a judge learns from is none of the takes that it judges


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """How the judges learn."""

    takes: int = 100  # drawn a value
    tests: int = 25  # fresh ones a value, to say how often a judge is right
    seconds: float = 9.6
    voices: int = 24  # spoken takes of training's voices, which the drawn heads nod along with
    people: int = 16  # whose renders tell how the probe errs
    steps: int = 400
    rate: float = 0.05


@dataclass(frozen=True)
class Material:
    """What judges are trained with: how the probe errs, and clean voices [n] to move along with."""

    sight: Sight
    voices: Sequence[Pcm]


def gather(probe: Probe, rng: np.random.Generator, config: JudgeConfig) -> Material:
    """All that is needed to train judges for a probe. Raises SpeechError without voices."""
    return Material(sight_of(probe, rng, config.people), draw_voices(rng, config))


def draw_voices(rng: np.random.Generator, config: JudgeConfig) -> list[Pcm]:
    """Clean sound of training's voices, in all of which somebody speaks."""
    voices: list[Pcm] = []
    while len(voices) < config.voices:
        take = perform(rng, config.seconds, "train")
        if speaks(take.motion[:, COLUMN["mouth_open"]]):
            voices.append(take.clean)
    return voices


def seen(motion: Motion) -> dict[str, NDArray[np.float32]]:
    """The channels of a motion [frames, 17] that a judge is told, each [frames]."""
    told = asdict(readings_of(motion))
    return {name: told[name] for name in CHANNELS}


def statistics(channels: Mapping[str, ArrayLike], side: str) -> NDArray[np.float32]:
    """What a judge of `side` is told of curves [frames]: six values for each that it looks at.

    Median and its size, spread, size, slow and quick motion. Lids hide where the eyes look: there
    the gaze goes straight to where it is seen again.
    """
    found = []
    open_ = np.asarray(channels["eye_open"]) > VISIBLE
    for name in LOOKS_AT[side]:
        curve = np.asarray(channels[name], np.float64)
        if name.startswith("gaze"):
            curve = bridged(curve, open_)
        slow = gaussian_filter1d(curve, 4.0)
        middle = float(np.median(curve))
        found += [middle, abs(middle), curve.std(), np.abs(curve).mean(), slow.std()]
        found.append(np.abs(np.diff(gaussian_filter1d(curve, 1.5))).mean() * FRAME_RATE)
    return np.array(found, np.float32)


def bridged(curve: NDArray[np.float64], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """A curve [frames] as it is where it is known, straight in between; 0 if it never is."""
    at = np.arange(curve.size)
    return np.interp(at, at[known], curve[known]) if known.any() else np.zeros_like(curve)


@dataclass(frozen=True)
class Judge:
    """A linear classifier of one side over standardised statistics."""

    side: str
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weight: NDArray[np.float32]  # [features, values]
    bias: NDArray[np.float32]

    def name(self, channels: Mapping[str, ArrayLike]) -> str:
        """The value that a take's curves show."""
        score = self.scores(statistics(channels, self.side))
        return list(SIDES[self.side])[int(np.argmax(score))]

    def scores(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Statistics [..., features] → how much they speak for each value [..., values]."""
        far = np.clip((rows - self.mean) / self.scale, -_FARTHEST, _FARTHEST)
        return np.asarray(far @ self.weight + self.bias, np.float32)


def train_judges(
    probe: Probe, seed: int, config: JudgeConfig, sides: Sequence[str]
) -> tuple[dict[str, Judge], dict[str, float]]:
    """Judges of `sides` for what a probe reads, and how often each is right on drawn motion."""
    rng = np.random.default_rng([seed, _JUDGES])
    material = gather(probe, rng, config)
    judges = {side: train_judge(rng, side, config, material) for side in sides}
    right = {side: accuracy(judge, rng, config, material) for side, judge in judges.items()}
    return judges, right


def asked(side: str, value: str) -> Manner:
    """The manner of somebody who is asked for nothing but `value`."""
    return replace(Manner(), **{side: value})


def train_judge(
    rng: np.random.Generator, side: str, config: JudgeConfig, material: Material
) -> Judge:
    """A judge of `side`: multinomial logistic regression on drawn takes."""
    rows, labels = draw_takes(rng, side, config, material, config.takes)
    mean, scale = rows.mean(0), rows.std(0) + 1e-3
    inputs, wanted = torch.from_numpy((rows - mean) / scale), torch.from_numpy(labels)
    weight = torch.zeros(rows.shape[1], len(SIDES[side]), requires_grad=True)
    bias = torch.zeros(len(SIDES[side]), requires_grad=True)
    optimizer = torch.optim.AdamW([weight, bias], config.rate, weight_decay=0.1)
    for _ in range(config.steps):
        optimizer.zero_grad()
        F.cross_entropy(inputs @ weight + bias, wanted).backward()
        optimizer.step()
    return Judge(side, mean, scale, weight.detach().numpy(), bias.detach().numpy())


def accuracy(
    judge: Judge, rng: np.random.Generator, config: JudgeConfig, material: Material
) -> float:
    """The share of fresh drawn takes whose value the judge names."""
    rows, labels = draw_takes(rng, judge.side, config, material, config.tests)
    return float(np.mean(np.argmax(judge.scores(rows), 1) == labels))


def draw_takes(
    rng: np.random.Generator, side: str, config: JudgeConfig, material: Material, takes: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Statistics [n, features] of drawn motion as a probe reads it, `takes` a value; and values."""
    frames = round(config.seconds * FRAME_RATE)
    rows, labels = [], []
    for label, value in enumerate(SIDES[side]):
        for _ in range(takes):
            voice = material.voices[int(rng.integers(len(material.voices)))]
            glances = np.array(Glances(int(rng.integers(2**31))).next(frames))
            motion = live(rng, mood(asked(side, value)), voice, frames, None, glances)
            rows.append(statistics(misread(rng, seen(motion), material.sight), side))
            labels.append(label)
    return np.stack(rows), np.array(labels)
