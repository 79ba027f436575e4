"""What is seen of somebody who does exactly as told, and ways to break it."""

from dataclasses import replace

import numpy as np

from soul.training.adherence import LOOKS_AT, Judge
from soul.training.behaviour import Behaviour
from soul.training.manner import SIDES
from soul.training.motion import COLUMN, Motion, neutral
from soul.training.probe import Readings, readings_of
from soul.training.prompting import Prompted
from soul.training.strips import LENGTH, Moment, Strip
from soul.training.switching import Observed, Switch, observe
from soul.training.turns import Turn

FRAMES, AT = 240, 120
SMILES = dict(zip(SIDES["expression"], (0.0, 0.75, -0.6, 0.3, -0.3, 0.5), strict=True))
PICTURE = np.zeros((LENGTH, 8, 8, 3), np.uint8)


def strip_of(kind: str) -> Strip:
    return Strip(Moment(kind, 0), 0, PICTURE, PICTURE)


def speaking(frames: int = FRAMES) -> Motion:
    """A mouth that moves, a head that sways and eyes that blink."""
    motion, at = neutral(frames), np.arange(frames)
    motion[:, COLUMN["mouth_open"]] = 0.2 + 0.6 * np.sin(0.31 * at) ** 2
    motion[:, COLUMN["yaw"]] = 0.2 * np.sin(0.1 * at)
    for start in range(30, frames - 5, 90):
        motion[start : start + 4, [COLUMN["eye_left"], COLUMN["eye_right"]]] = 0.1
    return motion


def smile_judge() -> Judge:
    """Names the expression of `SMILES` that is nearest to a take's usual smile."""
    centres = np.array(list(SMILES.values()), np.float32)
    features = 6 * len(LOOKS_AT["expression"])
    weight = np.zeros((features, len(centres)), np.float32)
    weight[0] = 2.0 * centres  # of the smile's median
    rest = np.zeros(features, np.float32), np.ones(features, np.float32)
    return Judge("expression", *rest, weight, -np.square(centres))


def prompted(value: str, person: int = 0) -> Prompted:
    motion = speaking()
    motion[:, COLUMN["smile"]] = SMILES[value]
    read = readings_of(motion)
    strip = strip_of(value) if value == "happy" else None
    return Prompted("expression", value, person, f"make it {value}", read, read, read, strip)


def painted(motion: Motion) -> Observed:
    """Small pictures whose every pixel tells the motion, and what there is to see of them."""
    told = 60.0 + 40.0 * motion[:, [COLUMN[n] for n in ("mouth_open", "yaw", "smile")]].sum(1)
    pictures = np.broadcast_to(told[:, None, None, None], (len(motion), 4, 4, 3)).astype(np.uint8)
    return observe(readings_of(motion), pictures)


def smiling_from(start: int, length: int, motion: Motion) -> Motion:
    """The motion with a smile that comes within `length` frames from `start` on."""
    motion = motion.copy()
    share = np.clip((np.arange(len(motion)) + 1 - start) / length, 0.0, 1.0)
    motion[:, COLUMN["smile"]] = 0.75 * share
    return motion


def switch() -> Switch:
    """From neutral to happy, as the world does it: half is there after 400 ms."""
    motion = smiling_from(AT + 4, 12, speaking())
    seen = painted(motion)
    prompts = ("make it neutral", "make it happy")
    strip = strip_of("neutral-happy")
    return Switch("neutral", "happy", prompts, AT, readings_of(motion), seen, seen, strip)


def turn() -> Turn:
    """Speaks, listens for four seconds with two nods and a smile, and speaks again."""
    listening = np.zeros(FRAMES, np.bool_)
    listening[70:170] = True
    motion = speaking()
    motion[listening, COLUMN["mouth_open"]] = 0.0
    motion[listening, COLUMN["smile"]] = 0.2
    motion[:, COLUMN["gaze_x"]] = -0.4 * motion[:, COLUMN["yaw"]]
    motion[~listening, COLUMN["gaze_x"]] += 0.6
    for frame in (95, 140):
        nod = -0.25 * np.cos(np.pi * np.arange(-6, 7) / 13) ** 2
        motion[frame - 6 : frame + 7, COLUMN["pitch"]] += nod.astype(np.float32)
    seen = painted(motion)
    return Turn(listening, listening, seen, seen, strip_of("listening"))


def reread(seen: Observed, **curves: np.ndarray) -> Observed:
    """What is seen, as if some channels had been read otherwise."""
    read: Readings = replace(seen.read, **curves)
    return replace(seen, read=read)


def behaved() -> Behaviour:
    """Somebody who does all of it."""
    takes = tuple(prompted(value, person) for person in range(2) for value in SMILES)
    judges = {"expression": smile_judge()}
    return Behaviour(takes, (switch(),), (turn(),), judges, {"expression": 1.0})
