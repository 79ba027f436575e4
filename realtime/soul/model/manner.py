"""How somebody behaves: what a prompt can ask for, as values by name and as numbers.

A manner has four sides; each has a few values, the first of which is as usual. `mood` gives a
manner's numbers, from which `bearing` moves head, eyes, brows and mouth corners. It knows no words:
`text` reads a prompt, and the world of training (`soul.training.manner`) has phrases for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True)
class Manner:
    """One value a side; the defaults are what is meant when nothing is said."""

    expression: str = "neutral"
    energy: str = "usual"
    head: str = "free"
    gaze: str = "free"


VALUES: dict[str, tuple[str, ...]] = {
    "expression": ("neutral", "happy", "sad", "surprised", "angry", "tender"),
    "energy": ("usual", "quiet", "lively"),
    "head": ("free", "still", "nodding", "shaking", "tilting"),
    "gaze": ("free", "viewer", "away", "down", "wandering"),
}


@dataclass(frozen=True, slots=True)
class Mood:
    """How somebody is: offsets of smile, brows and lids, and how head and gaze behave."""

    smile: float = 0.1
    brow: float = 0.0
    eye: float = 1.0
    vivid: float = 1.0  # factor on what the brows do with the voice
    head: float = 1.0  # factor on the head's own motion
    nod: float = 0.4  # share of stresses that are nodded
    nodding: float = 0.0  # nods of their own accord, 0 .. 1
    shaking: float = 0.0  # shakes of the head, 0 .. 1
    tilting: float = 0.0  # how far the head leans to one side, then the other, 0 .. 1
    pitch: float = 0.0  # the head's resting tilt, down .. up
    roll: float = 0.0  # and to a side, either one
    glances: float = 0.8  # factor on what the eyes wander of themselves: see `soul.model.cues`
    wander: float = 0.0  # share of fixations that the mood itself takes away from the viewer
    aside: float = 0.0  # share of averted looks that stay at one side
    gaze_y: float = 0.0  # where averted eyes go
    blinks: float = 11.0  # a minute, besides those at phrase ends


NUMBERS = tuple(f.name for f in fields(Mood))


def mix(moods: Sequence[Mood], shares: Sequence[float]) -> Mood:
    """The weighted sum of `moods`, number by number; `shares` sum to 1."""
    found = {
        name: sum(share * getattr(one, name) for one, share in zip(moods, shares, strict=True))
        for name in NUMBERS
    }
    return Mood(**found)


_FACES: dict[str, Mood] = {
    "neutral": Mood(smile=0.0),
    "happy": Mood(smile=0.75, brow=0.2, eye=0.92),
    "sad": Mood(smile=-0.6, brow=-0.2, eye=0.8, pitch=-0.12),
    "surprised": Mood(smile=0.1, brow=0.8, blinks=9.0),
    "angry": Mood(smile=-0.35, brow=-0.8, eye=0.88),
    "tender": Mood(smile=0.38, brow=0.1, eye=0.72, roll=0.12, blinks=13.0),
}
_ENERGY = {"usual": 1.0, "quiet": 0.45, "lively": 2.0}


def mood(manner: Manner) -> Mood:
    """The numbers of a manner."""
    face = _FACES[manner.expression]
    energy = _ENERGY[manner.energy]
    found = replace(face, head=energy, nod=min(0.9, face.nod * energy), vivid=energy**0.5)
    return _looking(_moving(found, manner.head), manner.gaze)


def attentive(speaking: Mood) -> Mood:
    """The same person while somebody else has the word: quiet, the eyes on who speaks."""
    return replace(
        speaking,
        head=min(speaking.head, 0.6), nod=0.0, nodding=0.0, shaking=0.0, tilting=0.0,
        glances=0.3 * speaking.glances, wander=0.0, gaze_y=0.0, aside=0.0,
        roll=speaking.roll + 0.1,
    )  # fmt: skip


def _moving(found: Mood, head: str) -> Mood:
    if head == "still":
        return replace(found, head=0.08, nod=0.0)
    if head == "nodding":
        return replace(found, nodding=1.0)
    if head == "shaking":
        return replace(found, shaking=1.0)
    return replace(found, tilting=1.0) if head == "tilting" else found


def _looking(found: Mood, gaze: str) -> Mood:
    if gaze == "away":
        return replace(found, glances=0.3, wander=0.85, aside=1.0)
    if gaze == "down":
        return replace(found, glances=0.3, wander=0.85, gaze_y=-0.7)
    if gaze == "viewer":
        return replace(found, glances=0.1)
    return replace(found, wander=0.6) if gaze == "wandering" else found
