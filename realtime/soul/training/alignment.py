"""Where each phone lies in a recording, from its text alone: forced alignment by a spoken twin.

As aeneas does it (https://github.com/readbeyond/aeneas): eSpeak NG speaks the text and says when
each phone begins, dynamic time warping (H. Sakoe, S. Chiba, 1978) lays the synthetic sound along
the recording by its cepstrum, and phones take the recording's times. What comes out is an
estimate, never seen: `known_answers` says how far off it is where the answer is known. Knows no
faces and no files.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dct

from soul.measure.life import runs
from soul.measure.lips import correlation
from soul.model.audio import log_mel
from soul.timebase import AUDIO_RATE, MEL_HOP, MEL_WINDOW, SAMPLES_PER_FRAME
from soul.training import sentences
from soul.training.speech import SILENCE, VOICES, Pcm, Phone, Speech, Voice, speak
from soul.training.visemes import classes, mouth

Matrix = NDArray[np.float64]
Mask = NDArray[np.bool_]

LONGEST = 60.0  # seconds: the cost of laying two sounds along each other grows with their product
TWINS = ("", "f2")  # a man's and a woman's voice; the one that resembles the recording more is kept
_MELS, _CEPSTRA = 40, 13
_DELTA = np.array([2.0, 1.0, 0.0, -1.0, -2.0]) / 10.0  # slope of a line through five hops
_DELTA_WEIGHT = 0.6
_QUIET, _LEAST = (
    35.0,
    15.0,
)  # dB below loud speech: silence for sure above it, speech for sure below
_OVER_FLOOR = 6.0  # dB by which a voice is louder than the room
_PAUSE = 20  # hops, 200 ms: what is quiet for less is the hold of a stop
_CLICK = 5  # hops: what sounds for less, between two pauses, is no speech
_UNPAUSED = 12.0  # hops by which a pause of the twin may be further away than where it has none
_PAUSE_KEPT = 8  # hops that stand for a pause, however long it is
_HOPS_A_PHONE = 3  # 30 ms: nobody speaks faster on average
_SPEEDS = (0.5, 2.0)  # how far eSpeak is slowed or hurried to keep pace with a recording


class AlignmentError(Exception):
    """A recording and its text do not go together; the message is one sentence."""


@dataclass(frozen=True)
class Alignment:
    """Phones that tile a recording, eSpeak's IPA; `distance` is how unlike its twin sounds."""

    phones: tuple[Phone, ...]
    distance: float


def align(pcm: Pcm, text: str, language: str) -> Alignment:
    """Phones of a recording [n] at 16 kHz in which `text` is said; pauses are the recording's own.

    Raises AlignmentError if it is silent, too long, or too short for the text, SpeechError if
    eSpeak does not know `language` or is not there.
    """
    if pcm.size > LONGEST * AUDIO_RATE:
        raise AlignmentError(
            f"the recording lasts {pcm.size / AUDIO_RATE:.0f} s, expected at most {LONGEST:g}: "
            "cut it into sentences"
        )
    voiced = ~pauses(pcm)
    if not voiced.any():
        raise AlignmentError("the recording is silent, expected speech")
    return min(
        (_along(pcm, voiced, twin) for twin in _twins(text, language, int(voiced.sum()))),
        key=lambda found: found.distance,
    )


def _twins(text: str, language: str, hops: int) -> list[Speech]:
    """The text in the voices of TWINS, each at the speed at which it lasts about `hops`."""
    spoken = []
    for variant in TWINS:
        voice = Voice("espeak", f"{language}+{variant}" if variant else language, language)
        first = speak(text, voice)
        _check(hops, len(_sounding(first.phones)), text)
        pace = int(_spoken(first).sum()) / hops
        spoken.append(speak(text, replace(voice, speed=float(np.clip(pace, *_SPEEDS)))))
    return spoken


