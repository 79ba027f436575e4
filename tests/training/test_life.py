"""A face is alive within its limits: it blinks, looks about, moves smoothly, and has moods."""

import numpy as np
import pytest
from numpy.typing import NDArray

from soul.measure.life import blinks, blinks_per_minute
from soul.model.cues import Glances
from soul.model.manner import Mood
from soul.training.life import live, prosody
from soul.training.motion import COLUMN, Motion
from soul.training.speech import Pcm

MINUTES = 4
FRAMES = 25 * 60 * MINUTES


def voice(frames: int) -> Pcm:
    """Syllables of a 120 Hz buzz, four a second, in phrases of three seconds with one to rest."""
    seconds = np.arange(frames * 640) / 16_000
    syllables = np.maximum(np.sin(2 * np.pi * 2 * seconds), 0.0)
    return (
        0.1 * np.sign(np.sin(2 * np.pi * 120 * seconds)) * syllables * (seconds % 4 < 3)
    ).astype(np.float32)


def calm(speaking: bool, seed: int = 0) -> Motion:
    pcm = voice(FRAMES) if speaking else np.zeros(FRAMES * 640, np.float32)
    rng = np.random.default_rng(seed)
    return live(rng, Mood(head=0.7), pcm, FRAMES, glances=wandering(seed))


def wandering(seed: int) -> NDArray[np.float64]:
    return np.array(Glances(seed).next(FRAMES))


@pytest.mark.parametrize("speaking", [False, True])
def test_blinks_are_irregular_and_within_human_rates(speaking: bool) -> None:
    eyes = calm(speaking)[:, COLUMN["eye_left"]]
    assert 8 <= blinks_per_minute(eyes) <= 22
    gaps = np.diff(blinks(eyes))
    assert gaps.std() > 0.3 * gaps.mean()
    assert gaps.min() >= 12


def test_the_gaze_is_mostly_on_the_viewer() -> None:
    gaze = calm(False)[:, COLUMN["gaze_x"]]
    assert 0.02 < (np.abs(gaze) > 0.25).mean() < 0.4
    assert np.corrcoef(gaze, wandering(0)[:, 0])[0, 1] > 0.9  # as it was told
    still = live(
        np.random.default_rng(0), Mood(head=0.7), np.zeros(FRAMES * 640, np.float32), FRAMES
    )
    assert (np.abs(still[:, COLUMN["gaze_x"]]) > 0.25).mean() < 0.01  # a mood of its own has none


def test_brows_rise_with_the_voices_stresses() -> None:
    speaking = calm(True)
    brow = speaking[:, COLUMN["brow_left"]]
    stresses = prosody(voice(FRAMES), FRAMES).stresses
    stresses = stresses[stresses < FRAMES - 10]
    assert brow[stresses + 6].mean() > brow.mean() + 0.02


def test_head_moves_smoothly_within_limits() -> None:
    idle, speaking = calm(False), calm(True)
    for name in ("yaw", "pitch", "roll"):
        assert np.abs(idle[:, COLUMN[name]]).max() <= 0.25
        assert np.abs(speaking[:, COLUMN[name]]).max() <= 0.6
        assert np.abs(np.diff(speaking[:, COLUMN[name]])).max() < 0.15
    assert np.diff(speaking[:, :3], axis=0).std() > np.diff(idle[:, :3], axis=0).std()


def test_breath_has_a_period_of_three_to_four_seconds() -> None:
    breath = calm(False)[:, COLUMN["breath"]]
    rises = np.flatnonzero((breath[:-1] < 0) & (breath[1:] >= 0))
    assert 2.7 < np.diff(rises).mean() / 25 < 4.3


def test_prosody_finds_the_voice() -> None:
    found = prosody(voice(250), 250)
    assert found.loudness.max() == 1.0
    assert 10 <= len(found.stresses) <= 20
    assert not prosody(np.zeros(6400, np.float32), 10).loudness.any()


def test_a_listener_attends_and_turns_to_it_without_a_jump() -> None:
    listening = np.zeros(FRAMES, np.bool_)
    listening[FRAMES // 2 :] = True
    silence = np.zeros(FRAMES * 640, np.float32)
    rng = np.random.default_rng(4)
    face = live(rng, Mood(wander=0.5, smile=0.0), silence, FRAMES, listening, wandering(4))
    idle, attending = face[: FRAMES // 2], face[FRAMES // 2 :]
    gaze = COLUMN["gaze_x"]
    assert attending[:, gaze].std() < 0.5 * idle[:, gaze].std()
    assert (attending[:, COLUMN["pitch"]] < -0.12).mean() > 0.01  # nods
    assert attending[:, COLUMN["smile"]].max() > 0.2
    turn = face[FRAMES // 2 - 25 : FRAMES // 2 + 25, : COLUMN["breath"]]
    assert np.abs(np.diff(turn, axis=0)).max() < 0.12


def test_the_same_seed_gives_the_same_face() -> None:
    assert np.array_equal(calm(True, 5), calm(True, 5))
    assert not np.array_equal(calm(True, 5), calm(True, 6))
