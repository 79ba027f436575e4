"""What a face does of itself, frame after frame: head, gaze, brows, smile, lids, breath.

A model of few steps answers what it is not told with the mean, a head that does not move (LOG.md).
So the motion is drawn here, from a mood's numbers, the voice and chance, and the DiT is told of it:
what it looks like on this face is the DiT's, and the mouth is the sound's. Causal, one value a
frame at 25 frames a second; rates are those of people in conversation. Not in the paper.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from soul.model.cues import Blinks, Glances
from soul.model.manner import Mood, attentive, mix
from soul.timebase import FRAME_RATE

Curve = NDArray[np.float64]
Shape = Callable[[np.random.Generator], Curve]
WITH_HEAD = 0.4  # of the head's turn is what the eyes go back to stay on the viewer
IDLE_LIMIT = 0.25  # how far the head turns of its own while nobody speaks
SPEAKING_LIMIT = 0.6
_ARRIVES = FRAME_RATE // 2  # frames in which a stream leaves its portrait's own pose
_TURN = 0.12  # a frame, towards listening or back
_MOVES = 1.0 / 12  # a frame, of the way to a new mood: 480 ms
PULSE = 14  # frames of what a stress moves
_LATEST = 0.3  # seconds within which a new mood shows in where the eyes rest and in gestures


def arch(length: int) -> Curve:
    """Half a wave [length], up to 1 and back."""
    return np.asarray(np.sin(np.pi * (np.arange(length) + 0.5) / length))


def nod(rng: np.random.Generator) -> Curve:
    """One nod or two, the second smaller."""
    length = int(rng.integers(10, 14))
    one = -rng.uniform(0.16, 0.3) * np.square(arch(length))
    return one if rng.random() < 0.5 else np.concatenate((one, 0.6 * one))


def shake(rng: np.random.Generator) -> Curve:
    """Two to four turns of the head to and fro, fading in and out."""
    period = rng.uniform(14.0, 20.0)
    length = int(period * rng.integers(2, 5))
    at = (np.arange(length) + 0.5) / length
    turns = np.sin(2 * np.pi * np.arange(length) / period) * np.sqrt(np.sin(np.pi * at))
    return np.asarray(rng.uniform(0.3, 0.42) * rng.choice([-1.0, 1.0]) * turns)


def hump(rng: np.random.Generator) -> Curve:
    """Up to 1 and back within one to two seconds."""
    length = int(rng.integers(FRAME_RATE, 2 * FRAME_RATE))
    return np.square(arch(length))


def averted(rng: np.random.Generator, mood: Mood, always: float) -> tuple[float, float]:
    """A point beside the viewer where a mood has the eyes go; `always` is its usual side."""
    stays = mood.aside >= 1.0 or (mood.aside > 0.0 and rng.random() < mood.aside)
    side = always if stays else rng.choice([-1.0, 1.0])
    low = 0.0 if mood.gaze_y < -0.5 else 0.3  # down is not aside
    x = float(side * rng.uniform(low, 0.5 + low))
    return x, float(mood.gaze_y + rng.uniform(-0.3, 0.3))


class Drift:
    """Smooth noise of unit deviation that changes over about `seconds`."""

    def __init__(self, rng: np.random.Generator, seconds: float) -> None:
        sigma = seconds * FRAME_RATE / 2.0
        reach = int(3 * sigma)
        weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / sigma))
        self._weights = weights / np.sqrt(np.square(weights).sum())
        self._rng = rng
        self._noise = rng.standard_normal(2 * reach + 1)
        self._at = 0

    def next(self) -> float:
        """The next frame's value."""
        noise, weights = self._noise, self._weights
        noise[self._at] = self._rng.standard_normal()
        self._at = (self._at + 1) % len(noise)
        older = len(noise) - self._at
        return float(noise[self._at :] @ weights[:older] + noise[: self._at] @ weights[older:])


class Gestures:
    """A shape drawn anew about every so many `seconds`, at irregular times."""

    def __init__(self, rng: np.random.Generator, shape: Shape, seconds: float) -> None:
        self._rng, self._shape, self._seconds = rng, shape, seconds
        self._now: list[float] = []
        self._rest = int(rng.uniform(0.0, seconds) * FRAME_RATE)

    def next(self) -> float:
        """The next frame's value, 0 between two shapes."""
        if not self._now and self._rest <= 0:
            self._now = self._shape(self._rng).tolist()
            self._rest = int(self._rng.uniform(0.4, 1.6) * self._seconds * FRAME_RATE)
        if self._now:
            return self._now.pop(0)
        self._rest -= 1
        return 0.0

    def hurry(self) -> None:
        """A rest under way ends soon."""
        self._rest = min(self._rest, int(_LATEST * FRAME_RATE))


