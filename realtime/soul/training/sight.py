"""How a probe errs, and how less of it: somebody's portrait shows a face whose truth is known.

What it misreads of one person lasts, so what it reads from the resting portrait is taken off; what
is left is measured on the world's own renders, for judges that have to live with it. The mouth's
channels are left as they are read: their thresholds are the probe's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import gaussian_filter1d

from soul.training.motion import neutral
from soul.training.performance import perform
from soul.training.probe import SIZE, VISIBLE, Frames, Probe, Readings, readings_of
from soul.training.world import Artist, draw_identity

Curve = NDArray[np.float32]

CHANNELS = ("smile", "eye_open", "brows", "gaze_x", "gaze_y", "yaw", "pitch", "roll")
EVERY = 10  # frames between two that are looked at
_SECONDS = 9.6
_WHITE = 0.4  # of what errs within a take: from frame to frame; the rest comes and goes slowly
_SLOW = 3.0  # frames, deviation of the window that makes noise slow


@dataclass(frozen=True)
class Eye:
    """A probe that knows one person's face at rest."""

    probe: Probe
    off: Mapping[str, float]  # by channel, what it reads too much of this person

    def read(self, frames: Frames) -> Readings:
        """As `Probe.read`, with what it misreads of this person taken off."""
        told = self.probe.read(frames)
        curves = asdict(told)
        return replace(told, **{name: curves[name] - self.off[name] for name in CHANNELS})


def eye_for(probe: Probe, portrait: Frames) -> Eye:
    """An eye for the person of a portrait [H, W, 3] at rest."""
    told, true = asdict(probe.read(portrait[None])), asdict(readings_of(neutral(1)))
    return Eye(probe, {name: float(told[name][0] - true[name][0]) for name in CHANNELS})


@dataclass(frozen=True, slots=True)
class Error:
    """How one channel is read: slope · truth + offset + what lasts over a take + what changes."""

    slope: float = 1.0
    offset: float = 0.0
    lasting: float = 0.0  # deviation between people
    passing: float = 0.0  # ... and within a take


Sight = Mapping[str, Error]  # by channel


def sight_of(probe: Probe, rng: np.random.Generator, people: int) -> Sight:
    """How a probe's eyes read each channel, from takes of `people` as the world renders them."""
    pairs: list[Pair] = []
    for _ in range(people):
        artist = Artist(draw_identity(rng), SIZE)
        motion = perform(rng, _SECONDS, "train").motion[::EVERY]
        told = eye_for(probe, artist.portrait()).read(np.stack([artist.frame(r) for r in motion]))
        pairs.append((asdict(told), asdict(readings_of(motion))))
    return {name: error_of(name, pairs) for name in CHANNELS}


Pair = tuple[Mapping[str, ArrayLike], Mapping[str, ArrayLike]]  # curves as read, and as they are


def error_of(name: str, pairs: Sequence[Pair]) -> Error:
    """The error of one channel from what was read and what is true, a pair a person.

    Where the eyes look counts only in eyes that are open.
    """
    told, true = [], []
    for seen, truth in pairs:
        lids = np.asarray(truth["eye_open"])
        used = lids > VISIBLE if name.startswith("gaze") else np.ones_like(lids, np.bool_)
        told.append(np.asarray(seen[name])[used])
        true.append(np.asarray(truth[name])[used])
    x, y = np.concatenate(true), np.concatenate(told)
    slope = float(np.cov(x, y)[0, 1] / max(x.var(ddof=1), 1e-9))
    offset = float(y.mean() - slope * x.mean())
    rest = [b - slope * a - offset for a, b in zip(true, told, strict=True) if a.size]
    lasting = float(np.std([one.mean() for one in rest]))
    return Error(slope, offset, lasting, float(np.mean([one.std() for one in rest])))


def misread(
    rng: np.random.Generator, channels: Mapping[str, Curve], sight: Sight
) -> dict[str, Curve]:
    """The curves [T] as eyes of that sight would read them."""
    return {name: _blur(rng, curve, sight[name]) for name, curve in channels.items()}


def _blur(rng: np.random.Generator, curve: Curve, error: Error) -> Curve:
    slow = gaussian_filter1d(rng.standard_normal(len(curve)), _SLOW, mode="wrap")
    slow *= np.sqrt(2.0 * _SLOW * np.sqrt(np.pi) * (1.0 - _WHITE**2))
    noise = slow + _WHITE * rng.standard_normal(len(curve))
    there = error.slope * curve + error.offset + error.lasting * rng.standard_normal()
    return np.asarray(there + error.passing * noise, np.float32)
