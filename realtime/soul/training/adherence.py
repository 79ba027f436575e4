"""Does a face do what its prompt asked? A judge a side, trained on the world's own motion.

A judge sees what the probe reads from pictures, as statistics over a take, and names the value of
one side of a manner (`manner.SIDES`). It is trained on drawn motion, where the manner is known, and
never on what a model made. It reads no pictures itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d
from torch.nn import functional as F

from soul.timebase import FRAME_RATE, SAMPLES_PER_FRAME
from soul.training.life import live
from soul.training.manner import SIDES, Manner, mood
from soul.training.motion import COLUMN, Motion

CHANNELS = ("smile", "eye_open", "brows", "gaze_x", "gaze_y", "yaw", "pitch", "roll")


@dataclass(frozen=True, slots=True)
class JudgeConfig:
    """How the judges learn."""

    takes: int = 150  # drawn a value
    seconds: float = 9.6
    noise: float = 0.05  # deviation of a probe's error that lasts over a take
    jitter: float = 0.03  # ... and that changes from frame to frame
    steps: int = 400
    rate: float = 0.05


def seen(motion: Motion) -> dict[str, NDArray[np.float32]]:
    """The channels of a motion [frames, 17] that a probe reads, each [frames]."""
    found = {name: motion[:, COLUMN[name]] for name in CHANNELS if name in COLUMN}
    found["eye_open"] = 0.5 * (motion[:, COLUMN["eye_left"]] + motion[:, COLUMN["eye_right"]])
    found["brows"] = 0.5 * (motion[:, COLUMN["brow_left"]] + motion[:, COLUMN["brow_right"]])
    return found


def statistics(channels: Mapping[str, ArrayLike]) -> NDArray[np.float32]:
    """[6 · 8] of curves [frames]: median and its size, spread, size, slow and quick motion."""
    found = []
    for name in CHANNELS:
        curve = np.asarray(channels[name], np.float64)
        slow = gaussian_filter1d(curve, 4.0)
        middle = float(np.median(curve))
        found += [middle, abs(middle), curve.std(), np.abs(curve).mean(), slow.std()]
        found.append(np.abs(np.diff(gaussian_filter1d(curve, 1.5))).mean() * FRAME_RATE)
    return np.array(found, np.float32)


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
        score = (statistics(channels) - self.mean) / self.scale @ self.weight + self.bias
        return list(SIDES[self.side])[int(np.argmax(score))]


def asked(side: str, value: str) -> Manner:
    """The manner of somebody who is asked for nothing but `value`."""
    return replace(Manner(), **{side: value})


def draw_takes(
    rng: np.random.Generator, side: str, config: JudgeConfig
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Statistics [takes, features] of drawn motion, read with a probe's errors; and values."""
    frames = round(config.seconds * FRAME_RATE)
    rows, labels = [], []
    for label, value in enumerate(SIDES[side]):
        for _ in range(config.takes):
            motion = live(rng, mood(asked(side, value)), murmur(rng, frames), frames)
            rows.append(statistics(misread(rng, seen(motion), config)))
            labels.append(label)
    return np.stack(rows), np.array(labels)


def murmur(rng: np.random.Generator, frames: int) -> NDArray[np.float32]:
    """Something like a voice: phrases of noise with a syllable's rhythm, for head and brows."""
    time = np.arange(frames * SAMPLES_PER_FRAME) / (FRAME_RATE * SAMPLES_PER_FRAME)
    syllables = np.maximum(np.sin(2 * np.pi * rng.uniform(2.0, 3.0) * time), 0.0)
    phrases = np.sin(2 * np.pi * time / rng.uniform(2.5, 5.0) + rng.uniform(0, 6.3)) > -0.4
    buzz = np.sign(np.sin(2 * np.pi * rng.uniform(90, 220) * time))
    return (0.1 * buzz * syllables * phrases).astype(np.float32)


def misread(
    rng: np.random.Generator, channels: Mapping[str, NDArray[np.float32]], config: JudgeConfig
) -> dict[str, NDArray[np.float32]]:
    """The curves with errors as a probe makes them."""
    return {
        name: curve
        + np.float32(config.noise * rng.standard_normal())
        + config.jitter * rng.standard_normal(len(curve)).astype(np.float32)
        for name, curve in channels.items()
    }


def train_judge(rng: np.random.Generator, side: str, config: JudgeConfig) -> Judge:
    """A judge of `side`: multinomial logistic regression on drawn takes."""
    rows, labels = draw_takes(rng, side, config)
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


def accuracy(judge: Judge, rng: np.random.Generator, config: JudgeConfig) -> float:
    """The share of fresh drawn takes whose value the judge names: no adherence can be above it."""
    rows, labels = draw_takes(rng, judge.side, config)
    scores = (rows - judge.mean) / judge.scale @ judge.weight + judge.bias
    return float(np.mean(np.argmax(scores, 1) == labels))
