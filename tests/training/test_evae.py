"""How the light decoder is distilled: what a walk is, what is compared, and that it learns."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from soul.model.wan.evae import Evae, EvaeConfig, EvaeStream
from soul.training.encoded import Paint, Teacher
from soul.training.evae import (
    DistilConfig,
    Lessons,
    as_bytes,
    distil_evae,
    draw_latents,
    losses,
)
from soul.training.progress import Length

SMALL = EvaeConfig(width=4, blocks=1)
TINY = DistilConfig(
    decoder=SMALL,
    length=Length(4),
    batch=2,
    pieces=2,
    latents=2,
    crop=2,
    peak=3e-3,
    judged=1,
    save_every=2,
)

Clips = list[NDArray[np.float16]]


class Killed(Exception):
    """The machine went down."""


@pytest.fixture(scope="module")
def clips() -> Clips:
    """Three clips of noise, unlike in length and size."""
    rng = np.random.default_rng(0)
    shapes = ((48, 4, 3, 4), (48, 5, 3, 4), (48, 4, 5, 3))
    return [rng.standard_normal(shape).astype(np.float16) for shape in shapes]


def new(seed: int) -> Evae:
    torch.manual_seed(seed)
    return Evae(SMALL)


@pytest.fixture(scope="module")
def truth() -> Evae:
    """Random, and frozen as the full decoder is."""
    return new(1).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def teacher(truth: Evae) -> Teacher:
    """Carries its memory, as the full decoder does."""

    def opened() -> Paint:
        stream = EvaeStream()
        return lambda latents: truth(latents, stream)

    return opened


def test_a_walk_is_a_crop_of_a_clips_beginning(clips: Clips) -> None:
    found = draw_latents(clips, [1, 2], np.random.default_rng(0), TINY)
    assert found.shape == (2, 48, 4, 2, 2)
    assert found.dtype == torch.float32
    for example in found:
        places = [
            clip[:, :4, y : y + 2, x : x + 2]
            for clip in clips
            for y in range(clip.shape[2] - 1)
            for x in range(clip.shape[3] - 1)
        ]
        assert sum(np.array_equal(example.numpy(), place) for place in places) == 1


def test_a_crop_is_no_larger_than_the_clips(clips: Clips) -> None:
    wide = replace(TINY, crop=64)
    assert draw_latents(clips, [0, 2], np.random.default_rng(0), wide).shape[2:] == (4, 3, 3)


def test_a_clip_that_is_too_short_is_named(clips: Clips) -> None:
    with pytest.raises(ValueError, match="clip 2 has 4 latents, a walk takes 6"):
        draw_latents(clips, [2], np.random.default_rng(3), replace(TINY, latents=3))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"latents": 1}, "a piece has 1 latents, expected at least 2"),
        ({"save_every": 3}, "save_every 3 is not a number of walks of 2 pieces"),
        ({"pieces": 0}, "not a number of walks of 0 pieces"),
    ],
)
def test_settings_that_cannot_be_are_told(changes: dict[str, int], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(TINY, **changes)  # type: ignore[arg-type]


def test_every_fault_costs_in_its_own_loss() -> None:
    truth = torch.rand(1, 3, 5, 16, 16)
    assert all(value == 0 for value in losses(truth, truth, TINY).values())
    brighter = losses(truth + 0.1, truth, TINY)
    assert brighter["picture"].item() == pytest.approx(0.1, abs=1e-6)
    assert brighter["edge"].item() == pytest.approx(0, abs=1e-6)
    assert brighter["change"].item() == pytest.approx(0, abs=1e-6)
    flicker = truth + torch.tensor([0.0, 0.1, 0.0, 0.1, 0.0]).view(1, 1, 5, 1, 1)
    assert losses(flicker, truth, TINY)["change"].item() == pytest.approx(0.1, abs=1e-6)
    lines = truth + 0.1 * (torch.arange(16) % 2).view(1, 1, 1, 1, 16)
    assert losses(lines, truth, TINY)["edge"].item() == pytest.approx(0.1, abs=1e-6)


def test_the_total_weighs_them() -> None:
    answer, truth = torch.rand(2, 1, 3, 5, 16, 16)
    weights = replace(TINY, edges=2.0, changes=3.0, looks=4.0)

    def darker(first: Tensor, second: Tensor) -> Tensor:
        assert first.shape == second.shape == (5, 3, 16, 16)
        return (second - first).mean().abs()

    found = losses(answer, truth, weights, darker)
    wanted = found["picture"] + 2 * found["edge"] + 3 * found["change"] + 4 * found["look"]
    torch.testing.assert_close(found["total"], wanted)
    assert found["look"] > 0
    assert "look" not in losses(answer, truth, weights)


def test_both_decoders_carry_their_memory_along_a_walk(
    clips: Clips, truth: Evae, teacher: Teacher
) -> None:
    """A walk in pieces is painted as the whole; the student's products are in bfloat16."""
    student = new(2)
    answer, wanted = Lessons(student, teacher, clips, TINY, 0).judge()
    latents = draw_latents(clips, [0], np.random.default_rng(0), TINY)
    assert answer.shape == (1, 3, 13, 32, 32)
    torch.testing.assert_close(wanted, truth(latents), atol=1e-5, rtol=0)
    whole = student(latents)
    assert (answer - whole).abs().max() < 0.05 * whole.abs().max()
    forgot = torch.cat([student(part) for part in latents.split(2, 2)], 2)
    assert forgot.shape[2] == 10  # without memory a piece would begin a stream


