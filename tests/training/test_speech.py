"""Both synthesisers speak, their phones tile the sound, and nothing is shared by the splits."""

import ctypes

import numpy as np
import pytest

from soul.training import speech
from soul.training.sentences import GRAMMARS, draw_sentence, split_of
from soul.training.speech import SILENCE, VOICES, SpeechError, Voice, missing, speak

ESPEAK = Voice("espeak", "en-us", "en")
FLITE = Voice("flite", "slt", "en")
SENTENCE = "Papa, my mama bought a happy puppy."


@pytest.mark.parametrize("voice", [ESPEAK, FLITE, Voice("espeak", "de+f2", "de")])
def test_phones_tile_the_sound(voice: Voice) -> None:
    said = speak(SENTENCE, voice)
    assert said.pcm.dtype == np.float32
    assert 16_000 < said.pcm.size < 6 * 16_000
    assert np.abs(said.pcm).max() <= 1.0
    assert said.phones[0].start == 0
    assert said.phones[-1].end == said.pcm.size
    ends = [phone.end for phone in said.phones[:-1]]
    assert ends == [phone.start for phone in said.phones[1:]]
    assert sum(phone.label == "m" for phone in said.phones) == 3


@pytest.mark.parametrize("voice", [ESPEAK, FLITE])
def test_vowels_are_louder_than_pauses_and_stops(voice: Voice) -> None:
    said = speak(SENTENCE, voice)
    loudness = {"vowel": [0.0], "hold": [0.0], "pause": [0.0]}
    for phone in said.phones:
        part = said.pcm[phone.start : phone.end]
        if phone.label == SILENCE:
            loudness["pause"].append(float(np.median(np.abs(part))))
        elif phone.label == "p":  # its hold comes before its burst
            hold = part[part.size // 4 : part.size // 2]
            loudness["hold"].append(float(np.abs(hold).mean()))
        elif phone.label in ("ɑː", "æ", "aa", "ae"):
            loudness["vowel"].append(float(np.abs(part).mean()))
    vowel = np.mean(loudness["vowel"][1:])
    assert vowel > 8 * np.mean(loudness["hold"][1:])
    assert vowel > 20 * np.mean(loudness["pause"][1:])


def test_speed_and_pitch_change_the_sound() -> None:
    slow = speak(SENTENCE, Voice("espeak", "en-us", "en", speed=0.8))
    fast = speak(SENTENCE, Voice("espeak", "en-us", "en", speed=1.3))
    assert slow.pcm.size > 1.2 * fast.pcm.size


def test_every_voice_speaks() -> None:
    for voice in {v.name: v for split in VOICES.values() for v in split}.values():
        assert speak("Mama is here.", voice).pcm.size > 8_000


def test_splits_share_no_voice() -> None:
    train, held_out = ({voice.name for voice in VOICES[s]} for s in ("train", "held_out"))
    assert not train & held_out
    languages = {voice.language for voice in VOICES["train"]}
    assert {"pt", "sv"} <= {voice.language for voice in VOICES["held_out"]} - languages


def test_unknown_voice_is_refused() -> None:
    with pytest.raises(SpeechError, match="no voice 'xx-nowhere'"):
        speak("Hello.", Voice("espeak", "xx-nowhere", "en"))


def test_missing_flite_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SpeechError, match="Debian package flite"):
        speak("Hello.", FLITE)


def test_missing_espeak_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", refuse)
    with pytest.raises(SpeechError, match="Debian package libespeak-ng1"):
        speech._Espeak()


@pytest.mark.parametrize("language", sorted(GRAMMARS))
def test_sentences_keep_to_their_split(language: str) -> None:
    rng = np.random.default_rng(0)
    train = {draw_sentence(rng, language, "train") for _ in range(60)}
    held_out = {draw_sentence(rng, language, "held_out") for _ in range(10)}
    assert len(train) > 50
    assert not any("{" in sentence for sentence in train | held_out)
    assert {split_of(sentence) for sentence in train} == {"train"}
    assert {split_of(sentence) for sentence in held_out} == {"held_out"}


def test_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="no grammar for language 'tlh'"):
        draw_sentence(np.random.default_rng(0), "tlh", "train")


def test_missing_synthesisers_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing() == ()
    monkeypatch.setenv("PATH", "")
    assert missing() == ("flite",)

    def none(name: str) -> ctypes.CDLL:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", none)
    assert missing() == ("espeak-ng", "flite")
