"""A face is alive within its limits: it blinks, looks about, moves smoothly, and has moods."""

import numpy as np
import pytest

from soul.measure.life import blinks, blinks_per_minute
from soul.training.life import MOODS, draw_mood, live, prosody
from soul.training.motion import CHANNELS, COLUMN, Motion
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
    return live(np.random.default_rng(seed), MOODS[0], pcm, FRAMES)


@pytest.mark.parametrize("speaking", [False, True])
def test_blinks_are_irregular_and_within_human_rates(speaking: bool) -> None:
    eyes = calm(speaking)[:, COLUMN["eye_left"]]
    assert 8 <= blinks_per_minute(eyes) <= 22
    gaps = np.diff(blinks(eyes))
    assert gaps.std() > 0.3 * gaps.mean()
    assert gaps.min() >= 12


def test_the_gaze_is_mostly_on_the_viewer() -> None:
    away = np.abs(calm(False)[:, COLUMN["gaze_x"]]) > 0.25
    assert 0.02 < away.mean() < 0.4


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


def test_values_are_finite_and_in_range_for_every_mood() -> None:
    for mood in MOODS:
        motion = live(np.random.default_rng(1), mood, voice(250), 250)
        assert motion.shape == (250, len(CHANNELS))
        assert np.isfinite(motion).all()
        assert np.abs(motion).max() <= 1.0
        assert not motion[:, COLUMN["mouth_open"]].any()


def test_moods_show() -> None:
    faces = {m.name: live(np.random.default_rng(2), m, voice(500), 500) for m in MOODS}
    smile = {name: face[:, COLUMN["smile"]].mean() for name, face in faces.items()}
    assert smile["happy"] > 0.5 > 0.3 > smile["calm"] > 0 > -0.3 > smile["sad"]
    assert faces["angry"][:, COLUMN["brow_left"]].mean() < -0.4
    assert faces["energetic"][:, COLUMN["yaw"]].std() > 1.5 * faces["tired"][:, COLUMN["yaw"]].std()


def test_prompts_of_the_splits_differ() -> None:
    rng = np.random.default_rng(3)
    train = {draw_mood(rng, "train")[1] for _ in range(200)}
    held_out = {draw_mood(rng, "held_out")[1] for _ in range(200)}
    assert len(held_out) == len(MOODS)
    assert not train & held_out


def test_the_same_seed_gives_the_same_face() -> None:
    assert np.array_equal(calm(True, 5), calm(True, 5))
    assert not np.array_equal(calm(True, 5), calm(True, 6))
