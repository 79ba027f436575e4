"""Conditions change the voice or its way and nothing else; the world is a perfect actor in all."""

from dataclasses import replace

import numpy as np
import pytest

from soul.measure.lips import correlation
from soul.training.conditions import (
    CONDITIONED,
    CONDITIONS,
    VOICED,
    Heard,
    Script,
    draw_script,
    hands_free,
    lips_of,
    listen,
    opus,
    overdriven,
    row_of,
    rows_of,
    say,
    sung,
    through,
    utter,
)
from soul.training.probe import Probe
from soul.training.speech import SILENCE, VOICES, Pcm, Voice, speak
from soul.training.takes import Played, Scene, drawn

SECOND = 16_000
SENTENCE = "My mother bought a big apple."
VOICE = Voice("espeak", "en-us+m4", "en")


def pitch(pcm: Pcm) -> tuple[float, float]:
    """Median pitch of 40 ms blocks with a voice, in Hz, and how periodic loud blocks are."""
    blocks = pcm[: pcm.size // 640 * 640].reshape(-1, 640)
    level = np.sqrt(np.mean(np.square(blocks), axis=1))
    loud = blocks[level > 0.4 * level.max()]
    found = np.fft.irfft(np.abs(np.fft.rfft(loud, 1280, axis=1)) ** 2, axis=1)
    lags = 32 + np.argmax(found[:, 32:230], axis=1)
    share = found[np.arange(len(lags)), lags] / found[:, 0]
    return float(np.median(SECOND / lags)), float(np.median(share))


def loudness(pcm: Pcm, hop: int = 640) -> Pcm:
    blocks = pcm[: pcm.size // hop * hop].reshape(-1, hop)
    return np.asarray(np.sqrt(np.mean(np.square(blocks), axis=1)), np.float32)


@pytest.fixture(scope="module")
def script() -> Script:
    return replace(draw_script(np.random.default_rng(3), 100), voice=VOICE)


def test_no_voice_of_a_condition_is_among_those_of_training() -> None:
    trained = {voice.name for voice in VOICES["train"]}
    for name in CONDITIONS:
        assert utter("Mama.", VOICE, name).voice.name not in trained


def test_the_same_words_in_every_voice() -> None:
    plain = speak(SENTENCE, VOICE)
    for name in VOICED:
        said = utter(SENTENCE, VOICE, name)
        assert sum(phone.label == "m" for phone in said.phones) == 2
        assert (said.phones[0].start, said.phones[-1].end) == (0, said.pcm.size)
        assert [p.end for p in said.phones[:-1]] == [p.start for p in said.phones[1:]]
        assert 0.7 < said.pcm.size / plain.pcm.size < 4


def test_a_child_is_high_a_whisper_has_no_pitch_a_shout_is_raised() -> None:
    man, voiced = pitch(speak(SENTENCE, VOICE).pcm)
    assert pitch(utter(SENTENCE, VOICE, "child").pcm)[0] > 220 > 130 > man
    assert pitch(utter(SENTENCE, VOICE, "whisper").pcm)[1] < 0.45 < voiced
    assert pitch(utter(SENTENCE, VOICE, "shout").pcm)[0] > 1.3 * man


def test_a_song_holds_each_word_on_its_note() -> None:
    song = sung("mama mama mama mama mama", VOICE)
    assert not any(phone.label == SILENCE for phone in song.phones)
    assert song.pcm.size > 1.5 * speak("mama mama mama mama mama", VOICE).pcm.size
    words = np.array_split(song.pcm, 5)
    notes = [pitch(word)[0] for word in words]
    assert notes[2] > notes[1] > notes[0]
    assert notes[2] > notes[3]


def test_opus_keeps_the_voice_and_loses_packets_now_and_then() -> None:
    voice = speak(SENTENCE, VOICE).pcm
    heard = opus(np.random.default_rng(0), voice)
    assert heard.shape == voice.shape
    assert heard.dtype == np.float32
    assert correlation(loudness(voice), loudness(heard)) > 0.9
    again = opus(np.random.default_rng(0), voice)
    other = opus(np.random.default_rng(1), voice)
    assert np.array_equal(heard, again)
    first, second = (sound[: sound.size // 320 * 320].reshape(-1, 320) for sound in (heard, other))
    assert 0.02 < np.mean((first != second).any(axis=1)) < 0.9


def test_a_bad_headset_is_narrow_noisy_and_clipped() -> None:
    at = np.arange(SECOND) / SECOND
    parts = [0.05 * np.sin(2 * np.pi * hertz * at) for hertz in (100.0, 1_000.0, 6_000.0)]
    heard = hands_free(np.random.default_rng(0), np.sum(parts, axis=0).astype(np.float32))
    assert heard.shape == (SECOND,)
    power = np.abs(np.fft.rfft(heard))
    assert power[100] < 0.15 * power[1_000]  # one bin is 1 Hz
    assert power[6_000] < 0.05 * power[1_000]
    hiss = hands_free(np.random.default_rng(0), np.zeros(SECOND, np.float32))
    assert 0.0 < loudness(hiss).mean() < 0.02
    loud = hands_free(np.random.default_rng(0), np.ones(SECOND, np.float32) * np.sin(2500 * at))
    assert np.abs(loud).max() < 0.75


def test_a_shout_is_clipped_hard() -> None:
    heard = overdriven(speak(SENTENCE, VOICE).pcm)
    assert np.abs(heard).max() == pytest.approx(0.9)
    assert np.mean(np.abs(heard) > 0.89) > 0.01
    assert not overdriven(np.zeros(100, np.float32)).any()


def test_a_script_is_held_out_and_repeats(script: Script) -> None:
    drawn_again = draw_script(np.random.default_rng(3), 100)
    assert replace(drawn_again, voice=VOICE) == script
    assert drawn_again.voice.name in {voice.name for voice in VOICES["held_out"]}
    assert drawn_again.voice.engine == "espeak"
    assert min(script.pauses) >= 0.6 * SECOND


def test_what_is_said_fills_the_take(script: Script) -> None:
    for name in ("plain", "song"):
        said = say(script, name, 100)
        assert said.clean.shape == (100 * 640,)
        assert said.motion.shape == (100, 17)
        assert (said.phones[0].start, said.phones[-1].end) == (0, 100 * 640)
        for condition in CONDITIONS:
            heard = through(np.random.default_rng(0), condition, said.clean)
            assert heard.shape == said.clean.shape
            assert heard.dtype == np.float32
            assert np.abs(heard).max() <= 1.0


def test_one_face_says_the_same_in_every_condition() -> None:
    scenes: list[Scene] = []

    def listens(scene: Scene) -> Played:
        scenes.append(scene)
        if len(scenes) == 1:
            return drawn(scene)
        return Played(np.zeros((20, 256, 256, 3), np.uint8), np.ones(20, np.float32))

    heard = listen(listens, Probe().eval(), 120_001, 0, 20)
    assert tuple(one.name for one in heard) == tuple(CONDITIONS)
    by_name = {one.name: one for one in heard}
    assert np.array_equal(heard[0].seen, heard[0].renders)
    for one in heard:
        assert one.truth.shape == one.silent.shape == one.seen.shape == (20,)
        assert not one.truth[one.silent].any()
    for name in ("headset", "opus"):
        assert np.array_equal(by_name[name].truth, by_name["plain"].truth)
    assert {scene.seed for scene in scenes} == {CONDITIONED}
    assert len({scene.prompt for scene in scenes}) == 1
    assert len({scene.sound.tobytes() for scene in scenes}) == len(CONDITIONS)


def made(name: str = "plain", late: int = 0) -> Heard:
    """8 s of which the last three are silent, seen `late` frames after the truth."""
    truth = np.where(np.arange(200) < 125, 0.2 + 0.7 * np.sin(0.31 * np.arange(200)) ** 2, 0.0)
    marks = np.arange(10, 120, 22)
    truth[marks] = truth[marks + 1] = 0.0
    curve = truth.astype(np.float32)
    return Heard(name, curve, np.roll(curve, late), curve, np.arange(200) > 130, marks)


def test_figures_of_known_takes() -> None:
    row = row_of("both", [made(), made(late=4)])
    assert (row.takes, row.silent_frames, row.bilabials) == (2, 138, 10)
    assert row.model.mouth_lag_frames == 2.0
    assert row.model.closed_in_silence == 1.0
    assert row.model.bilabials_closed == 0.5
    assert row.on_renders == lips_of([made()], lambda take: take.truth)
    assert row.on_renders.mouth_correlation == pytest.approx(1.0)
    bare = replace(made(), closures=np.zeros(0, np.int64), silent=np.zeros(200, np.bool_))
    known = row_of("bare", [bare, replace(made(), closures=np.array([500]))]).model
    assert np.isnan(known.bilabials_closed)
    assert known.closed_in_silence == 1.0


def test_rows_stand_in_the_order_of_conditions() -> None:
    rows = rows_of([made("opus"), made("plain"), made("opus")])
    assert [(row.name, row.takes) for row in rows] == [("plain", 1), ("opus", 2)]
