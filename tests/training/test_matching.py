"""Distribution matching: where two scores agree nothing moves; each loss moves its own model."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, build
from soul.model.window import gather
from soul.training import matching as stage
from soul.training.diffusion import Clips, Latents, draw_clips, learned, predict, teach
from soul.training.matching import MatchConfig, Voices, begin, climb, match, say, train_matched
from soul.training.progress import Length, Progress

if TYPE_CHECKING:
    from tests.training.conftest import Dying

CONFIG = MatchConfig(length=Length(6), batch=2, chunks=2, save_every=2)


def voices(model: Soul) -> Voices:
    return Voices(deepcopy(model), deepcopy(model), deepcopy(model))


def drawn(data: Latents) -> Clips:
    return draw_clips(data, np.random.default_rng(0), 2, 2)


def test_where_teacher_and_follower_agree_nothing_moves(model: Soul, data: Latents) -> None:
    three, clips = voices(model), drawn(data)
    latent = torch.randn(2, 48, 4, 4, requires_grad=True)
    match(three, three.windows(clips), clips, 0, latent, replace(CONFIG, guidance=1.0)).backward()
    assert latent.grad is not None
    assert latent.grad.abs().max() < 1e-6


def test_a_latent_is_moved_towards_what_the_teacher_prefers(model: Soul, data: Latents) -> None:
    """The follower's flow is nought: it takes the noisy latent for clean. One teacher's is not."""
    three, clips = voices(model), drawn(data)
    for parameter in three.follower.dit.head.head.parameters():
        torch.nn.init.zeros_(parameter)
    latent = torch.randn(2, 48, 4, 4, requires_grad=True)
    config = replace(CONFIG, guidance=1.0, least=0.5, most=0.5)
    torch.manual_seed(0)
    match(three, three.windows(clips), clips, 0, latent, config).backward()
    torch.manual_seed(0)
    torch.rand(2)
    mixed = torch.lerp(latent.detach(), torch.randn(2, 48, 4, 4), 0.5)
    past = gather(three.windows(clips)[1], SOUL_TEST)
    words, heard = model.words(clips.prompts), clips.heard(model, 0)
    flow = predict(model, mixed, torch.full((2,), 0.5), words, heard, past)
    off = (latent - (mixed - 0.5 * flow)).abs().mean((1, 2, 3), keepdim=True)
    wanted = clips.weight[:, 0] * 0.5 * flow / off / latent.numel()
    assert latent.grad is not None
    torch.testing.assert_close(latent.grad, wanted, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_only_the_last_step_has_gradients(model: Soul, data: Latents, steps: int) -> None:
    """However many there are, the graph is that of one pass: as large in memory."""
    student, clips = deepcopy(model).requires_grad_(True), drawn(data)
    passes: list[bool] = []
    student.dit.register_forward_hook(lambda *_: passes.append(torch.is_grad_enabled()))
    windows = Voices(student, model, model).windows(clips)
    passes.clear()
    said = say(student, windows[0], clips, 0, steps)
    assert said.requires_grad
    assert passes == [False] * (steps - 1) + [True]


def test_each_loss_moves_its_own_model(model: Soul, data: Latents, tmp_path: Path) -> None:
    three, clips = voices(model), drawn(data)
    windows = three.windows(clips)
    checkpoint = begin(three, CONFIG, tmp_path, Progress("match", tmp_path, Length(4)))
    checkpoint.progress.step = 2
    latent = say(three.student, windows[0], clips, 0, 2)
    climb(checkpoint, match(three, windows, clips, 0, latent, CONFIG), CONFIG)
    assert changed(three.student, model)
    assert not changed(three.follower, model)
    assert not changed(three.teacher, model)
    heard, weight = clips.heard(three.follower, 0), clips.weight[:, 0]
    kept_up = teach(
        three.follower,
        gather(windows[2], three.follower.config),
        latent.detach(),
        heard,
        clips.prompts,
        weight,
    )
    climb(checkpoint, kept_up, CONFIG)
    assert changed(three.follower, model)
    assert not changed(three.teacher, model)


def changed(one: Soul, other: Soul) -> bool:
    pairs = zip(learned(one).parameters(), learned(other).parameters(), strict=True)
    return any(not torch.equal(a, b) for a, b in pairs)


def test_a_stage_stopped_and_resumed_is_the_same(
    model: Soul,
    data: Latents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dying: "Dying",
) -> None:
    teacher = build(SOUL_TEST, 1)

    def trained(folder: str) -> Soul:
        return train_matched(deepcopy(model), teacher, data, CONFIG, tmp_path / folder, 0)

    whole = trained("whole")
    monkeypatch.setattr(stage, "climb", dying(climb, 5))
    with pytest.raises(InterruptedError):
        trained("stopped")
    monkeypatch.undo()
    resumed = trained("stopped")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert changed(whole, model)
