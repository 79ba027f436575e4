"""The teacher: what it is held to and how it is guided, on latents that are noise."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.cues import TOKENS
from soul.model.dit import copy_text_to_audio
from soul.model.sample import Soul, build, sigmas
from soul.model.window import Context, gather
from soul.training import diffusion as stage
from soul.training.diffusion import (
    Clips,
    Guidance,
    Latents,
    TeacherConfig,
    begin,
    blocks_of,
    descend,
    draw_clips,
    draw_references,
    drop,
    forget,
    fresh_windows,
    guide,
    predict,
    quick,
    silence,
    teach,
    train_teacher,
    unheard,
)
from soul.training.progress import Length

if TYPE_CHECKING:
    from tests.training.conftest import Dying

TEACHER = TeacherConfig(length=Length(6), batch=2, chunks=2, save_every=2)


def rollout(model: Soul, data: Latents) -> tuple[Clips, Tensor]:
    clips = draw_clips(data, np.random.default_rng(0), 2, 2)
    return clips, model.words(clips.prompts).detach()


def test_stretches_hold_together(data: Latents) -> None:
    clips = draw_clips(data, np.random.default_rng(3), 5, 4)
    assert clips.latents.shape == (5, 4, 48, 4, 4)
    assert clips.tokens.shape == (5, 4, 13, 16)
    for b in range(5):
        ((clip, start),) = [
            (c, s) for c in range(3) for s in range(3)
            if np.array_equal(clips.latents[b].numpy(), data.latents[c, s : s + 4])
        ]  # fmt: skip
        references = data.pivotal[clip].astype(np.float32)
        assert any(np.array_equal(clips.pivotal[b].numpy(), one) for one in references)
        span = slice(start, start + 4)
        heard = clips.tokens[b].numpy()
        assert any(np.array_equal(heard, one[span]) for one in data.tokens[clip])
        assert np.array_equal(clips.cues[b].numpy(), data.cues[clip, span])


def test_speech_is_heard_through_every_microphone(data: Latents) -> None:
    rng, heard = np.random.default_rng(0), set()
    for _ in range(20):
        clips = draw_clips(data, rng, 1, 6)
        heard |= {
            (clip, microphone)
            for clip, microphone in np.ndindex(*data.tokens.shape[:2])
            if np.array_equal(clips.tokens[0].numpy(), data.tokens[clip, microphone])
        }
    assert len(heard) == 6


def test_the_mouth_weighs_more_and_the_mean_is_one(data: Latents) -> None:
    weight = draw_clips(data, np.random.default_rng(0), 2, 2).weight
    assert float(weight.mean()) == pytest.approx(1)
    ratio = weight[0, 0, 0] / weight[0, 0, 0].min()
    assert ratio[2, 1:3].tolist() == pytest.approx([9, 9])
    assert ratio.sum() == pytest.approx(16 + 16)


def test_a_fresh_window_has_its_sink_and_nothing_else(model: Soul, data: Latents) -> None:
    clips, words = rollout(model, data)
    windows = fresh_windows(model, clips.pivotal, words)
    assert [w.written for w in windows] == [0, 0]
    assert all(w.sink_keys.any() and not w.keys.any() for w in windows)
    assert not any(w.sink_keys.requires_grad for w in windows)


def test_guidance_of_one_is_plain_sampling(model: Soul, data: Latents) -> None:
    clips, words = rollout(model, data)
    past = gather(fresh_windows(model, clips.pivotal, words), SOUL_TEST)
    levels, noise = sigmas(3, 3.0), torch.randn(2, 48, 4, 4)
    found = guide(model, noise, levels, words, clips.tokens[:, 0], past, unguided(model, 1.0))
    wanted = noise
    for level, following in ((levels[0], levels[1]), (levels[1], levels[2]), (levels[2], 0.0)):
        at = torch.full((2,), level)
        flow = predict(model, wanted, at, words, clips.tokens[:, 0], past)
        wanted = wanted + (following - level) * flow
    torch.testing.assert_close(found, wanted)


def unguided(model: Soul, scale: float) -> Guidance:
    return Guidance(scale, silence(model, 2))


def test_guidance_leads_away_from_neither_sound_nor_words_and_keeps_the_pose(
    model: Soul, data: Latents
) -> None:
    clips, words = rollout(model, data)
    past = gather(fresh_windows(model, clips.pivotal, words), SOUL_TEST)
    noise, sound = torch.randn(2, 48, 4, 4), clips.heard(model, 0).detach()
    plain, more = (
        guide(model, noise, [1.0, 0.0], words, sound, past, unguided(model, g)) for g in (1.0, 2.5)
    )
    quiet = unheard(model, sound)
    assert quiet is not None
    assert quiet.shape == (2, TOKENS, 16)
    alone = predict(model, noise, torch.ones(2), silence(model, 2), quiet, past)
    torch.testing.assert_close(more - plain, 1.5 * (plain - (noise - alone)), atol=1e-4, rtol=1e-4)


def test_sound_and_words_are_left_out_as_often_as_told(data: Latents) -> None:
    rng, sound = np.random.default_rng(0), torch.zeros(2, 13, 16)
    drawn = [drop(TEACHER, rng, ["calm", "glad"], sound) for _ in range(2000)]
    deaf = [heard is None for heard, _ in drawn]
    mute = [prompts[0] == "" for _, prompts in drawn]
    both = [a and b for a, b in zip(deaf, mute, strict=True)]
    assert np.mean(deaf) == pytest.approx(0.15, abs=0.03)
    assert np.mean(mute) == pytest.approx(0.1 + 0.9 * 0.05, abs=0.03)
    assert np.mean(both) == pytest.approx(0.1, abs=0.03)


def test_half_of_the_rollouts_start_from_the_portrait_and_half_from_any_frame() -> None:
    drawn = draw_references(np.random.default_rng(0), 4000, 4)
    assert np.mean(drawn == 0) == pytest.approx(0.5, abs=0.03)
    assert set(drawn.tolist()) == {0, 1, 2, 3}
    assert not draw_references(np.random.default_rng(0), 9, 1).any()


def test_a_rollout_may_start_with_latents_of_its_clip(model: Soul, data: Latents) -> None:
    clips, _ = rollout(model, data)
    assert [w.written for w in begin(model, clips, 0)] == [0, 0]
    led = begin(model, clips, 2)
    assert [w.written for w in led] == [2, 2]
    assert all(w.keys[:, :2].any() and not w.keys[:, 2:].any() for w in led)


def test_what_is_forgotten_is_the_ring_of_some_streams(model: Soul, data: Latents) -> None:
    clips, _ = rollout(model, data)
    past = gather(begin(model, clips, 2) * 50, model.config)
    assert torch.equal(forget(past, 0.0).visible, past.visible)
    tokens = past.turn.shape[2]
    alone = forget(past, 1.0).visible
    assert alone[..., :tokens].all()
    assert alone[..., -tokens:].all()
    assert not alone[..., tokens:-tokens].any()
    torch.manual_seed(0)
    some = forget(past, 0.5).visible[..., tokens:-tokens].any(-1)
    assert 0.3 < some.float().mean() < 0.7


def test_who_forgot_the_ring_says_the_same_whatever_was_there(model: Soul, data: Latents) -> None:
    clips, words = rollout(model, data)
    past = gather(begin(model, clips, 2), model.config)
    tokens, other = past.turn.shape[2], past.keys.clone()
    other[..., tokens:, :] = 0.0  # the ring; the sink stays
    levels = torch.tensor([0.5, 0.9])

    def say(where: Context) -> Tensor:
        with quick(model.device):
            return predict(model, clips.latents[:, 0], levels, words, None, where)

    hidden, else_hidden = forget(past, 1.0), forget(replace(past, keys=other), 1.0)
    assert torch.allclose(say(hidden), say(else_hidden), atol=1e-6)
    assert not torch.allclose(say(past), say(hidden), atol=1e-4)


def test_audio_layers_start_as_text_layers(data: Latents, tmp_path: Path) -> None:
    """Until then they are not trained, and the text layers are."""
    model = build(SOUL_TEST, 0)
    copy_text_to_audio(model.dit)
    for block in blocks_of(model):
        for name, value in block.cross_attn.state_dict().items():
            assert torch.equal(value, block.audio_attn.state_dict()[name])
    cold, fresh = build(SOUL_TEST, 0), build(SOUL_TEST, 0)
    train_teacher(cold, data, replace(TEACHER, warm_start=2.0), tmp_path, 0)
    for before, after in zip(blocks_of(fresh), blocks_of(cold), strict=True):
        for name, value in before.audio_attn.state_dict().items():
            assert torch.equal(value, after.audio_attn.state_dict()[name])
        assert not torch.equal(before.cross_attn.q.weight, after.cross_attn.q.weight)


def test_an_untrained_teacher_is_as_wrong_as_its_target_is_large(
    blank: Soul, data: Latents
) -> None:
    """With a head of noughts the flow is nought, and the loss is E (noise − x)², about two."""
    clips, words = rollout(blank, data)
    windows = fresh_windows(blank, clips.pivotal, words)
    torch.manual_seed(0)
    past, weight = gather(windows, blank.config), torch.ones(2, 1, 4, 4)
    loss = teach(blank, past, clips.latents[:, 0], None, clips.prompts, weight)
    assert loss.item() == pytest.approx(2, rel=0.15)


def test_a_teacher_stopped_and_resumed_is_the_same(
    data: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dying: "Dying"
) -> None:
    whole, dead, resumed = (build(SOUL_TEST, 0) for _ in range(3))
    train_teacher(whole, data, TEACHER, tmp_path / "whole", 0)
    monkeypatch.setattr(stage, "descend", dying(descend, 5))
    with pytest.raises(InterruptedError):
        train_teacher(dead, data, TEACHER, tmp_path / "stopped", 0)
    monkeypatch.undo()
    train_teacher(resumed, data, TEACHER, tmp_path / "stopped", 0)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
