"""Takes hold together: sound, motion and masks agree in length and in what happens when."""

import numpy as np
import pytest

from soul.measure.lips import best_lag, bilabial_closure
from soul.training.motion import CHANNELS, COLUMN
from soul.training.performance import (
    Performance,
    draw_voice,
    listening_frames,
    perform,
    silent_frames,
)
from soul.training.speech import SILENCE, VOICES, Phone
from soul.training.visemes import classes

OPEN = COLUMN["mouth_open"]


@pytest.fixture(scope="module")
def takes() -> list[Performance]:
    rng = np.random.default_rng(7)
    return [perform(rng, 8.0, "train" if index % 2 else "held_out") for index in range(24)]


def test_shapes_agree(takes: list[Performance]) -> None:
    for take in takes:
        assert take.motion.shape == (200, len(CHANNELS))
        assert take.pcm.shape == take.clean.shape == (200 * 640,)
        assert take.silent.shape == (200,)
        assert take.pcm.dtype == take.motion.dtype == np.float32
        assert np.isfinite(take.motion).all()
        assert take.phones[0].start == 0
        assert take.phones[-1].end == 200 * 640


def test_the_mouth_is_exactly_closed_in_silence(takes: list[Performance]) -> None:
    assert sum(int(take.silent.sum()) for take in takes) > 200
    for take in takes:
        assert not take.motion[take.silent, OPEN].any()


def test_about_a_third_is_pause_and_some_takes_are_silent(takes: list[Performance]) -> None:
    pauses = [sum(p.end - p.start for p in take.phones if p.label == SILENCE) for take in takes]
    assert 0.15 < np.mean(pauses) / (200 * 640) < 0.55
    assert any(not take.clean.any() for take in takes)


def test_the_mouth_moves_with_the_sound(takes: list[Performance]) -> None:
    lags = []
    for take in takes:
        if take.clean.any():
            loudness = np.sqrt(np.mean(np.square(take.clean.reshape(200, 640)), axis=1))
            lags.append(best_lag(loudness, take.motion[:, OPEN]))
    assert np.median([abs(lag.frames) for lag in lags]) <= 1
    assert np.mean([lag.correlation for lag in lags]) > 0.5


def test_speech_opens_visibly_and_lips_meet(takes: list[Performance]) -> None:
    speaking = [take for take in takes if take.clean.any()]
    assert np.median([take.motion[:, OPEN].max() for take in speaking]) > 0.8
    rates = []
    for take in speaking:
        closures = [
            (p.start + p.end) // 2 // 640
            for p in take.phones
            if classes(p.label, take.engine) == ("bilabial",)
        ]
        rates.append(bilabial_closure(take.motion[:, OPEN], closures, threshold=0.01))
    assert np.nanmin(rates) == 1.0


def test_silence_leaves_out_closing_and_opening() -> None:
    phones = (Phone("a", 0, 6400), Phone(SILENCE, 6400, 16_000), Phone("a", 16_000, 19_200))
    centres = np.flatnonzero(silent_frames(phones, 30)) * 40 + 20
    assert centres[0] >= 400 + 120
    assert centres[-1] <= 1000 - 40
    short = (Phone("a", 0, 6400), Phone(SILENCE, 6400, 12_000), Phone("a", 12_000, 19_200))
    assert not silent_frames(short, 30).any()


def test_the_augmented_sound_is_not_the_clean_one(takes: list[Performance]) -> None:
    assert np.mean([np.array_equal(take.pcm, take.clean) for take in takes]) < 0.3


def test_voices_keep_to_their_split() -> None:
    rng = np.random.default_rng(0)
    names = {voice.name for voice in VOICES["held_out"]}
    assert all(draw_voice(rng, "held_out").name in names for _ in range(30))
    assert not any(draw_voice(rng, "train").name in names for _ in range(30))


def test_broken_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.03 s is not a whole number"):
        perform(np.random.default_rng(0), 0.03, "train")


def test_somebody_else_has_the_word_in_long_pauses_only(takes: list[Performance]) -> None:
    assert any(take.listening.any() for take in takes)
    for take in takes:
        assert not take.motion[take.listening, OPEN].any()
    phones = (Phone("a", 0, 6400), Phone(SILENCE, 6400, 38_400), Phone("a", 38_400, 44_800))
    found = np.flatnonzero(listening_frames(phones, 70)) * 40
    assert 400 < found[0] < 700
    assert 2000 < found[-1] < 2400
    short = (Phone("a", 0, 6400), Phone(SILENCE, 6400, 22_400), Phone("a", 22_400, 28_800))
    assert not listening_frames(short, 45).any()
