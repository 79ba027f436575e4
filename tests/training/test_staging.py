"""Scenes of which something is chosen: who says what stays, and only what was asked changes."""

import numpy as np

from soul.model.manner import Manner
from soul.training.manner import SIDES
from soul.training.motion import COLUMN
from soul.training.staging import (
    as_if,
    blended,
    cut,
    dialogue,
    most_even,
    prompted,
    speaker,
    switched,
)
from soul.training.takes import Scene

SEED = 120_001
OPEN, SMILE, YAW = COLUMN["mouth_open"], COLUMN["smile"], COLUMN["yaw"]


def test_somebody_speaks_and_nobody_else_does() -> None:
    take = speaker(np.random.default_rng(0), 100)
    assert take.motion[:, OPEN].std() > 0.05
    assert not take.listening.any()


def test_another_manner_says_the_same() -> None:
    rng = np.random.default_rng(1)
    take = speaker(rng, 100)
    happy, sad = (as_if(rng, take, Manner(expression=value)) for value in ("happy", "sad"))
    assert np.array_equal(happy[:, OPEN], take.motion[:, OPEN])
    assert happy[:, SMILE].mean() > 0.3 > -0.3 > sad[:, SMILE].mean()


def test_one_person_says_the_same_under_every_value_of_a_side() -> None:
    scenes = prompted(SEED, "head", 0, 100)
    assert list(scenes) == list(SIDES["head"])
    first = scenes["free"]
    for value, scene in scenes.items():
        assert any(said in scene.prompt for said in SIDES["head"][value].held_out)
        assert scene.artist is first.artist
        assert scene.sound is first.sound
        assert np.array_equal(scene.motion[:, OPEN], first.motion[:, OPEN])
    assert scenes["shaking"].motion[:, YAW].std() > 2 * scenes["still"].motion[:, YAW].std()
    assert not np.array_equal(prompted(SEED, "head", 1, 100)["free"].sound, first.sound)


def test_a_scene_of_a_seed_is_always_the_same_but_for_its_voice() -> None:
    first, second = (prompted(SEED, "energy", 0, 50)["lively"] for _ in range(2))
    assert np.array_equal(first.artist.portrait(), second.artist.portrait())
    assert first.seed == second.seed


def test_a_prompt_changes_with_the_middle_chunk() -> None:
    scene: Scene = switched(SEED, 0, "neutral", "happy", 24)
    ((chunk, later),) = scene.later
    assert chunk == 12
    assert later != scene.prompt
    assert scene.motion[:48, SMILE].mean() < 0.2 < 0.5 < scene.motion[70:, SMILE].mean()
    steps = np.abs(np.diff(scene.motion[:, SMILE]))
    assert steps.max() < 0.2  # without a jump


def test_words_move_when_their_chunk_is_done() -> None:
    share = blended(40, 5)
    assert not share[:24].any()
    assert share[24] > 0.0
    assert (share[35:] == 1.0).all()


def test_turns_are_told_and_the_mouth_is_closed_in_them() -> None:
    found = dialogue(SEED, 0, 200)
    assert found.scene.listening is not None
    assert np.array_equal(found.scene.listening, found.listening)
    assert 0.1 < found.listening.mean() < 0.9
    assert found.listening[~found.silent].sum() <= 8  # all but the time to close
    assert not found.scene.motion[found.silent, OPEN].any()
    assert found.scene.motion[~found.listening, OPEN].std() > 0.05
    quiet = found.scene.sound.reshape(200, 640)[found.listening]
    assert quiet.any()  # the other is heard


def test_the_most_even_stretch_is_found() -> None:
    listening = np.zeros(100, np.bool_)
    listening[40:60] = True
    assert most_even(listening, 20) == 30
    assert most_even(listening, 40) == 20
    assert cut(np.arange(6400, dtype=np.float32), slice(2, 4)).tolist() == [*range(1280, 2560)]
