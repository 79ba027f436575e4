"""From phones to the mouth: what lips, jaw, teeth and tongue do at 25 frames a second.

Every phone has a target for each mouth channel and a dominance that rises shortly before it and
dies away after it; where dominances overlap, targets blend (M. Cohen, D. Massaro, "Modeling
coarticulation in synthetic visual speech", 1993). The avatar's model hears only 32 ms past its
chunk, so anticipation here is at most 40 ms. This file knows no faces, moods or noise.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from soul.timebase import AUDIO_RATE, SAMPLES_PER_FRAME, exact_div
from soul.training.motion import COLUMN, Motion
from soul.training.speech import SILENCE, Pcm, Phone

Curve = NDArray[np.float64]

MOUTH_CHANNELS = ("mouth_open", "mouth_wide", "lips_press", "jaw", "teeth", "tongue")
ANTICIPATION = 40 * AUDIO_RATE // 1000  # samples: a mouth never moves earlier than this
CLOSING = 120 * AUDIO_RATE // 1000  # samples: after so much silence the mouth is exactly closed

_STEP = 160  # samples: curves are drawn on a 10 ms grid, and frame centres lie on it
_STEPS_PER_FRAME = exact_div(SAMPLES_PER_FRAME, _STEP)
_REST = 4  # steps: 40 ms at full closure, so that a frame's centre always meets it
_EARLY = 0.5  # steps: lips meet this long before the mark of a /p b m/
_RAMP = 3  # steps: 30 ms from open to closed lips and back
_GATE_PAUSE = 90 * AUDIO_RATE // 1000  # pauses below this are held through, as in fluent speech


@dataclass(frozen=True)
class Viseme:
    """Targets of one phone class, and how strongly it claims the jaw's opening and the lips."""

    mouth_open: float
    mouth_wide: float = 0.0
    lips_press: float = 0.0
    jaw: float = 0.0
    teeth: float = 0.0
    tongue: float = 0.0
    dominance: float = 1.0

    def targets(self) -> tuple[float, ...]:
        """The six targets in the order of MOUTH_CHANNELS."""
        lips = (self.mouth_open, self.mouth_wide, self.lips_press)
        return (*lips, self.jaw, self.teeth, self.tongue)


VISEMES: dict[str, Viseme] = {
    "pause": Viseme(0.0, dominance=1.5),
    "bilabial": Viseme(0.0, 0.0, 1.0, 0.05, 0.0, 0.0, 1.5),
    "labiodental": Viseme(0.12, 0.1, 0.0, 0.08, 0.7, 0.0, 1.8),
    "dental": Viseme(0.25, 0.1, 0.0, 0.18, 0.5, 1.0, 1.2),
    "alveolar": Viseme(0.24, 0.2, 0.0, 0.15, 0.6, 0.5, 0.7),
    "lateral": Viseme(0.36, 0.1, 0.0, 0.28, 0.4, 1.0, 0.9),
    "sibilant": Viseme(0.16, 0.45, 0.0, 0.06, 1.0, 0.1, 1.2),
    "postalveolar": Viseme(0.24, -0.55, 0.0, 0.1, 0.9, 0.1, 1.2),
    "rhotic": Viseme(0.28, -0.35, 0.0, 0.2, 0.3, 0.3, 0.7),
    "velar": Viseme(0.3, 0.05, 0.0, 0.22, 0.3, 0.1, 0.6),
    "glottal": Viseme(0.34, 0.0, 0.0, 0.28, 0.2, 0.0, 0.3),
    "labiovelar": Viseme(0.16, -1.0, 0.0, 0.12, 0.0, 0.0, 1.4),
    "palatal": Viseme(0.24, 0.6, 0.0, 0.15, 0.5, 0.2, 0.8),
    "open": Viseme(1.0, 0.1, 0.0, 1.0, 0.35, 0.0),
    "near_open": Viseme(0.88, 0.4, 0.0, 0.85, 0.5, 0.0),
    "open_mid_front": Viseme(0.7, 0.5, 0.0, 0.62, 0.5, 0.05),
    "close_mid_front": Viseme(0.5, 0.7, 0.0, 0.42, 0.5, 0.1),
    "close_front": Viseme(0.32, 1.0, 0.0, 0.22, 0.6, 0.15),
    "front_rounded": Viseme(0.3, -0.8, 0.0, 0.24, 0.1, 0.1),
    "central": Viseme(0.5, 0.0, 0.0, 0.42, 0.3, 0.05, 0.8),
    "open_mid_back": Viseme(0.75, -0.5, 0.0, 0.75, 0.15, 0.0),
    "close_mid_back": Viseme(0.5, -0.8, 0.0, 0.48, 0.05, 0.0),
    "close_back": Viseme(0.28, -1.0, 0.0, 0.26, 0.0, 0.0),
}

VOWELS = frozenset(
    (
        *("open", "near_open", "open_mid_front", "open_mid_back", "central"),
        *("close_mid_front", "close_mid_back", "close_front", "front_rounded", "close_back"),
    )
)

