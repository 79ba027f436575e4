"""The mouth follows the phones: vowels open, /p b m/ close fully, silence is closed exactly."""

import numpy as np
import pytest

from soul.timebase import AUDIO_RATE, SAMPLES_PER_FRAME
from soul.training.motion import COLUMN, neutral
from soul.training.speech import SILENCE, Pcm, Phone
from soul.training.visemes import MOUTH_CHANNELS, classes, closures, mouth, put

OPEN, WIDE, PRESS = (MOUTH_CHANNELS.index(n) for n in ("mouth_open", "mouth_wide", "lips_press"))


def spoken(*parts: tuple[str, int]) -> tuple[list[Phone], Pcm, int]:
    """(label, milliseconds) → phones, a sound that is loud in them and silent in pauses, frames."""
    phones: list[Phone] = []
    pieces: list[Pcm] = []
    start = 0
    for label, milliseconds in parts:
        length = milliseconds * AUDIO_RATE // 1000
        phones.append(Phone(label, start, start + length))
        pieces.append(np.full(length, 0.0 if label == SILENCE else 0.1, np.float32))
        start += length
    return phones, np.concatenate(pieces), start // SAMPLES_PER_FRAME


def centres(frames: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.asarray((np.arange(frames) + 0.5) * 40.0)


def test_open_vowel_is_wide_open_and_silence_exactly_closed() -> None:
    phones, pcm, frames = spoken((SILENCE, 600), ("ɑ", 240), (SILENCE, 600))
    opening = mouth(phones, pcm, frames, "espeak")[:, OPEN]
    at = centres(frames)
    assert opening[(at > 640) & (at < 800)].min() > 0.8
    assert not opening[at <= 600 - 40].any()
    assert not opening[at >= 840 + 120].any()


@pytest.mark.parametrize("consonant", ["p", "b", "m"])
@pytest.mark.parametrize("offset", range(0, 40, 8))
def test_bilabials_close_fully_wherever_frames_fall(consonant: str, offset: int) -> None:
    parts = ((SILENCE, 200 + offset), ("a", 150), (consonant, 70), ("a", 150), (SILENCE, 230))
    phones, pcm, frames = spoken(*parts)
    rows = mouth(phones, pcm, frames, "espeak")
    at = centres(frames) - 350 - offset
    inside = (at > -10) & (at < 70)
    closed = rows[inside][:, OPEN] == 0.0
    assert closed.any()
    assert rows[inside][closed][:, PRESS].max() > 0.9
    assert rows[(at > -120) & (at < -60)][:, OPEN].max() > 0.6
    assert rows[(at > 120) & (at < 190)][:, OPEN].max() > 0.6


def test_the_mouth_anticipates_by_40_ms_at_most() -> None:
    early, _, _ = spoken((SILENCE, 1000), ("i", 200), ("u", 200), (SILENCE, 200))
    late, _, _ = spoken((SILENCE, 1000), ("i", 200), ("ɑ", 200), (SILENCE, 200))
    pcm = np.full(AUDIO_RATE * 2, 0.1, np.float32)
    first, second = (mouth(phones, pcm, 40, "espeak") for phones in (early, late))
    differs = np.flatnonzero(np.any(first != second, axis=1))
    assert centres(40)[differs[0]] >= 1200 - 40


def test_louder_vowels_open_wider() -> None:
    phones, pcm, frames = spoken((SILENCE, 200), ("a", 200), ("t", 60), ("a", 200), (SILENCE, 300))
    pcm[phones[1].start : phones[1].end] *= 0.2
    opening = mouth(phones, pcm, frames, "espeak")[:, OPEN]
    at = centres(frames)
    assert opening[(at > 200) & (at < 400)].max() < 0.8 * opening[(at > 460) & (at < 660)].max()


def test_rounding_and_spreading() -> None:
    phones, pcm, frames = spoken((SILENCE, 200), ("u", 200), ("i", 200), (SILENCE, 200))
    wide = mouth(phones, pcm, frames, "espeak")[:, WIDE]
    at = centres(frames)
    assert wide[(at > 260) & (at < 360)].max() < -0.6
    assert wide[(at > 460) & (at < 560)].min() > 0.6


def test_short_pauses_inside_speech_do_not_snap_the_mouth_shut() -> None:
    phones, pcm, frames = spoken(("a", 200), (SILENCE, 70), ("a", 200))
    assert mouth(phones, pcm, frames, "espeak")[2:9, OPEN].min() > 0.1


def test_silence_alone_is_a_closed_mouth() -> None:
    phones, pcm, frames = spoken((SILENCE, 1000))
    assert not mouth(phones, pcm, frames, "espeak").any()
    assert not mouth([], pcm, frames, "espeak").any()


@pytest.mark.parametrize(
    ("label", "engine", "expected"),
    [
        ("aɪ", "espeak", ("open", "close_mid_front")),
        ("ay", "flite", ("open", "close_mid_front")),
        ("tʃ", "espeak", ("postalveolar",)),
        ("ɛ̃", "espeak", ("open_mid_front",)),
        ("m", "flite", ("bilabial",)),
        (SILENCE, "flite", ("pause",)),
    ],
)
def test_labels_of_both_alphabets(label: str, engine: str, expected: tuple[str, ...]) -> None:
    assert classes(label, engine) == expected


def test_put_touches_the_mouth_only() -> None:
    motion = neutral(3)
    put(motion, np.full((3, len(MOUTH_CHANNELS)), 0.5, np.float32))
    assert (motion[:, COLUMN["jaw"]] == 0.5).all()
    assert (motion[:, COLUMN["eye_left"]] == 1.0).all()
    assert not motion[:, COLUMN["smile"]].any()


@pytest.mark.parametrize(
    ("engine", "labels"), [("espeak", ("p", "b", "m", "m\u0329")), ("flite", ("p", "b", "m", "em"))]
)
@pytest.mark.parametrize("offset", [0, 13, 27])
def test_closures_are_frames_with_closed_lips(
    engine: str, labels: tuple[str, ...], offset: int
) -> None:
    vowel = "a" if engine == "espeak" else "aa"
    parts = [(SILENCE, 200 + offset)]
    for label in labels:
        parts += [(vowel, 150), (label, 70)]
    phones, pcm, frames = spoken(*parts, (vowel, 150), (SILENCE, 200))
    found = closures(phones, engine)
    opening = mouth(phones, pcm, frames, engine)[:, OPEN]
    assert found.size == len(labels)
    assert not opening[found].any()
    assert opening[found - 2].min() > 0.1
    starts = np.array([p.start for p in phones if p.label in labels]) / SAMPLES_PER_FRAME
    assert np.abs(found + 0.5 - starts).max() <= 1.0


def test_other_consonants_close_no_lips() -> None:
    phones, _, _ = spoken((SILENCE, 100), ("f", 80), ("w", 80), ("t", 80), ("u", 80))
    assert closures(phones, "espeak").size == 0
    assert closures([], "flite").size == 0
