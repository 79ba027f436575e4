"""A prompt that changes during a take: how soon does the picture follow, and does it jump?

Only expressions are switched: a smile is there at once, whereas a nodding head has to be watched
for seconds. What is asked of the picture is what the world's own motion does between the two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from soul.measure.change import courses, half_way, jump
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT
from soul.training.probe import Probe, Readings, readings_of
from soul.training.staging import switched
from soul.training.strips import Strip, overview
from soul.training.takes import Actor, Frames, drawn

Curve = NDArray[np.float32]

SWITCHES = (  # expressions before and after, in the order in which takes go through them
    ("neutral", "happy"),
    ("happy", "sad"),
    ("neutral", "surprised"),
    ("surprised", "angry"),
)
FOLLOWED = 0.5  # of the change that the world's own motion makes
SETTLED = 3 * FRAME_RATE // 2  # frames after which a change is over
_BY_EVERY = 2  # one pixel of so many, down and across, is compared from frame to frame
_BEFORE, _AFTER = 3, FRAME_RATE + 3  # frames around a switch that a strip shows


@dataclass(frozen=True)
class Observed:
    """What is seen of one take of T frames.

    `picture` is the mean change from one frame to the next in grey levels, `pose` that of head,
    smile and brows: [T - 1] each.
    """

    read: Readings
    picture: Curve
    pose: Curve


@dataclass(frozen=True)
class Switch:
    """One take whose prompt changes with the frame `at` (the first of the chunk that brings it)."""

    before: str
    after: str
    prompts: tuple[str, str]
    at: int
    truth: Readings
    seen: Observed
    renders: Observed
    strip: Strip


def observe(read: Readings, pictures: Frames) -> Observed:
    """What there is to see of pictures [T, H, W, 3], which are `read` already."""
    small = pictures[:, ::_BY_EVERY, ::_BY_EVERY].astype(np.int16)
    picture = [np.abs(after - before).mean() for before, after in pairwise(small)]
    held = np.stack((read.yaw, read.pitch, read.roll, read.smile, read.brows))
    pose = np.linalg.norm(np.diff(held, axis=1), axis=0)
    return Observed(read, np.array(picture, np.float32), np.asarray(pose, np.float32))


def switch(actor: Actor, probe: Probe, seed: int, number: int, chunks: int) -> Switch:
    """One take of so many chunks, at least two, whose prompt changes in the middle."""
    before, after = SWITCHES[number % len(SWITCHES)]
    scene = switched(seed, number, before, after, chunks)
    ((chunk, later),) = scene.later
    at = chunk * FRAMES_PER_LATENT
    pictures, renders = actor(scene).pictures, drawn(scene).pictures
    shown = range(max(0, at - _BEFORE), min(len(pictures), at + _AFTER))
    portrait = scene.artist.portrait()
    return Switch(
        before, after, (scene.prompt, later), at,
        truth=readings_of(scene.motion),
        seen=observe(probe.read(pictures), pictures),
        renders=observe(probe.read(renders), renders),
        strip=overview(f"{before}-{after}", portrait, pictures, renders, shown),
    )  # fmt: skip


def of_renders(takes: Sequence[Switch]) -> list[Switch]:
    """The same takes as if the model had painted the world's own renders."""
    return [replace(take, seen=take.renders) for take in takes]


@dataclass(frozen=True, slots=True)
class SwitchFigures:
    """How prompts that change are followed; nan where these takes cannot tell.

    Seconds are of the slowest that followed at all, from the first frame of the chunk that brought
    the prompt; jumps are the largest, each over what is usual of the same take.
    """

    switches_followed: float
    switch_seconds: float
    switch_jump_picture: float
    switch_jump_pose: float


def switch_figures(takes: Sequence[Switch]) -> SwitchFigures:
    """The figures of what was seen."""
    late = [seconds_of(take) for take in takes]
    return SwitchFigures(
        switches_followed=float(np.mean(np.isfinite(late))) if late else math.nan,
        switch_seconds=largest(late),
        switch_jump_picture=largest([jump(take.seen.picture, take.at) for take in takes]),
        switch_jump_pose=largest([jump(take.seen.pose, take.at) for take in takes]),
    )


def largest(values: Sequence[float]) -> float:
    """The largest that is known; nan if none is."""
    known = [value for value in values if not math.isnan(value)]
    return max(known, default=math.nan)


def seconds_of(take: Switch) -> float:
    """Seconds until half of the take's change is there; nan if it never follows."""
    course, end = course_of(take)
    if end < FOLLOWED:
        return math.nan
    return half_way(course, take.at, end) / FRAME_RATE


def course_of(take: Switch) -> tuple[NDArray[np.float64], float]:
    """How far the face has come [T], 0 before and 1 where the world's own motion is after; and
    where it ends."""
    true, settled = face(take.truth), settled_at(take)
    wanted = np.median(true[settled:], 0) - np.median(true[: take.at], 0)
    return courses(face(take.seen.read), wanted, take.at, settled)


def face(read: Readings) -> NDArray[np.float64]:
    """What tells expressions apart: [T, 3]."""
    return np.stack((read.smile, read.brows, read.eye_open), 1).astype(np.float64)


def settled_at(take: Switch) -> int:
    """The frame from which the change is over; in a short take, half of what is left."""
    return take.at + min(SETTLED, (len(take.truth.smile) - take.at) // 2)
