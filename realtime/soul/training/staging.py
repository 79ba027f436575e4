"""Held-out scenes of which something is chosen instead of drawn: a manner, a change of it, a turn.

People, voices, sentences and wordings are those that training never saw. What is chosen stands in
the scene's prompt and in the motion that the world renders. Plays nothing and paints no pictures.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soul.model.manner import Manner, mood
from soul.model.sample import BLEND_CHUNKS
from soul.timebase import FRAME_RATE, FRAMES_PER_LATENT, SAMPLES_PER_FRAME
from soul.training import life, visemes
from soul.training.adherence import asked
from soul.training.figures import speaks
from soul.training.manner import SIDES, ask, describe
from soul.training.motion import COLUMN, Motion
from soul.training.performance import (
    Performance,
    bleed,
    listening_frames,
    perform,
    silent_frames,
)
from soul.training.probe import SIZE
from soul.training.speech import Pcm
from soul.training.takes import Scene
from soul.training.world import Artist, draw_identity

Mask = NDArray[np.bool_]

PROMPTED, SWITCHED, TURNED = 60_000, 70_000, 80_000  # added to a number: other takes than the rest
SEARCHED = 24.0  # seconds of a performance in which a turn of somebody else is looked for
_FOUND = 6  # such performances, of which the one with the most even turns is played
_MOUTH = [COLUMN[name] for name in visemes.MOUTH_CHANNELS]


@dataclass(frozen=True)
class Dialogue:
    """A scene with turns, and what is true of its frames: bool [T] each."""

    scene: Scene
    silent: Mask
    listening: Mask


def speaker(rng: np.random.Generator, frames: int) -> Performance:
    """A held-out take in which its owner speaks and nobody else does; drawn until there is one."""
    while True:
        take = perform(rng, frames / FRAME_RATE, "held_out")
        if speaks(take.motion[:, COLUMN["mouth_open"]]) and not take.listening.any():
            return take


def as_if(rng: np.random.Generator, take: Performance, manner: Manner) -> Motion:
    """What the take's owner does [T, 17] who says the same in another manner."""
    frames = len(take.motion)
    motion = life.live(rng, mood(manner), take.clean, frames, None, take.glances)
    visemes.put(motion, take.motion[:, _MOUTH])
    return motion


def prompted(seed: int, side: str, person: int, frames: int) -> dict[str, Scene]:
    """One person who says the same under a prompt for each value of a side, by value."""
    number = PROMPTED + len(SIDES) * person + list(SIDES).index(side)
    rng = np.random.default_rng([seed, number])
    artist, take = Artist(draw_identity(rng), SIZE), speaker(rng, frames)
    scenes = {}
    for value in SIDES[side]:
        prompt = ask(rng, side, value, "held_out")
        motion = as_if(rng, take, asked(side, value))
        scenes[value] = Scene(artist, take.pcm, prompt, number, motion)
    return scenes


def switched(seed: int, number: int, before: str, after: str, chunks: int) -> Scene:
    """One person whose prompt changes from one expression to another with the middle chunk."""
    rng = np.random.default_rng([seed, SWITCHED + number])
    frames, chunk = chunks * FRAMES_PER_LATENT, chunks // 2
    artist, take = Artist(draw_identity(rng), SIZE), speaker(rng, frames)
    first, second = (ask(rng, "expression", value, "held_out") for value in (before, after))
    share = blended(frames, chunk)[:, None]
    motions = [as_if(rng, take, asked("expression", value)) for value in (before, after)]
    motion = ((1 - share) * motions[0] + share * motions[1]).astype(np.float32)
    return Scene(artist, take.pcm, first, SWITCHED + number, motion, ((chunk, second),))


def blended(frames: int, chunk: int) -> NDArray[np.float64]:
    """How far [T] words have come that begin to move when chunk `chunk` is done."""
    start, length = (chunk + 1) * FRAMES_PER_LATENT, BLEND_CHUNKS * FRAMES_PER_LATENT
    return np.clip((np.arange(frames) + 1 - start) / length, 0.0, 1.0)


def dialogue(seed: int, number: int, frames: int) -> Dialogue:
    """One person who speaks and listens in turn, as near to half of the time each as was found.

    As usual in manner; the other's voice bleeds into the microphone.
    """
    rng = np.random.default_rng([seed, TURNED + number])
    artist = Artist(draw_identity(rng), SIZE)
    take, shown = min(stretches(rng, frames), key=lambda found: unevenness(*found))
    listening = turns_of(take)
    motion = life.live(rng, mood(Manner()), take.clean, len(listening), listening, take.glances)
    visemes.put(motion, take.motion[:, _MOUTH])
    sound = cut(take.clean + bleed(rng, "held_out", listening), shown)
    prompt = describe(rng, Manner(), "held_out")
    scene = Scene(artist, sound, prompt, TURNED + number, motion[shown], listening=listening[shown])
    silent = silent_frames(take.phones, len(listening))
    return Dialogue(scene, silent[shown], listening[shown])


def stretches(rng: np.random.Generator, frames: int) -> list[tuple[Performance, slice]]:
    """Takes of which a stretch of `frames` holds both speech and somebody else's turn."""
    found: list[tuple[Performance, slice]] = []
    while len(found) < _FOUND:
        take = perform(rng, max(SEARCHED, frames / FRAME_RATE), "held_out")
        listening = turns_of(take)
        first = most_even(listening, frames)
        shown = slice(first, first + frames)
        if speaks(take.motion[shown, COLUMN["mouth_open"]]) and 0 < listening[shown].sum() < frames:
            found.append((take, shown))
    return found


def turns_of(take: Performance) -> Mask:
    """Where somebody else could have the word [frames], whether or not anybody does."""
    return listening_frames(take.phones, len(take.motion))


def most_even(listening: Mask, frames: int) -> int:
    """Where the stretch of `frames` begins of which closest to half is listening."""
    counted = np.concatenate(([0], np.cumsum(listening)))
    return int(np.argmin(np.abs(counted[frames:] - counted[:-frames] - frames / 2)))


def unevenness(take: Performance, shown: slice) -> float:
    """How far a stretch is from half of it listening, as a share."""
    return abs(float(turns_of(take)[shown].mean()) - 0.5)


def cut(sound: Pcm, shown: slice) -> Pcm:
    """The samples of the frames of a slice."""
    return sound[shown.start * SAMPLES_PER_FRAME : shown.stop * SAMPLES_PER_FRAME]
