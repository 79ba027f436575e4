"""Recordings of people, played by a held-out face: does the mouth hold for a real voice?

Nobody filmed the speakers. What their lips should have done is aligned, not seen: `alignment` gives
the phones their times, `visemes` the mouth its motion. Every figure here holds only as far as that
does, which is measured too, on voices whose phones have known times. Knows no files and no pages.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from soul.model.manner import mood
from soul.timebase import (
    AUDIO_RATE,
    FRAMES_PER_LATENT,
    SAMPLES_PER_FRAME,
    SAMPLES_PER_LATENT,
)
from soul.training.alignment import Accuracy, Alignment, AlignmentError, align, known_answers
from soul.training.conditions import Heard, Row, row_of
from soul.training.figures import Mask
from soul.training.life import live
from soul.training.manner import describe, draw_manner
from soul.training.motion import COLUMN
from soul.training.performance import silent_frames
from soul.training.probe import SIZE, Probe
from soul.training.speech import SILENCE, Pcm, Phone, SpeechError
from soul.training.takes import Actor, Scene, drawn
from soul.training.visemes import closures, mouth, put
from soul.training.world import Artist, draw_identity

RECORDED = 40_000  # added to the number of a take: other takes than the trials
SHORTEST = 0.5  # seconds: below it a mouth has no lag
TRUTH = (
    "aligned, not seen: eSpeak NG spoke the text, dynamic time warping gave its phones the "
    "recording's times, and the mouth follows from them"
)


@dataclass(frozen=True)
class Recording:
    """Somebody's voice, float32 [n] at 16 kHz, what it says, and eSpeak's name of the language."""

    name: str
    pcm: Pcm
    text: str
    language: str


@dataclass(frozen=True)
class Told:
    """A recording and where its phones are."""

    recording: Recording
    alignment: Alignment


@dataclass(frozen=True, slots=True)
class Speaker:
    """One recording's figures; `unlikeness` is its distance from the twin that it was aligned
    with, in deviations of the cepstrum: one far above the others was aligned badly."""

    language: str
    seconds: float
    unlikeness: float
    row: Row


@dataclass(frozen=True, slots=True)
class Recorded:
    """All recordings: how far the aligned truth can be trusted, and how the mouth followed it."""

    aligner: Accuracy
    together: Row
    speakers: tuple[Speaker, ...]


def tell(recordings: Sequence[Recording]) -> list[Told]:
    """Align all of them. Raises AlignmentError that names the first for which it cannot be done."""
    return [Told(one, _aligned(one)) for one in recordings]


def _aligned(recording: Recording) -> Alignment:
    try:
        if recording.pcm.size < SHORTEST * AUDIO_RATE:
            seconds = recording.pcm.size / AUDIO_RATE
            raise AlignmentError(f"{seconds:.2f} s are too short, expected at least {SHORTEST:g}")
        return align(recording.pcm, recording.text, recording.language)
    except (AlignmentError, SpeechError) as error:
        raise AlignmentError(f"{recording.name}: {error}") from error


def judge(actor: Actor, probe: Probe, seed: int, told: Sequence[Told]) -> Recorded | None:
    """Play all recordings, each by another face; None if there are none."""
    if not told:
        return None
    heard = [play(actor, probe, seed, number, one) for number, one in enumerate(told)]
    languages = sorted({one.recording.language for one in told})
    return Recorded(
        aligner=known_answers(seed, languages),
        together=row_of("all recordings", heard),
        speakers=tuple(_speaker(one, take) for one, take in zip(told, heard, strict=True)),
    )


def _speaker(told: Told, take: Heard) -> Speaker:
    seconds = told.recording.pcm.size / AUDIO_RATE
    unlikeness = told.alignment.distance
    return Speaker(told.recording.language, seconds, unlikeness, row_of(take.name, [take]))


def play(actor: Actor, probe: Probe, seed: int, number: int, told: Told) -> Heard:
    """One recording by a drawn held-out face, filled up with silence to a whole chunk.

    Silence is the recording's own: what it is filled up with does not count.
    """
    rng = np.random.default_rng([seed, RECORDED + number])
    artist, manner = Artist(draw_identity(rng), SIZE), draw_manner(rng)
    recording, phones = told.recording, told.alignment.phones
    chunks = -(-recording.pcm.size // SAMPLES_PER_LATENT)
    frames = chunks * FRAMES_PER_LATENT
    sound = np.zeros(chunks * SAMPLES_PER_LATENT, np.float32)
    sound[: recording.pcm.size] = recording.pcm
    motion = live(rng, mood(manner), sound, frames)
    put(motion, mouth(_filled(phones, sound.size), sound, frames, "espeak"))
    prompt = describe(rng, manner, "held_out")
    scene = Scene(artist, sound, prompt, RECORDED + number, motion)
    return Heard(
        name=recording.name,
        truth=motion[:, COLUMN["mouth_open"]],
        seen=probe.read(actor(scene).pictures).mouth_open,
        renders=probe.read(drawn(scene).pictures).mouth_open,
        silent=_own_silence(phones, recording.pcm.size, frames),
        closures=closures(phones, "espeak"),
    )


def _filled(phones: Sequence[Phone], samples: int) -> list[Phone]:
    """Phones that tile the sound and the silence after it."""
    last = phones[-1]
    if last.label == SILENCE:
        return [*phones[:-1], Phone(SILENCE, last.start, samples)]
    return [*phones, Phone(SILENCE, last.end, samples)] if last.end < samples else list(phones)


def _own_silence(phones: tuple[Phone, ...], samples: int, frames: int) -> Mask:
    silent = silent_frames(phones, frames)
    silent[samples // SAMPLES_PER_FRAME :] = False
    return silent


def as_json(recorded: Recorded) -> dict[str, object]:
    """What report.json says of recordings, their truth's nature first."""
    return {
        "truth": TRUTH,
        "aligner": asdict(recorded.aligner),
        "together": asdict(recorded.together),
        "takes": [
            {"language": one.language, "seconds": one.seconds, "unlikeness": one.unlikeness}
            | asdict(one.row)
            for one in recorded.speakers
        ],
    }
