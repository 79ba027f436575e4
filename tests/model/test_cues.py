"""Blinks and glances: irregular, at people's rate, never long without a blink or off the viewer."""

import numpy as np
import pytest
import torch

from soul.measure.life import blinks, blinks_per_minute, longest_stare
from soul.model.config import SOUL_5B, SOUL_TEST
from soul.model.cues import (
    AWAY,
    CHANNELS,
    CUES,
    FIXATION,
    SHAPES,
    TOKENS,
    Blinks,
    CueEncoder,
    Glances,
)
from soul.model.sample import build
from soul.timebase import FRAME_RATE

TEN_MINUTES = 10 * 60 * FRAME_RATE


def lids(seed: int, frames: int = TEN_MINUTES) -> list[float]:
    return Blinks(seed).next(frames)


@pytest.mark.parametrize("seed", range(5))
def test_as_often_as_people_and_never_a_long_stare(seed: int) -> None:
    curve = lids(seed)
    assert 10 <= blinks_per_minute(curve) <= 20
    assert longest_stare(curve) <= 12
    gaps = np.diff(blinks(curve))
    assert gaps.std() > 0.3 * gaps.mean()  # a metronome would have none
    assert gaps.min() >= FRAME_RATE // 2


def test_every_blink_is_one_of_the_shapes_and_the_rest_is_open() -> None:
    curve, shapes = lids(3), set()
    at = 0
    while at < len(curve):
        if curve[at] == 1:
            at += 1
            continue
        shape = next(s for s in SHAPES if tuple(curve[at : at + len(s)]) == s)
        shapes.add(shape)
        at += len(shape)
    assert shapes == set(SHAPES)


@pytest.mark.parametrize("step", [1, 4, 7])
def test_however_it_is_asked_it_is_the_same_curve(step: int) -> None:
    stream = Blinks(9)
    asked = [value for _ in range(2800 // step) for value in stream.next(step)]
    assert asked == lids(9, 2800)
    assert asked != lids(10, 2800)


def test_a_first_blink_within_three_seconds_or_so() -> None:
    firsts = [blinks(lids(seed, 1000))[0] for seed in range(20)]
    assert max(firsts) <= 3 * FRAME_RATE + 2


def glances(seed: int, frames: int = TEN_MINUTES) -> np.ndarray:
    return np.array(Glances(seed).next(frames))


@pytest.mark.parametrize("seed", range(3))
def test_the_eyes_rest_mostly_on_the_viewer_and_wander_now_and_then(seed: int) -> None:
    aside = np.abs(glances(seed)[:, 0]) > 0.25
    assert 0.5 * AWAY < aside.mean() < 1.5 * AWAY
    sides = np.sign(glances(seed)[aside, 0])
    assert 0.2 < (sides > 0).mean() < 0.8


def test_an_eye_jumps_and_then_rests() -> None:
    curve = glances(1)
    moving = np.flatnonzero(np.abs(np.diff(curve, axis=0)).sum(1))
    starts = moving[np.insert(np.diff(moving) > 1, 0, True)]
    assert len(moving) <= 2 * len(starts)
    assert np.diff(starts).min() >= FIXATION[0]
    assert np.diff(starts).max() < FIXATION[1]


@pytest.mark.parametrize("step", [1, 4, 7])
def test_however_they_are_asked_they_are_the_same_glances(step: int) -> None:
    stream = Glances(9)
    asked = [point for _ in range(2800 // step) for point in stream.next(step)]
    assert np.array_equal(asked, glances(9, 2800))
    assert not np.array_equal(asked, glances(10, 2800))


def test_cues_become_a_few_tokens_behind_the_sound() -> None:
    model, audio = build(SOUL_TEST, 0), torch.randn(2, 13, 16)
    cues = torch.zeros(2, 4, CUES)
    cues[..., 0] = 1  # eyes open
    told = model.told(audio, cues)
    assert told.shape == (2, 13 + TOKENS, 16)
    assert torch.equal(told[:, :13], audio)
    assert torch.equal(told[0], torch.cat((audio[0], told[1, 13:])))  # both are told the same


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_channel_is_told_to_its_own_stream_alone(channel: str) -> None:
    model, audio = build(SOUL_TEST, 0), torch.randn(2, 13, 16)
    cues = torch.zeros(2, 4, CUES)
    before = model.told(audio, cues)
    cues[0, 2, CHANNELS.index(channel)] = 0.5
    after = model.told(audio, cues)
    assert not torch.allclose(after[0, 13:], before[0, 13:])
    assert torch.equal(after[1], before[1])


def test_only_a_model_with_an_encoder_for_cues_is_told() -> None:
    assert SOUL_5B.cue_width == 0
    assert CueEncoder(8, 16)(torch.ones(3, 4, CUES)).shape == (3, TOKENS, 16)
