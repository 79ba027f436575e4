"""Takes whose every curve is known, and ways to break what was seen of them."""

from dataclasses import replace

import numpy as np

from soul.training.figures import BACKGROUNDS, Curve, Hush, Picture, Stare, Takes, Trial
from soul.training.life import Prosody
from soul.training.motion import COLUMN, neutral
from soul.training.probe import Readings, readings_of

FRAMES, SPOKEN = 400, 300
CLOSURES = np.arange(20, SPOKEN - 10, 34)
BLINKS = (60, 150, 200, 330)
CLEAN = Picture(0.0, 0.0, 1.0, 40.0)


def made_take(prompt: str = "a calm person speaking", frames: int = FRAMES) -> Trial:
    """12 s of speech and 4 s of silence, seen and rendered exactly as they should be."""
    at = np.arange(frames)
    talks = at < SPOKEN
    rng = np.random.default_rng(3)
    loud, pitch = (np.convolve(rng.standard_normal(frames), np.ones(6) / 6, "same") for _ in "12")
    motion = neutral(frames)
    motion[:, COLUMN["mouth_open"]] = talks * (0.2 + 0.7 * np.sin(0.31 * at) ** 2)
    for frame in CLOSURES.tolist():
        motion[frame : frame + 2, COLUMN["mouth_open"]] = 0.0
    motion[:, COLUMN["mouth_wide"]] = 0.8 * talks * np.sin(0.23 * at)
    motion[:, COLUMN["gaze_x"]] = 0.5 * np.sign(np.sin(0.05 * at))
    motion[:, COLUMN["pitch"]] = -0.3 * np.roll(loud, 5)
    for side in ("left", "right"):
        motion[:, COLUMN[f"brow_{side}"]] = 0.5 * np.roll(pitch, 4)
        for frame in BLINKS:
            motion[frame : frame + 4, COLUMN[f"eye_{side}"]] = 0.1
    truth = readings_of(motion)
    voice, silent = Prosody(loud, pitch, np.zeros(0, np.int64)), at >= SPOKEN + 10
    return Trial(prompt, truth, truth, truth, silent, CLOSURES, voice, truth.eye_open, CLEAN)


def made_takes(*trials: Trial) -> Takes:
    """The takes of some trials; pauses and the long take show what the first of them shows."""
    first = trials[0]
    opening = (first.seen.mouth_open, first.renders.mouth_open)
    hushes = tuple(Hush(background, first.silent, *opening) for background in BACKGROUNDS)
    return Takes(trials, hushes, Stare(first.seen.eye_open, first.renders.eye_open))


def seen(trial: Trial, **curves: Curve) -> Trial:
    """The take as if some channels had been seen otherwise."""
    return replace(trial, seen=replace(trial.seen, **curves))


def frozen(trial: Trial) -> Readings:
    """A face that never moves."""
    return readings_of(neutral(len(trial.silent)))