_IPA_CLASSES = {
    "bilabial": "pbmɓβɸ",
    "labiodental": "fvʋɱ",
    "dental": "θð",
    "alveolar": "tdnɾʈɖɳ",
    "lateral": "lɫɭʎɬ",
    "sibilant": "szɕʑ",
    "postalveolar": "ʃʒʂʐɧ",
    "rhotic": "ɹrɻ",
    "velar": "kɡgŋxɣ",
    "glottal": "hʔʁʀɦçħ",
    "labiovelar": "wʍɥ",
    "palatal": "jɲʝ",
    "open": "aɑäᵅ",
    "near_open": "æ",
    "open_mid_front": "ɛœ",
    "close_mid_front": "eɪ",
    "close_front": "iɨ",
    "front_rounded": "yøʏʉ",
    "central": "əɐʌɜɚɝɘɵᵻ",
    "open_mid_back": "ɔɒ",
    "close_mid_back": "oɤ",
    "close_back": "uʊɯ",
}
_CLASS_OF_IPA = {sign: name for name, signs in _IPA_CLASSES.items() for sign in signs}

_ARPABET = {
    **{"aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ə", "ay": "aɪ"},
    **{"b": "b", "ch": "ʃ", "d": "d", "dh": "ð", "dx": "ɾ", "eh": "ɛ", "el": "l", "em": "m"},
    **{"en": "n", "er": "ɜ", "ey": "eɪ", "f": "f", "g": "ɡ", "hh": "h", "hv": "h", "ih": "ɪ"},
    **{"iy": "i", "jh": "ʒ", "k": "k", "l": "l", "m": "m", "n": "n", "nx": "n", "ng": "ŋ"},
    **{"ow": "oʊ", "oy": "ɔɪ", "p": "p", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t", "th": "θ"},
    **{"uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ"},
}


def classes(label: str, engine: str) -> tuple[str, ...]:
    """Viseme classes a phone passes through in turn: "aɪ" → open, close_mid_front; "" → pause.

    `engine` says which alphabet `label` is in: "flite" is ARPAbet, anything else is IPA.
    """
    ipa = _ARPABET.get(label, "") if engine == "flite" else label
    signs = unicodedata.normalize("NFD", ipa)
    found = [_CLASS_OF_IPA[sign] for sign in signs if sign in _CLASS_OF_IPA]
    if "ʃ" in signs or "ʒ" in signs:  # affricates: the lips round from the start
        found = ["postalveolar"]
    merged = [name for index, name in enumerate(found) if index == 0 or found[index - 1] != name]
    return tuple(merged) or ("pause" if label == SILENCE else "central",)


@dataclass(frozen=True)
class _Gesture:
    """A stretch of one viseme class: steps [start, end) on the 10 ms grid, loudness 0 .. 1."""

    viseme: str
    start: float
    end: float
    loudness: float


def mouth(phones: Sequence[Phone], pcm: Pcm, frames: int, engine: str) -> Motion:
    """Mouth channels of `frames` pictures, [frames, 6] in the order of MOUTH_CHANNELS.

    `pcm` is the clean sound that the phones lie in; louder phones open wider. Frame t covers
    samples [640 t, 640 (t + 1)) and shows the mouth at its centre.
    """
    steps = (frames + 1) * _STEPS_PER_FRAME
    curves = np.zeros((steps, len(MOUTH_CHANNELS)))
    gestures = _gestures(phones, pcm, engine)
    if gestures:
        curves = _blend(gestures, steps)
        _close_lips(curves, gestures)
        _gate(curves, phones)
    centres = np.arange(frames) * _STEPS_PER_FRAME + _STEPS_PER_FRAME // 2
    return np.ascontiguousarray(_bounded(curves)[centres], np.float32)


def put(motion: Motion, mouth_rows: Motion) -> None:
    """Write rows of `mouth` [frames, 6] into their columns of a motion [frames, 17], in place."""
    motion[:, [COLUMN[name] for name in MOUTH_CHANNELS]] = mouth_rows


def closures(phones: Sequence[Phone], engine: str) -> NDArray[np.int64]:
    """The first frame in which the lips are closed, for each /p b m/ of `phones`: int64 [n]."""
    starts = [
        start
        for phone in phones
        for name, start, _ in _stretches(phone, engine)
        if name == "bilabial"
    ]
    first = np.array(starts) - _EARLY - _STEPS_PER_FRAME // 2
    return np.asarray(np.maximum(np.ceil(first / _STEPS_PER_FRAME), 0), np.int64)


def _gestures(phones: Sequence[Phone], pcm: Pcm, engine: str) -> list[_Gesture]:
    """One gesture a class a phone passes through."""
    return [
        _Gesture(name, start, end, loud)
        for phone, loud in zip(phones, _loudness(phones, pcm), strict=True)
        for name, start, end in _stretches(phone, engine)
    ]


def _stretches(phone: Phone, engine: str) -> list[tuple[str, float, float]]:
    """Class, first and last step; diphthongs are split, the first part longer."""
    names = classes(phone.label, engine)
    edges = np.linspace(0.0, 1.0, len(names) + 1) ** 0.8
    start, length = phone.start / _STEP, (phone.end - phone.start) / _STEP
    return [
        (name, start + begin * length, start + end * length)
        for name, begin, end in zip(names, edges[:-1], edges[1:], strict=True)
    ]


def _loudness(phones: Sequence[Phone], pcm: Pcm) -> list[float]:
    """Loudness of each phone against the loudest ones of the same sentence: 0 .. 1."""
    rms = [
        float(np.sqrt(np.mean(np.square(pcm[p.start : p.end])))) if p.end <= pcm.size else 0.0
        for p in phones
    ]
    reference = float(np.percentile(rms, 90)) if rms else 0.0
    return [min(1.0, value / reference) if reference > 0 else 0.0 for value in rms]


def _blend(gestures: Sequence[_Gesture], steps: int) -> Curve:
    """Targets weighed by dominance: [steps, 6]. Each gesture touches only its neighbourhood."""
    weighed = np.zeros((steps, len(MOUTH_CHANNELS)))
    weight = np.full((steps, 1), 1e-6)
    for gesture in gestures:
        viseme = VISEMES[gesture.viseme]
        first = max(0, int(gesture.start) - 4)
        last = min(steps, int(gesture.end) + 13)
        dominance = viseme.dominance * _dominance(gesture, np.arange(first, last))[:, None]
        weighed[first:last] += dominance * _scaled(gesture)
        weight[first:last] += dominance
    return np.asarray(weighed / weight)


def _scaled(gesture: _Gesture) -> Curve:
    targets = np.array(VISEMES[gesture.viseme].targets())
    if gesture.viseme in VOWELS:  # quiet vowels are opened less: 55 % .. 100 %
        targets[[0, 3]] *= 0.55 + 0.45 * gesture.loudness
    return targets


def _dominance(gesture: _Gesture, moments: NDArray[np.int64]) -> Curve:
    """1 inside, falling off before (gone at 40 ms) and after (a longer tail) the gesture.

    The first and last 20 ms inside already give way, so that neighbours meet in a slope.
    """
    inside = min(2.0, 0.25 * (gesture.end - gesture.start))
    before = np.maximum(0.0, gesture.start + inside - moments)
    after = np.maximum(0.0, moments - (gesture.end - inside))
    rise = np.exp(-np.square(before / 2.2)) * (moments > gesture.start - 4.0)
    return np.asarray(rise * np.exp(-np.square(after / 3.5)))


def _close_lips(curves: Curve, gestures: Sequence[_Gesture]) -> None:
    """/p b m/ meet fully: opening goes to exactly 0 and pressure to 1 for at least 40 ms."""
    for gesture in gestures:
        if gesture.viseme != "bilabial":
            continue
        start = gesture.start - _EARLY
        end = max(start + _REST, gesture.end - _RAMP)  # open again when the next phone begins
        closed = _trapezoid(curves.shape[0], start, end, _RAMP)
        curves[:, 0] *= 1.0 - closed
        curves[:, 2] = np.maximum(curves[:, 2], closed)


def _gate(curves: Curve, phones: Sequence[Phone]) -> None:
    """Silence is exactly closed: 100 ms after it begins, until 40 ms before the next sound."""
    for index, phone in enumerate(phones):
        if phone.label != SILENCE or phone.end - phone.start < _GATE_PAUSE:
            continue
        start = phone.start / _STEP + (10 if index else -1)
        last = index == len(phones) - 1
        end = curves.shape[0] + 1 if last else (phone.end - ANTICIPATION) / _STEP
        quiet = _trapezoid(curves.shape[0], start, max(start, end), 8, 1)
        curves *= 1.0 - quiet[:, None]


def _trapezoid(steps: int, start: float, end: float, rise: float, fall: float = _RAMP) -> Curve:
    """1 in [start, end], smooth ramps of `rise` steps before and `fall` steps after it."""
    moments = np.arange(steps)
    up = np.clip((moments - start + rise) / rise, 0.0, 1.0)
    down = np.clip((end + fall - moments) / fall, 0.0, 1.0)
    line = np.minimum(up, down)
    return np.asarray(line * line * (3.0 - 2.0 * line))


def _bounded(curves: Curve) -> Curve:
    """Limits of the channels; pressed lips, teeth and tongue agree with the opening."""
    low = np.array([0.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    bounded = np.clip(curves, low, 1.0)
    bounded[bounded[:, 0] < 0.02, 0] = 0.0
    visible = np.clip(bounded[:, 0] / 0.1, 0.0, 1.0)
    bounded[:, 4] *= visible
    bounded[:, 5] *= visible
    bounded[bounded[:, 0] > 0, 2] = 0.0
    return bounded
