"""The aligner finds what is known: phones of other voices, pauses, and the cheapest way through."""

from dataclasses import replace

import numpy as np
import pytest

from soul.training.alignment import (
    AlignmentError,
    align,
    cepstra,
    known_answers,
    pauses,
    start_errors,
    unlikeness,
    warp,
)
from soul.training.speech import SILENCE, Pcm, Phone, Speech, SpeechError, Voice, speak

SENTENCE = "My mother bought a big apple pie at the market."
WOMAN = Voice("espeak", "en-us+f3", "en", speed=0.8, pitch=0.5)
SECOND = 16_000


@pytest.fixture(scope="module")
def said() -> Speech:
    return speak(SENTENCE, WOMAN)


def test_another_voice_is_aligned_within_a_frame(said: Speech) -> None:
    found = align(said.pcm, SENTENCE, "en-us")
    errors = start_errors(said, found.phones)
    assert errors.size > 25
    assert np.median(errors) < 15
    assert np.mean(errors <= 40) > 0.9


def test_phones_tile_the_recording(said: Speech) -> None:
    phones = align(said.pcm, SENTENCE, "en-us").phones
    assert (phones[0].start, phones[-1].end) == (0, said.pcm.size)
    assert [p.end for p in phones[:-1]] == [p.start for p in phones[1:]]
    assert all(phone.end > phone.start for phone in phones)


def test_a_pause_of_the_speakers_own_is_silence_where_it_is(said: Speech) -> None:
    """Cut a sentence between two words: the twin knows of no pause there."""
    apple = next(n for n, phone in enumerate(said.phones) if n > 15 and phone.label == "æ")
    at = said.phones[apple].start
    quiet = np.zeros(SECOND // 2, np.float32)
    parted = np.concatenate((quiet, said.pcm[:at], quiet, said.pcm[at:], quiet))
    silent = [p for p in align(parted, SENTENCE, "en-us").phones if p.label == SILENCE]
    assert len(silent) == 3
    assert abs(silent[1].start - (at + quiet.size)) <= 640
    assert abs(silent[1].end - (at + 2 * quiet.size)) <= 640
    late = [
        replace(p, start=p.start + quiet.size * (2 if p.start >= at else 1)) for p in said.phones
    ]
    errors = start_errors(
        replace(said, pcm=parted, phones=tuple(late)), align(parted, SENTENCE, "en-us").phones
    )
    assert np.median(errors) < 20


def test_quiet_is_a_pause_if_it_lasts_or_is_at_an_end() -> None:
    rng = np.random.default_rng(0)

    def voice(seconds: float) -> Pcm:
        return (0.1 * rng.standard_normal(int(seconds * SECOND))).astype(np.float32)

    def quiet(seconds: float) -> Pcm:
        return (0.01 * voice(seconds)).astype(np.float32)

    parts = (quiet(0.1), voice(0.5), quiet(0.1), voice(0.5), quiet(0.3), voice(0.5))
    found = np.flatnonzero(np.diff(pauses(np.concatenate(parts)).astype(int)))
    assert (found + 1).tolist() == [10, 120, 150]
    click = np.concatenate((voice(1.0), quiet(0.4), voice(0.02), quiet(0.4), voice(1.0)))
    assert pauses(click)[100:182].all()
    assert pauses(np.zeros(SECOND, np.float32)).all()
    loud_room = np.concatenate((voice(1.0), 0.03 * voice(1.0), voice(1.0)))
    assert pauses(loud_room)[100:200].all()  # 30 dB below speech, but it is the room's own noise


def test_the_cheapest_way_is_found() -> None:
    first = np.array([[0.0], [1.0], [1.75], [3.0]])
    second = np.array([[0.0], [0.0], [1.0], [3.0], [3.0]])
    path, cost = warp(unlikeness(first, second))
    assert path.tolist() == [[0, 0], [0, 1], [1, 2], [2, 2], [3, 3], [3, 4]]
    assert cost == pytest.approx(0.75 / 9)
    same, nothing = warp(unlikeness(first, first))
    assert same.tolist() == [[n, n] for n in range(4)]
    assert nothing == 0.0


def test_the_cepstrum_forgets_loudness(said: Speech) -> None:
    sounding = ~pauses(said.pcm)
    assert cepstra(said.pcm, sounding).shape == (sounding.sum(), 26)
    soft = np.asarray(0.3 * said.pcm, np.float32)
    assert np.allclose(cepstra(soft, sounding), cepstra(said.pcm, sounding), atol=0.02)


def test_what_does_not_go_together_is_told(said: Speech) -> None:
    with pytest.raises(AlignmentError, match="the recording is silent, expected speech"):
        align(np.zeros(SECOND, np.float32), SENTENCE, "en")
    with pytest.raises(AlignmentError, match="lasts 61 s, expected at most 60"):
        align(np.ones(61 * SECOND, np.float32), SENTENCE, "en")
    with pytest.raises(AlignmentError, match=r"0\.5 s of voice are too short for the .* sounds"):
        align(said.pcm[8_000:16_000], SENTENCE, "en")
    with pytest.raises(SpeechError, match=r"no sound for '\.\.\.', expected speech"):
        align(said.pcm, "...", "en")
    with pytest.raises(SpeechError, match="no voice 'tlh-nowhere'"):
        align(said.pcm, SENTENCE, "tlh-nowhere")


def test_the_aligner_is_measured_where_the_answer_is_known() -> None:
    found = known_answers(3, ["en"], count=1)
    assert found.sentences == 2  # eSpeak and Flite
    assert found.sounds > 30
    assert found.median_error_ms < 40
    assert found.within_40_ms > 0.8
    assert 0.7 < found.opening_correlation <= 1.0


def test_only_sounds_that_both_have_are_compared() -> None:
    pcm = np.zeros(8_000, np.float32)
    known = Speech(pcm, (Phone("m", 0, 1_600), Phone("iː", 1_600, 8_000)), WOMAN, "me")
    found = (Phone(SILENCE, 0, 320), Phone("m", 320, 1_600), Phone("ɑː", 1_600, 8_000))
    assert start_errors(known, found).tolist() == [20.0]
