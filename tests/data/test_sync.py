"""A mouth that goes with its voice is told from one that does not, or that comes late."""

import numpy as np
import pytest

from soul.data.config import SyncConfig
from soul.data.source import Pcm, Pictures
from soul.data.sync import Curve, Sync, compare, is_silent, loudness, movement, objection, voicing

CONFIG = SyncConfig()
FRAMES = 112
BOXES = np.tile([20.0, 10.0, 60.0, 60.0], (FRAMES, 1))


def syllables(seed: int) -> Curve:
    """Openings of a mouth in [0, 1], some four syllables a second."""
    rng = np.random.default_rng(seed)
    raw = np.convolve(rng.standard_normal(FRAMES + 6), np.hanning(7), "valid")
    return np.asarray(np.clip(raw, 0, None) / raw.max(), np.float64)


def vowel(opening: Curve) -> Pcm:
    """A buzz at 500 Hz, the louder the wider the mouth; hiss where it is closed."""
    time = np.arange(FRAMES * 640) / 16_000
    loud = np.repeat(opening, 640) ** 2
    hiss = 0.2 * np.sin(2 * np.pi * 5_000 * time)
    return np.asarray(
        0.4 * loud * np.sin(2 * np.pi * 500 * time) + hiss * (loud < 0.01), np.float32
    )


def face(opening: Curve) -> Pictures:
    """Skin, with a dark mouth below the middle that opens; the light changes slowly."""
    shown = np.empty((FRAMES, 80, 100, 3), np.uint8)
    for number, wide in enumerate(opening):
        shown[number] = 150 + 20 * np.sin(number / 40)
        half = round(8 * wide)
        shown[number, 58 - half : 58 + half, 40:60] = 30
    return shown


def test_a_mouth_goes_with_its_own_voice_and_not_with_anothers() -> None:
    seen = movement(face(syllables(1)), BOXES)
    own = compare(seen, voicing(vowel(syllables(1))), CONFIG)
    assert own.correlation > 0.8
    assert own.lag == 0
    assert objection(own, CONFIG) is None
    assert objection(compare(seen, voicing(vowel(syllables(2))), CONFIG), CONFIG) is not None


@pytest.mark.parametrize("late", [-7, 5])
def test_a_mouth_that_is_late_is_told_by_how_much(late: int) -> None:
    truth = syllables(3)
    found = compare(np.roll(truth, late), voicing(vowel(truth)), CONFIG)
    assert found.lag == late
    assert found.correlation > 0.8


def test_a_face_that_does_not_move_goes_with_nothing() -> None:
    still = movement(face(np.zeros(FRAMES)), BOXES)
    assert compare(still, voicing(vowel(syllables(1))), CONFIG).correlation < 0.4


def test_a_box_beyond_the_picture_does_no_harm() -> None:
    away = np.tile([90.0, 70.0, 60.0, 60.0], (FRAMES, 1))
    assert np.isfinite(movement(face(syllables(1)), away)).all()


def test_hiss_is_loud_and_no_vowel() -> None:
    time = np.arange(640 * 20) / 16_000
    hiss = np.sin(2 * np.pi * 5_000 * time).astype(np.float32)
    assert loudness(hiss) == pytest.approx(np.full(20, np.sqrt(0.5)), abs=1e-3)
    assert voicing(hiss).max() < 0.05


def test_silence_is_told_from_a_whisper() -> None:
    quiet = np.full(6_400, 1e-4, np.float32)
    assert is_silent(quiet, CONFIG)
    quiet[3_000:3_640] = 0.01
    assert not is_silent(quiet, CONFIG)


def test_objections_name_the_value_and_what_was_expected() -> None:
    assert objection(Sync(0.31, 0), CONFIG) == (
        "mouth and voice correlate by 0.31; expected at least 0.4"
    )
    assert objection(Sync(0.9, 5), CONFIG) == "the mouth is 200 ms late; expected at most 120"
    assert objection(Sync(0.9, -4), CONFIG) == "the mouth is 160 ms early; expected at most 120"
    assert objection(Sync(0.5, 3), CONFIG) is None
