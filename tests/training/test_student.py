"""The student: what it is held to, on latents that are noise."""

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import Tensor

from soul.model.config import SOUL_TEST
from soul.model.sample import Soul, build, sigmas
from soul.model.window import gather
from soul.training import student as stage
from soul.training.diffusion import (
    Clips,
    Latents,
    TeacherConfig,
    descend,
    draw_clips,
    fresh_windows,
    teach,
    train_teacher,
)
from soul.training.progress import Length
from soul.training.student import StudentConfig, distil, follow, mend, train_student

if TYPE_CHECKING:
    from tests.training.conftest import Dying

TEACHER = TeacherConfig(length=Length(6), batch=2, chunks=2, save_every=2)
STUDENT = StudentConfig(length=Length(6), batch=2, chunks=2, save_every=2)


def clips_and_words(model: Soul, data: Latents) -> tuple[Clips, Tensor]:
    clips = draw_clips(data, np.random.default_rng(0), 2, 2)
    return clips, model.words(clips.prompts).detach()


@pytest.mark.parametrize("steps", [1, 2])
def test_a_student_that_is_its_teacher_has_nothing_to_learn(
    model: Soul, data: Latents, steps: int
) -> None:
    """Without guidance, and with as many steps: the stretch it jumps over is its own."""
    clips, words = clips_and_words(model, data)
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


def test_what_is_mended_is_the_truth(blank: Soul, data: Latents) -> None:
    """A flow of nought is wrong by E (noise − x)² a level, and leaves the true latent noisy."""
    clips, words = clips_and_words(blank, data)
    windows = fresh_windows(blank, clips.pivotal, words)
    torch.manual_seed(0)
    loss, said = mend(blank, windows, clips, 0, words, clips.heard(blank, 0))
    levels = sigmas(SOUL_TEST.steps, SOUL_TEST.shift)[:-1]
    assert loss.item() == pytest.approx(2 * sum(levels) / len(levels), rel=0.15)
    noise = (said - (1 - levels[-1]) * clips.latents[:, 0]) / levels[-1]
    assert (noise.mean().item(), noise.std().item()) == pytest.approx((0, 1), abs=0.1)


def test_a_student_stopped_and_resumed_is_the_same(
    model: Soul,
    data: Latents,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dying: "Dying",
) -> None:
    whole = train_student(model, data, STUDENT, tmp_path / "whole", 0)
    monkeypatch.setattr(stage, "descend", dying(descend, 5))
    with pytest.raises(InterruptedError):
        train_student(model, data, STUDENT, tmp_path / "stopped", 0)
    monkeypatch.undo()
    resumed = train_student(model, data, STUDENT, tmp_path / "stopped", 0)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    taught = whole.state_dict()
    learned = {name.split(".")[0] for name, v in model.state_dict().items()
               if not torch.equal(v, taught[name])}  # fmt: skip
    assert learned == {"dit", "text", "cues"}


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
    taught = teach(
        student, gather(mine, student.config), clips.latents[:, 0], sound, clips.prompts, weight
    )
    distilled, latent = distil(
        teacher, student, (theirs, mine), (words, words), (sound, sound), noise, 2, weight, STUDENT
    )
    mended, said = mend(student, mine, clips, 0, words, sound)
    follow(student, mine, latent, words, sound)
    (taught + distilled + mended).backward()
    assert {value.device for value in (taught, distilled, mended, latent, said)} == {meta}
    assert all(p.grad is None or p.grad.device == meta for p in student.parameters())