class Pulses:
    """Short curves that have begun at different times, added up."""

    def __init__(self) -> None:
        self._ahead = np.zeros(PULSE)

    def begin(self, height: float, power: int) -> None:
        """One more begins with the next frame: an arch to `power`, up to `height` and back."""
        self._ahead = self._ahead + height * arch(PULSE) ** power

    def next(self) -> float:
        """The next frame's sum."""
        first, self._ahead = float(self._ahead[0]), np.append(self._ahead[1:], 0.0)
        return first


class Voice:
    """How loud the voice is, against its own loudest, and how much of the last second it filled.

    Peak and floor follow the microphone, so that a loud room is no voice.
    """

    def __init__(self) -> None:
        self._peak, self._floor = 0.0, 0.0
        self._recent = np.zeros(FRAME_RATE)
        self._smooth = [0.0] * 5
        self.speaking = 0.0

    def next(self, rms: float) -> tuple[float, bool]:
        """A frame's loudness in 0 .. 1, and whether it has just been stressed."""
        rising = rms > self._peak
        self._peak += (0.5 if rising else 0.006) * (rms - self._peak)
        self._floor = min(rms, self._floor * 1.01 + 1e-6) if self._floor else rms
        heard = rms > 3.0 * self._floor + 1e-3 and self._peak > 4e-3
        loudness = min(1.0, rms / self._peak) if heard else 0.0
        self._recent = np.append(self._recent[1:], loudness)
        filled = min(1.0, 1.6 * float(self._recent.max()))
        self.speaking += (filled - self.speaking) / 8.0
        self._smooth = [*self._smooth[1:], 0.5 * self._smooth[-1] + 0.5 * loudness]
        top = self._smooth[-2]
        return loudness, top > 0.45 and top == max(self._smooth)


class Eyes:
    """Where the eyes of one stream look: what its mood asks for, and what they do of themselves."""

    def __init__(self, rng: np.random.Generator, seed: int) -> None:
        self._rng = rng
        self._glances = Glances(seed)
        self._always = float(rng.choice([-1.0, 1.0]))
        self._target = self._before = (0.0, 0.0)
        self._rest = 0

    def next(self, mood: Mood) -> tuple[float, float]:
        """The next frame's point (x, y), the viewer at (0, 0); an eye jumps within two frames."""
        if self._rest <= 0:
            self._target, self._rest = self._fixate(mood)
        self._rest -= 1
        wandering = self._glances.next(1)[0]
        x, y = (
            0.6 * new + 0.4 * old + mood.glances * aside
            for new, old, aside in zip(self._target, self._before, wandering, strict=True)
        )
        self._before = self._target
        return x, y

    def hurry(self) -> None:
        """What they rest on is left soon."""
        self._rest = min(self._rest, int(_LATEST * FRAME_RATE))

    def _fixate(self, mood: Mood) -> tuple[tuple[float, float], int]:
        if self._rng.random() < mood.wander:
            return averted(self._rng, mood, self._always), int(self._rng.integers(8, 40))
        return (0.0, 0.0), int(self._rng.integers(8, 50))


class Leaning:
    """The head leans to one side for some seconds, then to the other."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._side = float(rng.choice([-1.0, 1.0]))
        self._target, self._rest, self._value = 0.0, 0, 0.0

    def next(self) -> float:
        """The next frame's lean; the way to the other side takes about a second."""
        if self._rest <= 0:
            self._target = self._side * self._rng.uniform(0.45, 0.7)
            self._side, self._rest = -self._side, int(self._rng.uniform(2.0, 5.0) * FRAME_RATE)
        self._rest -= 1
        self._value += (self._target - self._value) / 8.0
        return self._value


