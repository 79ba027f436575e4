"""Recordings are aligned, filled up to whole chunks, played, and told apart from what is known."""

from dataclasses import replace

import numpy as np
import pytest

from soul.training import recorded
from soul.training.alignment import Accuracy, Alignment, AlignmentError
from soul.training.probe import Probe
from soul.training.recorded import Recording, Told, as_json, judge, play, tell
from soul.training.speech import SILENCE, Phone, Voice, speak
from soul.training.takes import Played, Scene, drawn

SAID = speak("Mama is at home.", Voice("espeak", "en-us+f3", "en"))
MAMA = Recording("mama", SAID.pcm, "Mama is at home.", "en-us")
KNOWN = Accuracy(2, 40, 6.0, 0.95, 0.9)


def told(samples: int = 16_000, silent_from: int = 8_000) -> Told:
    """Half a second of "ma", then silence."""
    at = np.arange(samples)
    sound = np.where(at < silent_from, 0.1 * np.sin(0.05 * at), 0.0).astype(np.float32)
    phones = (
        Phone("m", 0, 2_000),
        Phone("ɑː", 2_000, silent_from),
        Phone(SILENCE, silent_from, samples),
    )
    return Told(Recording("ma", sound, "ma", "en"), Alignment(phones, 2.0))


def test_a_recording_is_aligned_with_its_text() -> None:
    (found,) = tell([MAMA])
    labels = [phone.label for phone in found.alignment.phones if phone.label]
    assert labels.count("m") == 3
    assert found.recording is MAMA


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"pcm": np.zeros(16_000, np.float32)}, "mama: the recording is silent"),
        ({"pcm": MAMA.pcm[:4_000]}, "mama: 0.25 s are too short, expected at least 0.5"),
        ({"language": "xx"}, "mama: eSpeak has no voice 'xx'"),
        ({"text": "Much more is said than that, " * 5}, "mama: .* is it what is said?"),
    ],
)
def test_what_cannot_be_aligned_is_named(changed: dict[str, object], sentence: str) -> None:
    broken = Recording(**{**vars(MAMA), **changed})
    with pytest.raises(AlignmentError, match=sentence):
        tell([broken])


def test_the_world_plays_a_recording_and_only_its_own_silence_counts() -> None:
    heard: list[Scene] = []

    def listens(scene: Scene) -> Played:
        heard.append(scene)
        return drawn(scene)

    one = told(samples=17_000)
    take = play(listens, Probe().eval(), 3, 0, one)
    assert len(take.truth) == 28  # seven chunks of four frames for 26.6 frames
    assert heard[0].sound.size == 28 * 640
    assert np.array_equal(heard[0].sound[:17_000], one.recording.pcm)
    assert not heard[0].sound[17_000:].any()
    assert np.array_equal(take.seen, take.renders)
    assert take.truth[5:11].max() > 0.5
    assert not take.truth[15:].any()
    assert take.closures.tolist() == [0]
    silent = np.flatnonzero(take.silent)
    assert 15 <= silent[0] <= 17  # 120 ms after the voice
    assert silent[-1] <= 26


def test_a_mouth_closes_after_a_recording_that_ends_in_speech() -> None:
    one = told(samples=12_000, silent_from=12_000)
    one = replace(one, alignment=replace(one.alignment, phones=one.alignment.phones[:2]))
    black = Played(np.zeros((20, 256, 256, 3), np.uint8), np.ones(20, np.float32))
    take = play(lambda scene: black, Probe().eval(), 3, 0, one)
    assert take.truth.shape == (20,)
    assert take.truth[17] > 0.1 > take.truth[19]
    assert not take.silent.any()


def test_figures_say_what_their_truth_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def known(seed: int, languages: list[str]) -> Accuracy:
        asked.append(languages)
        return KNOWN

    monkeypatch.setattr(recorded, "known_answers", known)
    two = [told(), replace(told(), recording=replace(told().recording, language="de"))]
    found = judge(drawn, Probe().eval(), 3, two)
    assert found is not None
    assert asked == [["de", "en"]]
    assert found.together.takes == 2
    assert found.together.model == found.together.on_renders
    said = as_json(found)
    assert str(said["truth"]).startswith("aligned, not seen")
    assert said["aligner"] == {
        "sentences": 2, "sounds": 40, "median_error_ms": 6.0, "within_40_ms": 0.95,
        "opening_correlation": 0.9,
    }  # fmt: skip
    takes = said["takes"]
    assert isinstance(takes, list)
    assert [(t["name"], t["language"], t["seconds"]) for t in takes] == [
        ("ma", "en", 1.0),
        ("ma", "de", 1.0),
    ]


def test_without_recordings_there_is_nothing_to_tell() -> None:
    assert judge(drawn, Probe().eval(), 3, tell([])) is None