def test_gradients_stay_within_a_piece(clips: Clips, teacher: Teacher) -> None:
    lessons = Lessons(new(2), teacher, clips, TINY, 0)
    for step in range(4):
        lessons.take(step)["total"].backward()
    assert lessons.walk is not None
    assert not any(past.requires_grad for past in lessons.walk.stream.pasts.values())
    assert sum(parameter.grad is not None for parameter in lessons.student.parameters()) > 10


def test_a_step_within_a_walk_finds_its_memory_again(clips: Clips, teacher: Teacher) -> None:
    through, late = (Lessons(new(2), teacher, clips, TINY, 0) for _ in range(2))
    through.take(2)
    torch.testing.assert_close(through.take(3)["total"], late.take(3)["total"])


def test_a_student_that_is_the_teacher_has_nothing_to_learn(
    clips: Clips, truth: Evae, teacher: Teacher
) -> None:
    same = Lessons(truth, teacher, clips, TINY, 0).take(0)
    assert same["total"].item() < 0.05  # its products are in bfloat16
    assert Lessons(new(2), teacher, clips, TINY, 0).take(0)["total"].item() > 0.2


def test_it_comes_nearer_to_the_teacher(
    clips: Clips, truth: Evae, teacher: Teacher, tmp_path: Path
) -> None:
    student = new(2)
    before = losses(*Lessons(student, teacher, clips, TINY, 0).judge(), TINY)["total"].item()
    frozen = [value.clone() for value in truth.state_dict().values()]
    config = replace(TINY, length=Length(30), save_every=10)
    distil_evae(student, teacher, clips, config, tmp_path, 0)
    after = losses(*Lessons(student, teacher, clips, TINY, 0).judge(), TINY)["total"].item()
    assert after < 0.8 * before  # on the clip that it was not shown
    kept = zip(truth.state_dict().values(), frozen, strict=True)
    assert all(torch.equal(value, old) for value, old in kept)
    assert Image.open(tmp_path / "samples.png").size == (5 * 32, 2 * 32)
    curves = json.loads((tmp_path / "curves.json").read_text())
    assert [step for step, _ in curves["psnr"]] == [10, 20, 30]
    assert curves["psnr"][0][1] < curves["psnr"][1][1]
    assert curves["total"][0][1] > curves["total"][1][1]


@pytest.mark.parametrize("dies_at", [2, 3])
def test_stopped_and_resumed_is_the_same_as_never_stopped(
    clips: Clips,
    teacher: Teacher,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_at: int,
) -> None:
    """At a walk's beginning, and within it."""
    whole = new(2)
    distil_evae(whole, teacher, clips, TINY, tmp_path / "whole", 0)
    take = Lessons.take

    def dying(self: Lessons, step: int) -> dict[str, Tensor]:
        if step == dies_at:
            raise Killed
        return take(self, step)

    monkeypatch.setattr(Lessons, "take", dying)
    with pytest.raises(Killed):
        distil_evae(new(2), teacher, clips, TINY, tmp_path / "b", 0)
    monkeypatch.undo()
    resumed = new(9)  # its own weights do not matter
    distil_evae(resumed, teacher, clips, TINY, tmp_path / "b", 0)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


def test_a_stage_that_ended_within_a_walk_may_be_made_longer(
    clips: Clips, teacher: Teacher, tmp_path: Path
) -> None:
    distil_evae(new(2), teacher, clips, replace(TINY, length=Length(3)), tmp_path, 0)
    student = new(2)
    distil_evae(student, teacher, clips, TINY, tmp_path, 0)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4


def test_another_run_and_too_few_clips_are_told(
    clips: Clips, teacher: Teacher, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="1 clips are too few, expected more than the 1"):
        Lessons(new(2), teacher, clips[:1], TINY, 0)
    distil_evae(new(2), teacher, clips, replace(TINY, length=Length(2)), tmp_path, 0)
    with pytest.raises(ValueError, match=r"config\.batch 2, this one has 3"):
        distil_evae(new(2), teacher, clips, replace(TINY, batch=3), tmp_path, 0)


def test_pictures_are_bytes() -> None:
    found = as_bytes(torch.tensor([-1.0, 0.0, 2.0]).view(1, 3, 1, 1, 1).expand(2, 3, 4, 5, 6))
    assert found.shape == (2, 4, 5, 6, 3)
    assert found[1, 3, 4, 5].tolist() == [0, 128, 255]