class Bearing:
    """The bearing of one stream; all follows from `seed`, the moods it is given and the voice."""

    def __init__(self, seed: int, mood: Mood, nods: float = 1.0, shakes: float = 1.0) -> None:
        """`nods` and `shakes` are how much larger these are told than they are meant."""
        self._rng = rng = np.random.default_rng([seed, 2])
        self._deeper, self._wider = nods, shakes
        self._from = self._goal = self._mood = mood
        self._way = 1.0
        self._arrived = self._heard = 0.0
        self._voice, self._eyes, self._blinks = Voice(), Eyes(rng, seed), Blinks(seed)
        self._drifts = {
            name: Drift(rng, seconds)
            for name, seconds in (
                ("yaw", 1.8), ("quick_yaw", 0.5), ("pitch", 1.6), ("roll", 2.0),
                ("quick_roll", 0.7), ("smile", 1.5), ("brow", 2.0), ("uneven", 2.0), ("eye", 2.0),
            )
        }  # fmt: skip
        self._nods, self._shakes = Gestures(rng, nod, 0.9), Gestures(rng, shake, 1.2)
        self._leaning = Leaning(rng)
        self._assents = Gestures(rng, nod, 4.0)
        self._smiles, self._raises = Gestures(rng, hump, 6.0), Gestures(rng, hump, 7.0)
        self._beats, self._lifts = Pulses(), Pulses()
        self._rest = 0.08 * rng.standard_normal(), 0.06 * rng.standard_normal()
        self._side = float(rng.choice([-1.0, 1.0]))
        self._uneven = 0.03 * float(rng.standard_normal())
        self._period, self._depth = rng.uniform(3.0, 4.0) * FRAME_RATE, rng.uniform(0.5, 0.9)
        self._phase = float(rng.random())

    def become(self, mood: Mood) -> None:
        """Another mood from the next frame on; the way there takes half a second."""
        if mood != self._goal:
            self._from, self._goal, self._way = self._mood, mood, 0.0
            for part in (self._eyes, self._nods, self._shakes):
                part.hurry()

    def next(self, rms: float, listening: bool) -> list[float]:
        """The next frame's channels in the order of `soul.model.cues.CHANNELS`.

        `rms` is the microphone's level in the frame; `listening`: somebody else has the word.
        """
        now = self._now(listening)
        loudness, stressed = self._voice.next(0.0 if listening else rms)
        if stressed:
            self._stress(now, loudness)
        drift = {name: one.next() for name, one in self._drifts.items()}
        yaw, pitch, roll = self._head(now, drift)
        x, y = self._eyes.next(now)
        lids = float(np.clip(now.eye + 0.03 * drift["eye"] + 0.2 * min(y, 0.0), 0.4, 1.0))
        brow = now.brow + self._lifts.next() + 0.06 * drift["brow"]
        brow += 0.3 * self._heard * self._raises.next()
        uneven = 0.04 * drift["uneven"] + self._uneven
        smile = now.smile + 0.08 * drift["smile"] * (1.0 + self._voice.speaking)
        smile += 0.25 * self._heard * self._smiles.next()
        moved = (x - WITH_HEAD * yaw, y, yaw, pitch, roll, brow + uneven, brow - uneven, smile)
        eased = self._arrive()
        told = [float(np.clip(eased * value, -1.0, 1.0)) for value in moved]
        lids = (1.0 + eased * (lids - 1.0)) * self._blinks.next(1)[0]
        return [lids, float(listening), *told, self._breathe()]

    def _now(self, listening: bool) -> Mood:
        """The mood in force: on its way to a new one, and quieter while listening."""
        if self._way < 1.0:
            self._way = min(1.0, self._way + _MOVES)
            self._mood = mix((self._from, self._goal), (1.0 - self._way, self._way))
        self._heard += _TURN * (float(listening) - self._heard)
        if self._heard < 1e-3:
            return self._mood
        return mix((self._mood, attentive(self._mood)), (1.0 - self._heard, self._heard))

    def _stress(self, mood: Mood, loudness: float) -> None:
        """The brows rise with every stress, and the head nods with some, down and up again."""
        self._lifts.begin(mood.vivid * self._rng.uniform(0.1, 0.24) * loudness, 1)
        if self._rng.random() < min(1.0, 2.2 * mood.nod):
            depth = self._rng.uniform(0.08, 0.16) * np.sqrt(max(mood.head, 0.0)) * loudness
            self._beats.begin(-depth, 2)

    def _head(self, mood: Mood, drift: dict[str, float]) -> tuple[float, float, float]:
        speaking = self._voice.speaking
        energy, quick = mood.head * (0.45 + 0.55 * speaking), speaking * mood.head
        awake = max(speaking, min(1.0, max(0.0, mood.head - 1.0)))
        limit = IDLE_LIMIT + (SPEAKING_LIMIT - IDLE_LIMIT) * awake
        yaw = 0.22 * energy * drift["yaw"] + 0.07 * quick * drift["quick_yaw"]
        yaw += min(1.0, mood.head) * self._rest[0]
        nodded = self._beats.next() + self._heard * self._assents.next()
        pitch = 0.14 * energy * drift["pitch"] + mood.pitch + self._rest[1] + self._deeper * nodded
        roll = 0.16 * energy * drift["roll"] + 0.05 * quick * drift["quick_roll"]
        roll += mood.roll * self._side
        yaw, pitch, roll = (limit * float(np.tanh(v / limit)) for v in (yaw, pitch, roll))
        return (
            yaw + self._wider * mood.shaking * self._shakes.next(),
            pitch + self._deeper * 1.4 * mood.nodding * self._nods.next(),
            roll + mood.tilting * self._leaning.next(),
        )

    def _arrive(self) -> float:
        """0 at a stream's beginning, which is its portrait, and soon 1."""
        self._arrived = min(1.0, self._arrived + 1.0 / _ARRIVES)
        return self._arrived**2 * (3.0 - 2.0 * self._arrived)

    def _breathe(self) -> float:
        """One breath in 3 to 4 s, rising faster than it falls."""
        self._phase += 1.0 / self._period
        phase = 2.0 * np.pi * self._phase
        return float(self._depth * np.sin(phase + 0.4 * np.sin(phase)))