def _check(hops: int, sounds: int, text: str) -> None:
    if hops < _HOPS_A_PHONE * sounds:
        raise AlignmentError(
            f"{hops * MEL_HOP / AUDIO_RATE:.1f} s of voice are too short for the {sounds} sounds "
            f"of {text!r}: is it what is said?"
        )


def _along(pcm: Pcm, voiced: Mask, twin: Speech) -> Alignment:
    """The twin's phones at the recording's times."""
    spoken = _spoken(twin)
    rows, columns = _kept(spoken), _kept(voiced)
    path, distance = warp(_cost(cepstra(twin.pcm, spoken), cepstra(pcm, voiced), rows, columns))
    phones = _sounding(twin.phones)
    meets = np.array([(p.end + n.start) / (2 * MEL_HOP) for p, n in pairwise(phones)])
    apart = np.array([n.start - p.end for p, n in pairwise(phones)]) > 0
    edges = _crossed(path, np.searchsorted(rows.hops, np.round(meets)))
    edges = np.interp(edges, np.arange(columns.hops.size), columns.sounding_before)
    total = int(voiced.sum())
    edges = np.concatenate(([0.0], _snapped(edges, apart, _breaks(voiced)), [total]))
    return Alignment(_tiled(phones, _apart(edges, total), voiced, pcm.size), distance)


@dataclass(frozen=True)
class _Kept:
    """Hops that are laid along each other: all that sound, and a little of each inner pause."""

    hops: NDArray[np.int64]  # [k], ascending
    sounding: Mask  # [k]
    sounding_before: NDArray[np.int64]  # [k], how many sounding hops lie before each


def _kept(sounding: Mask) -> _Kept:
    keep = sounding.copy()
    for start, end in runs(~sounding):
        if start > 0 and end < sounding.size:
            keep[start : min(end, start + _PAUSE_KEPT)] = True
    hops = np.flatnonzero(keep)
    return _Kept(hops, sounding[hops], (np.cumsum(sounding) - sounding)[hops])


def _cost(twin: Matrix, recording: Matrix, rows: _Kept, columns: _Kept) -> Matrix:
    """Unlikeness of sounds; pauses are alike, and like no sound, wherever they are."""
    between = unlikeness(twin, recording)
    cost = np.full((rows.hops.size, columns.hops.size), between.mean())
    cost[np.ix_(rows.sounding, columns.sounding)] = between
    cost[np.ix_(~rows.sounding, ~columns.sounding)] = 0.0
    return cost


def _sounding(phones: Sequence[Phone]) -> list[Phone]:
    return [phone for phone in phones if phone.label != SILENCE]


