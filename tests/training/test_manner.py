"""A manner shows in the motion, and a prompt says it in the words of its split."""

from itertools import product

import numpy as np
import pytest

from soul.model.manner import Manner, mood
from soul.training.life import live
from soul.training.manner import SIDES, WEIGHTS, ask, describe, draw_manner, reword, values
from soul.training.motion import COLUMN, Motion

FRAMES = 25 * 40


def face(seed: int = 0, **sides: str) -> Motion:
    silence = np.zeros(FRAMES * 640, np.float32)
    return live(np.random.default_rng(seed), mood(Manner(**sides)), silence, FRAMES)


def mean(motion: Motion, channel: str) -> float:
    return float(motion[:, COLUMN[channel]].mean())


def spread(motion: Motion, channel: str) -> float:
    return float(motion[:, COLUMN[channel]].std())


def test_expressions_differ_in_smile_brows_and_lids() -> None:
    faces = {name: face(expression=name) for name in SIDES["expression"]}
    smile = {name: mean(motion, "smile") for name, motion in faces.items()}
    assert smile["happy"] > 0.6 > 0.5 > smile["tender"] > 0.25 > abs(smile["neutral"])
    assert smile["sad"] < -0.45
    assert smile["angry"] < -0.2
    brow = {name: mean(motion, "brow_left") for name, motion in faces.items()}
    assert brow["surprised"] > 0.6
    assert brow["angry"] < -0.6
    lids = {name: float(np.median(m[:, COLUMN["eye_left"]])) for name, m in faces.items()}
    assert lids["tender"] < lids["happy"] - 0.1


def test_the_head_does_what_is_asked() -> None:
    heads = {name: face(head=name) for name in SIDES["head"]}
    assert spread(heads["shaking"], "yaw") > 2 * spread(heads["free"], "yaw")
    assert spread(heads["nodding"], "pitch") > 2 * spread(heads["still"], "pitch")
    assert spread(heads["tilting"], "roll") > 2 * spread(heads["free"], "roll")
    assert all(spread(heads["still"], name) < 0.05 for name in ("yaw", "pitch", "roll"))


def test_the_gaze_goes_where_it_is_asked() -> None:
    gazes = {name: face(gaze=name) for name in SIDES["gaze"]}
    assert abs(mean(gazes["away"], "gaze_x")) > 0.25 > abs(mean(gazes["viewer"], "gaze_x"))
    assert mean(gazes["down"], "gaze_y") < -0.4 < mean(gazes["viewer"], "gaze_y")
    assert spread(gazes["wandering"], "gaze_x") > 1.5 * spread(gazes["viewer"], "gaze_x")


def test_energy_scales_the_head() -> None:
    quiet, lively = face(energy="quiet"), face(energy="lively")
    assert spread(lively, "yaw") > 2 * spread(quiet, "yaw")


@pytest.mark.parametrize("side", SIDES)
def test_words_of_the_splits_differ(side: str) -> None:
    for words in SIDES[side].values():
        assert words.train
        assert words.held_out
        assert not set(words.train) & set(words.held_out)
    every = [word for words in SIDES[side].values() for word in words.train + words.held_out]
    assert len(every) == len(set(every))


def test_a_prompt_names_what_is_not_as_usual() -> None:
    rng = np.random.default_rng(0)
    angry = Manner(expression="angry", head="shaking")
    prompts = [describe(rng, angry, "train") for _ in range(200)]
    words = SIDES["expression"]["angry"].train
    named = [any(word in prompt for word in words) for prompt in prompts]
    assert 0.75 < np.mean(named) < 1.0
    assert all(prompts)


def test_a_prompt_in_other_words_means_the_same() -> None:
    told = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        manner = draw_manner(rng)
        prompt = describe(rng, manner, "train")
        other = reword(rng, prompt)
        told.append(other != prompt)
        for side, value in zip(SIDES, values(manner), strict=True):
            named = SIDES[side][value].train
            assert any(said in prompt for said in named) <= any(said in other for said in named)
    assert np.mean(told) > 0.9


def test_a_prompt_of_no_known_words_stays() -> None:
    assert reword(np.random.default_rng(0), "juggling oranges") == "juggling oranges"


def test_one_value_can_be_asked_for_alone() -> None:
    rng = np.random.default_rng(3)
    for side, named in SIDES.items():
        for value, words in named.items():
            prompt = ask(rng, side, value, "held_out")
            assert any(said in prompt for said in words.held_out)


def test_every_value_is_drawn_about_as_often_as_told() -> None:
    rng = np.random.default_rng(1)
    drawn = [values(draw_manner(rng)) for _ in range(2000)]
    for index, side in enumerate(SIDES):
        assert sum(WEIGHTS[side]) == pytest.approx(1.0)
        for value, share in zip(SIDES[side], WEIGHTS[side], strict=True):
            found = np.mean([one[index] == value for one in drawn])
            assert found == pytest.approx(share, abs=0.05)


def test_every_manner_gives_finite_motion_within_range() -> None:
    silence = np.zeros(50 * 640, np.float32)
    for chosen in product(*SIDES.values()):
        manner = Manner(*chosen)
        motion = live(np.random.default_rng(2), mood(manner), silence, 50)
        assert np.isfinite(motion).all()
        assert np.abs(motion).max() <= 1.0
