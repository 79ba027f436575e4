"""Words for how somebody behaves: prompts, in the world's phrases, for `soul.model.manner`.

Every value of every side has words. A prompt names some sides; those it leaves out are as usual.
Some words and sentences are kept for the held-out split. It draws no motion: `life` does.
"""

import re
from dataclasses import dataclass

import numpy as np

from soul.model.manner import Manner
from soul.training.speech import Split


@dataclass(frozen=True, slots=True)
class Words:
    """Ways to name one value: after "a person who is …" or as a clause of its own."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, split: Split) -> tuple[str, ...]:
        return self.train if split == "train" else self.held_out


EXPRESSIONS: dict[str, Words] = {
    "neutral": Words(
        ("neutral", "with a neutral face", "neutral expression", "expressionless", "serious",
         "with a straight face", "matter-of-fact", "composed", "a plain, neutral look"),
        ("seriously, with a neutral expression", "straight-faced", "neutrally"),
    ),
    "happy": Words(
        ("happy", "smiling", "cheerful", "joyful", "glad", "with a big smile", "a happy smile",
         "merry", "delighted", "beaming", "smiling broadly", "full of joy", "with a wide smile",
         "happy and friendly", "in a good mood", "laughing", "pleased", "grinning"),
        ("happily", "with a joyous smile", "smiles cheerfully", "with delight", "a broad grin"),
    ),
    "sad": Words(
        ("sad", "unhappy", "sorrowful", "with a sad face", "gloomy", "depressed", "mournful",
         "in a sad mood", "downcast", "full of sorrow", "melancholy", "grieving", "tearful",
         "disappointed", "miserable"),
        ("sadly", "with sadness", "sorrowfully", "unhappily", "a mournful, sad look"),
    ),
    "surprised": Words(
        ("surprised", "astonished", "amazed", "with raised brows", "startled", "in surprise",
         "eyebrows raised", "stunned", "a surprised look", "full of wonder", "wide-eyed",
         "brows up in surprise", "taken by surprise"),
        ("surprisedly", "in amazement", "astonishment in the face", "with eyebrows raised high"),
    ),
    "angry": Words(
        ("angry", "furious", "frowning", "with a frown", "annoyed", "mad", "irritated", "grim",
         "with lowered brows", "an angry look", "in anger", "outraged", "cross", "scowling",
         "full of rage"),
        ("angrily", "with an angry frown", "annoyedly", "furiously", "frowns in anger"),
    ),
    "tender": Words(
        ("tender", "gentle", "loving", "with a soft smile", "warm", "a tender look", "kind",
         "affectionate", "with a gentle smile", "soft", "caring", "full of tenderness",
         "with a warm smile", "sweet", "soothing"),
        ("tenderly", "with gentleness", "lovingly", "warmly, with a soft look", "gently"),
    ),
}  # fmt: skip
ENERGIES: dict[str, Words] = {
    "usual": Words(("natural", "relaxed", "at ease"), ("naturally",)),
    "quiet": Words(
        ("calm", "quiet", "slow", "tired", "with little energy", "sleepy", "subdued", "restrained",
         "low energy", "calm and slow"),
        ("calmly", "quietly", "with low energy", "tiredly"),
    ),
    "lively": Words(
        ("lively", "energetic", "full of energy", "animated", "excited", "vivid", "enthusiastic",
         "high energy", "lively and quick", "with a lot of energy"),
        ("energetically", "with high energy", "with enthusiasm", "excitedly"),
    ),
}  # fmt: skip
HEADS: dict[str, Words] = {
    "free": Words(("moves the head a little",), ("a little head movement",)),
    "still": Words(
        ("keeps the head still", "head still", "without moving the head", "a motionless head",
         "holds the head steady", "head does not move"),
        ("the head stays still", "holding the head motionless", "a steady head"),
    ),
    "nodding": Words(
        ("nodding", "nods", "nods the head", "nodding in agreement", "agreeing with nods",
         "nodding again and again", "says yes with the head"),
        ("nods in agreement", "with nods of the head", "a nodding head"),
    ),
    "shaking": Words(
        ("shaking the head", "shakes the head", "head shaking", "shaking the head in doubt",
         "says no with the head", "disagreeing, shaking the head"),
        ("shakes the head in disagreement", "with shakes of the head", "a shaking head"),
    ),
    "tilting": Words(
        ("tilting the head", "tilts the head", "head tilted", "head tilted to the side",
         "with a tilted head", "leans the head to one side"),
        ("tilts the head to one side", "the head is tilted", "a tilt of the head"),
    ),
}  # fmt: skip
GAZES: dict[str, Words] = {
    "free": Words(("a natural gaze", "eyes at ease"), ("with a natural look of the eyes",)),
    "viewer": Words(
        ("looks at you", "looking at the viewer", "eye contact", "looks into the camera",
         "looking straight ahead"),
        ("looks at the viewer", "with eye contact", "looking into the camera"),
    ),
    "away": Words(
        ("looks away", "looking away", "looking to the side", "eyes averted", "avoids your eyes",
         "looks aside"),
        ("looking aside", "with averted eyes", "looks to the side"),
    ),
    "down": Words(
        ("looks down", "looking down", "eyes cast down", "looking at the floor", "lowered eyes",
         "with downcast eyes"),
        ("looks to the floor", "eyes looking down", "with lowered eyes"),
    ),
    "wandering": Words(
        ("looks around", "looking around", "wandering eyes", "eyes wander", "glances about",
         "restless eyes"),
        ("looks all around", "with wandering eyes", "glancing around"),
    ),
}  # fmt: skip
SIDES = {"expression": EXPRESSIONS, "energy": ENERGIES, "head": HEADS, "gaze": GAZES}
WEIGHTS: dict[str, tuple[float, ...]] = {  # how often each value is drawn, in the tables' order
    "expression": (0.2, 0.16, 0.16, 0.16, 0.16, 0.16),
    "energy": (0.5, 0.25, 0.25),
    "head": (0.48, 0.13, 0.13, 0.13, 0.13),
    "gaze": (0.4, 0.15, 0.15, 0.15, 0.15),
}
_NAMED = 0.85  # how often a prompt names a side that is not as usual
_USUAL_NAMED = 0.2  # ... and one that is

FRAMES: dict[Split, tuple[str, ...]] = {
    "train": (
        "{}", "a person, {}", "a person speaking, {}", "someone {}", "a portrait, {}", "please {}",
        "the speaker: {}", "talks to you, {}", "a face, {}", "the person is {}",
    ),
    "held_out": ("make it {}", "I would like {}", "somebody talking, {}", "now {}"),
}  # fmt: skip


def draw_manner(rng: np.random.Generator) -> Manner:
    """A manner, each side by itself."""
    return Manner(**{side: str(rng.choice(list(SIDES[side]), p=WEIGHTS[side])) for side in SIDES})


def describe(rng: np.random.Generator, manner: Manner, split: Split) -> str:
    """A prompt for `manner` in the words of `split`; sides as usual are mostly left unsaid."""
    return told(rng, manner, split)[0]


def told(rng: np.random.Generator, manner: Manner, split: Split) -> tuple[str, Manner]:
    """A prompt for `manner`, and what of it the prompt says; the rest is as usual."""
    said, named = [], {}
    usual = Manner()
    for side, value, default in zip(SIDES, values(manner), values(usual), strict=True):
        if rng.random() < (_USUAL_NAMED if value == default else _NAMED):
            said.append(str(rng.choice(SIDES[side][value].of(split))))
            named[side] = value
    if not said:
        said.append(str(rng.choice(EXPRESSIONS[manner.expression].of(split))))
        named["expression"] = manner.expression
    rng.shuffle(said)
    return str(rng.choice(FRAMES[split])).format(", ".join(said)), Manner(**named)


def ask(rng: np.random.Generator, side: str, value: str, split: Split) -> str:
    """A prompt that names `value` and nothing else, in the words of `split`."""
    return str(rng.choice(FRAMES[split])).format(rng.choice(SIDES[side][value].of(split)))


_MEANING = {
    phrase: words.train
    for side in SIDES.values()
    for words in side.values()
    for phrase in words.train
}
_LONGEST_FIRST = "|".join(sorted(map(re.escape, _MEANING), key=len, reverse=True))
_PHRASE = re.compile(rf"\b(?:{_LONGEST_FIRST})\b")


def reword(rng: np.random.Generator, prompt: str) -> str:
    """A training prompt in other words of the same meaning; one without any of them stays.

    A bank has one prompt a clip: told once more and always alike, it is a name, not a meaning.
    """
    said = [str(rng.choice(_MEANING[phrase])) for phrase in _PHRASE.findall(prompt)]
    return str(rng.choice(FRAMES["train"])).format(", ".join(said)) if said else prompt


def values(manner: Manner) -> tuple[str, ...]:
    """A manner's values in the order of `SIDES`."""
    return (manner.expression, manner.energy, manner.head, manner.gaze)
