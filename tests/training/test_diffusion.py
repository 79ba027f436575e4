"""Teacher and student: what they are held to, on latents that are noise."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, build, sigmas
from soul.model.window import gather
from soul.training import diffusion as stage
from soul.training.checkpoint import Checkpoint
from soul.training.diffusion import (
    Clips,
    Latents,
    StudentConfig,
    TeacherConfig,
    descend,
    distil,
    draw_clips,
    follow,
    fresh_windows,
    guide,
    mend,
    predict,
    teach,
    train_student,
    train_teacher,
)
from soul.training.progress import Length

TEACHER = TeacherConfig(length=Length(6), batch=2, chunks=2, save_every=2)
STUDENT = StudentConfig(length=Length(6), batch=2, chunks=2, teacher_steps=4, save_every=2)


class Killed(Exception):
    """The machine went down."""


@pytest.fixture(scope="module")
def data() -> Latents:
    rng = np.random.default_rng(0)
    boxes = np.zeros((3, 6, 3, 4), np.float32)
    boxes[:, :, 0] = (1, 2, 3, 3)
    return Latents(
        rng.standard_normal((3, 48, 4, 4)).astype(np.float16),
        rng.standard_normal((3, 6, 48, 4, 4)).astype(np.float16),
        rng.standard_normal((3, 6, 13, 16)).astype(np.float16),
        rng.random((3, 6, 4), np.float32),
        boxes,
        ("calm", "glad", "sad"),
    )


@pytest.fixture(scope="module")
def model() -> Soul:
    return build(SOUL_TEST, 0)


@pytest.fixture
def blank(model: Soul) -> Soul:
    """A head of noughts: the flow is nought everywhere."""
    found = deepcopy(model)
    for parameter in found.dit.head.head.parameters():
        torch.nn.init.zeros_(parameter)
    return found


def rollout(model: Soul, data: Latents) -> tuple[Clips, Tensor]:
    clips = draw_clips(data, np.random.default_rng(0), 2, 2)
    return clips, model.words(clips.prompts).detach()


def test_stretches_hold_together(data: Latents) -> None:
    clips = draw_clips(data, np.random.default_rng(3), 5, 4)
    assert clips.latents.shape == (5, 4, 48, 4, 4)
    assert clips.tokens.shape == (5, 4, 13, 16)
    for b, prompt in enumerate(clips.prompts):
        clip = data.prompts.index(prompt)
        assert np.array_equal(clips.pivotal[b].numpy(), data.pivotal[clip].astype(np.float32))
        starts = [
            s for s in range(3)
            if np.array_equal(clips.latents[b].numpy(), data.latents[clip, s : s + 4])
        ]  # fmt: skip
        assert len(starts) == 1
        tokens = data.tokens[clip, starts[0] : starts[0] + 4]
        assert np.array_equal(clips.tokens[b].numpy(), tokens)
        assert np.array_equal(clips.lids[b].numpy(), data.lids[clip, starts[0] : starts[0] + 4])


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
    found = guide(model, noise, levels, words, clips.tokens[:, 0], past, 1.0)
    wanted = noise
    for level, following in ((levels[0], levels[1]), (levels[1], levels[2]), (levels[2], 0.0)):
        at = torch.full((2,), level)
        flow = predict(model, wanted, at, words, clips.tokens[:, 0], past)
        wanted = wanted + (following - level) * flow
    torch.testing.assert_close(found, wanted)


def test_guidance_leads_away_from_silence(model: Soul, data: Latents) -> None:
    clips, words = rollout(model, data)
    past = gather(fresh_windows(model, clips.pivotal, words), SOUL_TEST)
    noise, sound = torch.randn(2, 48, 4, 4), clips.tokens[:, 0]
    plain, more = (guide(model, noise, [1.0, 0.0], words, sound, past, g) for g in (1.0, 2.5))
    deaf = predict(model, noise, torch.ones(2), words, None, past)
    torch.testing.assert_close(more - plain, 1.5 * (plain - (noise - deaf)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("steps", [1, 2])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(
    model: Soul, data: Latents, steps: int
) -> None:
    """Without guidance, and with as many steps: the stretch it jumps over is its own."""
    clips, words = rollout(model, data)
    windows = fresh_windows(model, clips.pivotal, words)
    config = StudentConfig(teacher_steps=steps, guidance=1.0)
    student = deepcopy(model)
    sound, noise = clips.heard(model, 0), torch.randn(2, 48, 4, 4)
    loss, latent = distil(
        model, student, (windows, windows), (words, words), (sound, sound), noise, steps,
        clips.weight[:, 0], config,
    )  # fmt: skip
    assert loss.item() == pytest.approx(0, abs=1e-9)
    assert not latent.requires_grad
    guided = StudentConfig(teacher_steps=steps, guidance=3.0)
    loss, _ = distil(
        model, student, (windows, windows), (words, words), (sound, sound), noise, steps,
        clips.weight[:, 0], guided,
    )  # fmt: skip
    assert loss.item() > 1e-6


def test_an_untrained_teacher_is_as_wrong_as_its_target_is_large(
    blank: Soul, data: Latents
) -> None:
    """With a head of noughts the flow is nought, and the loss is E (noise − x)², about two."""
    clips, words = rollout(blank, data)
    windows = fresh_windows(blank, clips.pivotal, words)
    torch.manual_seed(0)
    loss = teach(blank, windows, clips.latents[:, 0], None, clips.prompts, torch.ones(2, 1, 4, 4))
    assert loss.item() == pytest.approx(2, rel=0.15)


def test_what_is_mended_is_the_truth(blank: Soul, data: Latents) -> None:
    """A flow of nought is wrong by E (noise − x)² a level, and leaves the true latent noisy."""
    clips, words = rollout(blank, data)
    windows = fresh_windows(blank, clips.pivotal, words)
    torch.manual_seed(0)
    loss, said = mend(blank, windows, clips, 0, words, clips.heard(blank, 0))
    levels = sigmas(SOUL_TEST.steps, SOUL_TEST.shift)[:-1]
    assert loss.item() == pytest.approx(2 * sum(levels) / len(levels), rel=0.15)
    noise = (said - (1 - levels[-1]) * clips.latents[:, 0]) / levels[-1]
    assert (noise.mean().item(), noise.std().item()) == pytest.approx((0, 1), abs=0.1)


def dying(after: int) -> Callable[..., None]:
    """`descend`, until the machine goes down."""
    calls, original = iter(range(1000)), descend

    def step(checkpoint: Checkpoint, loss: Tensor, peak: float) -> None:
        if next(calls) == after:
            raise Killed
        original(checkpoint, loss, peak)

    return step


def test_a_teacher_stopped_and_resumed_is_the_same(
    data: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, dead, resumed = (build(SOUL_TEST, 0) for _ in range(3))
    train_teacher(whole, data, TEACHER, tmp_path / "whole", 0)
    monkeypatch.setattr(stage, "descend", dying(5))
    with pytest.raises(Killed):
        train_teacher(dead, data, TEACHER, tmp_path / "stopped", 0)
    monkeypatch.undo()
    train_teacher(resumed, data, TEACHER, tmp_path / "stopped", 0)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_student_stopped_and_resumed_is_the_same(
    model: Soul, data: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train_student(model, data, STUDENT, tmp_path / "whole", 0)
    monkeypatch.setattr(stage, "descend", dying(5))
    with pytest.raises(Killed):
        train_student(model, data, STUDENT, tmp_path / "stopped", 0)
    monkeypatch.undo()
    resumed = train_student(model, data, STUDENT, tmp_path / "stopped", 0)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    taught = whole.state_dict()
    learned = {name.split(".")[0] for name, v in model.state_dict().items()
               if not torch.equal(v, taught[name])}  # fmt: skip
    assert learned == {"dit", "text", "lids"}


def test_showing_what_it_says_changes_nothing(model: Soul, data: Latents, tmp_path: Path) -> None:
    """At each save and at the end, with whatever randomness it takes."""
    seen: list[Path] = []

    def show(shown: Soul, path: Path) -> None:
        torch.randn(7)
        assert path.with_name("state.pt").exists()
        seen.append(path)

    quiet, watched = build(SOUL_TEST, 0), build(SOUL_TEST, 0)
    train_teacher(quiet, data, TEACHER, tmp_path / "quiet", 0)
    train_teacher(watched, data, TEACHER, tmp_path / "teacher", 0, show)
    students = (
        train_student(model, data, STUDENT, tmp_path / "still", 0),
        train_student(model, data, STUDENT, tmp_path / "student", 0, show),
    )
    assert seen == 4 * [tmp_path / "teacher/samples.png"] + 4 * [tmp_path / "student/samples.png"]
    for one, other in ((quiet, watched), students):
        for name, value in one.state_dict().items():
            assert torch.equal(other.state_dict()[name], value), name


def test_a_step_stays_on_the_models_device(data: Latents) -> None:
    """On the device that holds no numbers: what was made on another one meets an error there."""
    meta = torch.device("meta")
    teacher, student = (build(SOUL_TEST, seed).to(meta) for seed in (0, 1))
    clips = draw_clips(data, np.random.default_rng(0), 2, 2).to(meta)
    words = teacher.words(clips.prompts)
    theirs, mine = (fresh_windows(m, clips.pivotal, words) for m in (teacher, student))
    sound = clips.heard(student, 0)
    weight, noise = clips.weight[:, 0], torch.randn_like(clips.pivotal)
    taught = teach(student, mine, clips.latents[:, 0], sound, clips.prompts, weight)
    distilled, latent = distil(
        teacher, student, (theirs, mine), (words, words), (sound, sound), noise, 2, weight, STUDENT
    )
    mended, said = mend(student, mine, clips, 0, words, sound)
    follow(student, mine, latent, words, sound)
    (taught + distilled + mended).backward()
    assert {value.device for value in (taught, distilled, mended, latent, said)} == {meta}
    assert all(p.grad is None or p.grad.device == meta for p in student.parameters())
