"""Scenes, actors and backgrounds: the world itself is a perfect actor, a late one is seen late."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, StreamState, advance, build
from soul.training.augment import levelled
from soul.training.figures import BACKGROUNDS
from soul.training.motion import neutral
from soul.training.probe import SHIPPED, Probe, load_probe
from soul.training.speech import Pcm
from soul.training.takes import (
    Played,
    Scene,
    attempt,
    behind,
    drawn,
    hush,
    live,
    quietest,
    watch,
)
from soul.training.world import Artist, draw_identity

SEED = 120_001


def late(scene: Scene) -> Played:
    """The world, three frames late."""
    played = drawn(scene)
    return replace(played, pictures=np.roll(played.pictures, 3, axis=0))


def test_a_late_actor_is_seen_late_by_the_shipped_probe() -> None:
    trial, look = attempt(late, load_probe(SHIPPED), SEED, 0, 96)
    assert np.array_equal(trial.seen.mouth_open, np.roll(trial.renders.mouth_open, 3))
    assert np.corrcoef(trial.truth.mouth_open, trial.renders.mouth_open)[0, 1] > 0.95
    assert trial.silent.shape == trial.told.shape == (96,)
    assert not trial.truth.mouth_open[trial.closures[trial.closures < 96]].any()
    assert look.frames.shape == (8, 256, 256, 3)
    assert {strip.moment.kind for strip in look.strips} >= {"open"}


def test_a_perfect_actor_smudges_nothing() -> None:
    trial, _ = attempt(drawn, Probe().eval(), SEED, 0, 48)
    assert (trial.picture.smudged, trial.picture.smudged_in_last_second) == (0.0, 0.0)
    assert np.array_equal(trial.seen.yaw, trial.renders.yaw)


def test_pauses_are_heard_under_every_background_by_the_same_face() -> None:
    heard: list[Pcm] = []

    def listens(scene: Scene) -> Played:
        heard.append(scene.sound)
        pictures = np.zeros((len(scene.motion), 256, 256, 3), np.uint8)
        return Played(pictures, np.ones(len(scene.motion), np.float32))

    found = hush(listens, Probe().eval(), SEED, 0, 32)
    assert tuple(one.background for one in found) == BACKGROUNDS
    assert all(np.array_equal(one.silent, found[0].silent) for one in found)
    assert found[0].silent.sum() >= 16
    assert all(np.array_equal(one.renders, found[0].renders) for one in found)
    speech = rms(levelled(heard[1] - heard[0], 0.0))
    for sound in heard[1:]:
        assert 20 * np.log10(speech / rms(sound - heard[0])) == pytest.approx(30.0, abs=0.5)


def rms(sound: Pcm) -> float:
    return float(np.sqrt(np.mean(np.square(sound))))


def test_an_unknown_background_is_named() -> None:
    with pytest.raises(ValueError, match="background 'rain' is unknown"):
        behind(np.random.default_rng(0), "rain", 100)


def test_the_quietest_stretch_is_found() -> None:
    silent = np.zeros(100, np.bool_)
    silent[10:20] = silent[50:70] = True
    assert quietest(silent, 20) == 50
    assert quietest(silent, 15) == 50
    assert quietest(silent, 100) == 0


def test_a_long_take_is_watched_twice() -> None:
    stare = watch(late, Probe().eval(), SEED, 16)
    assert np.array_equal(stare.seen, np.roll(stare.renders, 3))


def test_a_model_plays_a_scene_frame_for_frame() -> None:
    model = build(SOUL_TEST, 0)
    artist = Artist(draw_identity(np.random.default_rng(0)), SOUL_TEST.side)
    scene = Scene(artist, np.zeros(8 * 640, np.float32), "a face", 5, neutral(8))
    first, second = live(model)(scene), live(model)(scene)
    size = SOUL_TEST.side
    assert first.pictures.shape == (8, size, size, 3)
    assert first.told.shape == (8,)
    assert np.array_equal(first.pictures, second.pictures)


def test_a_model_of_larger_pictures_plays_at_the_scenes_size() -> None:
    """It sees the portrait at its own size, and is judged at the renders'."""
    larger = build(replace(SOUL_TEST, image_size=128), 0)
    artist = Artist(draw_identity(np.random.default_rng(0)), 64)
    scene = Scene(artist, np.zeros(8 * 640, np.float32), "a face", 5, neutral(8))
    assert live(larger)(scene).pictures.shape == drawn(scene).pictures.shape
    with pytest.raises(ValueError, match=r"expected \[T, 64, 64, 3\] or larger squares"):
        live(build(replace(SOUL_TEST, image_size=32), 0))(scene)


def test_a_model_is_told_of_prompts_and_turns_with_their_chunks() -> None:
    told: list[tuple[bool, bool]] = []

    def step(model: Soul, states: Sequence[StreamState], pcm: Tensor) -> Tensor:
        told.append((states[0].listening, states[0].blend is not None))
        return advance(model, states, pcm)

    artist = Artist(draw_identity(np.random.default_rng(0)), SOUL_TEST.side)
    listening = np.arange(20) >= 12
    scene = Scene(
        artist, np.zeros(20 * 640, np.float32), "a calm face", 5, neutral(20),
        later=((1, "a happy face"),), listening=listening,
    )  # fmt: skip
    live(build(SOUL_TEST, 0), step)(scene)
    assert [turn for turn, _ in told] == [False, False, False, True, True]
    assert [moving for _, moving in told] == [False, True, True, True, False]