def _spoken(twin: Speech) -> Mask:
    """Hops of a synthetic sentence that are in no pause."""
    spoken = np.ones(-(-twin.pcm.size // MEL_HOP), np.bool_)
    for phone in twin.phones:
        if phone.label == SILENCE:
            spoken[round(phone.start / MEL_HOP) : round(phone.end / MEL_HOP)] = False
    return spoken


def pauses(pcm: Pcm) -> Mask:
    """Hops of 10 ms in which a recording [n] is quiet: for 200 ms at least, or at its ends.

    Quiet is 35 dB below its loud speech, or hardly above its own noise.
    """
    hops = np.zeros((-(-pcm.size // MEL_HOP), MEL_HOP))
    hops.ravel()[: pcm.size] = pcm
    level = 10.0 * np.log10(np.mean(np.square(hops), axis=1) + 1e-10)
    loud, floor = np.percentile(level, 95), np.percentile(level, 5)
    limit = min(max(loud - _QUIET, floor + _OVER_FLOOR), loud - _LEAST)
    quiet = (level < limit) | (level < -85.0)
    for start, end in runs(quiet):
        if end - start < _PAUSE and start > 0 and end < quiet.size:
            quiet[start:end] = False
    for start, end in runs(~quiet):
        quiet[start:end] = end - start < _CLICK
    return np.asarray(quiet, np.bool_)


def cepstra(pcm: Pcm, sounding: Mask) -> Matrix:
    """Mel cepstrum and its slope in the `sounding` hops [h] of a sound: [k, 26].

    Each coefficient is brought to mean 0 and deviation 1 over them: what is left of a voice, its
    microphone and its loudness.
    """
    padded = np.zeros(sounding.size * MEL_HOP + MEL_WINDOW - MEL_HOP, np.float32)
    first = (MEL_WINDOW - MEL_HOP) // 2
    padded[first : first + pcm.size] = pcm[: padded.size - first]
    levels = log_mel(torch.from_numpy(padded)[None], _MELS)[0].numpy().T.astype(np.float64)
    levels = np.maximum(levels, levels.max() - 1.25)  # 50 dB: below it there is only noise
    coefficients = dct(levels, axis=1, norm="ortho")[:, :_CEPSTRA]
    extended = np.pad(coefficients, ((2, 2), (0, 0)), "edge")
    slopes = np.stack([np.convolve(column, _DELTA, "valid") for column in extended.T], axis=1)
    parts = (_standard(coefficients[sounding]), _DELTA_WEIGHT * _standard(slopes[sounding]))
    return np.concatenate(parts, axis=1)


def _standard(values: Matrix) -> Matrix:
    return np.asarray((values - values.mean(0)) / (values.std(0) + 1e-6))


def unlikeness(first: Matrix, second: Matrix) -> Matrix:
    """Euclidean distances of all rows of [n, d] from all of [m, d]: [n, m]."""
    squares = np.sum(first * first, axis=1)[:, None] + np.sum(second * second, axis=1)
    return np.asarray(np.sqrt(np.maximum(squares - 2.0 * first @ second.T, 0.0)))


def warp(cost: Matrix) -> tuple[NDArray[np.int64], float]:
    """The cheapest way through a cost [n, m] from corner to corner, by steps of one down, right or
    both: [k, 2], and what it costs on average over its rows and columns."""
    rows, columns = cost.shape
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    came = np.zeros((rows + 1, columns + 1), np.int8)
    for diagonal in range(2, rows + columns + 1):  # all cells of one depend on the two before only
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        j = diagonal - i
        before = np.stack((total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]))
        came[i, j] = np.argmin(before, axis=0)
        total[i, j] = cost[i - 1, j - 1] + before.min(axis=0)
    return _traced(came), float(total[rows, columns]) / (rows + columns)


def _traced(came: NDArray[np.int8]) -> NDArray[np.int64]:
    i, j = came.shape[0] - 1, came.shape[1] - 1
    path = []
    while i > 0 and j > 0:
        path.append((i - 1, j - 1))
        step = came[i, j]
        i, j = i - (step != 2), j - (step != 1)
    return np.array(path[::-1], np.int64)


def _crossed(path: NDArray[np.int64], edges: NDArray[np.int64]) -> Matrix:
    """Places between rows, as places between columns."""
    centres = np.bincount(path[:, 0], path[:, 1]) / np.bincount(path[:, 0])
    return np.asarray(np.interp(edges - 0.5, np.arange(centres.size), centres) + 0.5)


def _breaks(voiced: Mask) -> NDArray[np.int64]:
    """How many voiced hops lie before each pause that has some before and after it."""
    counted = [int(voiced[:start].sum()) for start, _ in runs(~voiced)]
    return np.array([count for count in counted if 0 < count < voiced.sum()], np.int64)


def _snapped(edges: Matrix, apart: Mask, breaks: NDArray[np.int64]) -> Matrix:
    """Nobody pauses within a phone: the edge nearest to a pause is at it.

    Those at which the twin pauses too, its phones being `apart`, count as nearer.
    """
    moved = edges.copy()
    for place in breaks.tolist() if edges.size else ():
        moved[np.argmin(np.abs(edges - place) + np.where(apart, 0.0, _UNPAUSED))] = place
    return np.sort(moved)


def _apart(edges: Matrix, hops: int) -> Matrix:
    """Every phone lasts a hop at least; the outer edges stay."""
    steps = np.arange(len(edges))
    forward = np.maximum.accumulate(np.round(edges) - steps) + steps
    latest = hops - steps[::-1]
    return np.asarray(np.minimum(forward, latest), np.float64)


def _tiled(phones: list[Phone], edges: Matrix, voiced: Mask, samples: int) -> tuple[Phone, ...]:
    """Phones between the `edges`, counted in voiced hops, with the pauses put back."""
    whose = np.full(voiced.size, -1)
    whose[voiced] = np.searchsorted(edges, np.arange(voiced.sum()), side="right") - 1
    starts = [0, *(1 + np.flatnonzero(np.diff(whose))).tolist()]
    ends = [*starts[1:], voiced.size]
    return tuple(
        Phone(
            SILENCE if whose[start] < 0 else phones[whose[start]].label,
            start * MEL_HOP,
            min(end * MEL_HOP, samples),
        )
        for start, end in zip(starts, ends, strict=True)
    )


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How well the aligner does where the answer is known: voices whose phones have known times.

    The correlation is that of the mouth's opening by aligned phones with that by the known ones:
    no model can be told to do better than that.
    """

    sentences: int
    sounds: int
    median_error_ms: float
    within_40_ms: float
    opening_correlation: float


def known_answers(seed: int, languages: Sequence[str], count: int = 2) -> Accuracy:
    """Align `count` held-out sentences of each language in each kind of held-out voice.

    A language without sentences of its own is left to the others; English is always there. Flite
    counts for more than eSpeak: it is another synthesiser, with sounds and times of its own.
    """
    rng = np.random.default_rng(seed)
    spoken = [
        speak(sentences.draw_sentence(rng, voice.language, "held_out"), voice)
        for voice in _judges(languages)
        for _ in range(count)
    ]
    found = [(one, align(one.pcm, one.text, _language(one.voice)).phones) for one in spoken]
    errors = np.concatenate([start_errors(one, phones) for one, phones in found])
    return Accuracy(
        sentences=len(spoken),
        sounds=errors.size,
        median_error_ms=float(np.median(errors)),
        within_40_ms=float(np.mean(errors <= 40.0)),
        opening_correlation=float(np.mean([_agreement(one, phones) for one, phones in found])),
    )


def _language(voice: Voice) -> str:
    """eSpeak's name of what a held-out voice speaks; Flite's are American."""
    return voice.name.split("+")[0] if voice.engine == "espeak" else "en-us"


def _judges(languages: Sequence[str]) -> list[Voice]:
    """Held-out voices of the languages and of English, at a speed that is not the twin's."""
    known = {language.split("-")[0] for language in languages} | {"en"}
    return [
        replace(voice, speed=0.85, pitch=0.4)
        for voice in VOICES["held_out"]
        if voice.language in known
        and (voice.engine == "flite" or voice.name == f"{voice.language}+f3")
    ]


def start_errors(spoken: Speech, phones: Sequence[Phone]) -> Matrix:
    """How far from its known beginning each phone is, in ms; those that both have, in order."""
    known = _sounding(spoken.phones)
    found = _sounding(phones)
    names = [classes(phone.label, "espeak") for phone in found]
    wanted = [classes(phone.label, spoken.voice.engine) for phone in known]
    blocks = SequenceMatcher(None, names, wanted, autojunk=False).get_matching_blocks()
    pairs = [(block.a + n, block.b + n) for block in blocks for n in range(block.size)]
    errors = [abs(found[a].start - known[b].start) * 1000.0 / AUDIO_RATE for a, b in pairs]
    return np.array(errors, np.float64)


def _agreement(spoken: Speech, phones: Sequence[Phone]) -> float:
    frames = spoken.pcm.size // SAMPLES_PER_FRAME
    aligned = mouth(phones, spoken.pcm, frames, "espeak")[:, 0]
    return correlation(mouth(spoken.phones, spoken.pcm, frames, spoken.voice.engine)[:, 0], aligned)
