"""How the light decoder is distilled: what an example is, what is compared, and that it learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from soul.model.wan.evae import Evae, EvaeConfig
from soul.training import evae as stage
from soul.training.evae import (
    DistilConfig,
    compare,
    distil_evae,
    draw_latents,
    losses,
)
from soul.training.progress import Length

SMALL = EvaeConfig(width=4, blocks=1)
TINY = DistilConfig(length=Length(4), batch=2, latents=2, crop=2, peak=3e-3, save_every=2)


class Killed(Exception):
    """The machine went down."""


@pytest.fixture(scope="module")
def clips() -> list[NDArray[np.float16]]:
    """Two clips of noise, unlike in length and size."""
    rng = np.random.default_rng(0)
    shapes = ((48, 3, 3, 4), (48, 2, 5, 3))
    return [rng.standard_normal(shape).astype(np.float16) for shape in shapes]


def new(seed: int) -> Evae:
    torch.manual_seed(seed)
    return Evae(SMALL)


@pytest.fixture(scope="module")
def teacher() -> Evae:
    """Random, and frozen as the full decoder is."""
    return new(1).requires_grad_(False).eval()


def test_an_example_is_a_crop_of_a_clips_beginning(clips: list[NDArray[np.float16]]) -> None:
    found = draw_latents(clips, np.random.default_rng(0), TINY)
    assert found.shape == (2, 48, 2, 2, 2)
    assert found.dtype == torch.float32
    for example in found:
        places = [
            clip[:, :2, y : y + 2, x : x + 2]
            for clip in clips
            for y in range(clip.shape[2] - 1)
            for x in range(clip.shape[3] - 1)
        ]
        assert sum(np.array_equal(example.numpy(), place) for place in places) == 1


def test_a_crop_is_no_larger_than_the_clips(clips: list[NDArray[np.float16]]) -> None:
    wide = replace(TINY, crop=64)
    assert draw_latents(clips, np.random.default_rng(0), wide).shape[2:] == (2, 3, 3)


def test_a_clip_that_is_too_short_is_named(clips: list[NDArray[np.float16]]) -> None:
    with pytest.raises(ValueError, match="clip 1 has 2 latents, an example takes 3"):
        draw_latents(clips[1:] * 2, np.random.default_rng(3), replace(TINY, latents=3, batch=20))


def test_an_example_has_frames_that_change() -> None:
    with pytest.raises(ValueError, match="has 1 latents, expected at least 2"):
        DistilConfig(latents=1)


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
    found = losses(answer, truth, replace(TINY, edges=2.0, changes=3.0))
    wanted = found["picture"] + 2 * found["edge"] + 3 * found["change"]
    torch.testing.assert_close(found["total"], wanted)


def test_a_student_that_is_the_teacher_has_nothing_to_learn(
    clips: list[NDArray[np.float16]], teacher: Evae
) -> None:
    latents = draw_latents(clips, np.random.default_rng(0), TINY)
    found = compare(teacher, teacher, latents, TINY)
    assert found["total"].item() < 0.05  # the student's products are in bfloat16
    assert compare(new(2), teacher, latents, TINY)["total"].item() > 0.2


def test_it_comes_nearer_to_the_teacher(
    clips: list[NDArray[np.float16]], teacher: Evae, tmp_path: Path
) -> None:
    student = new(2)
    latents = draw_latents(clips, np.random.default_rng(5), TINY)
    before = compare(student, teacher, latents, TINY)["total"].item()
    config = replace(TINY, length=Length(40), save_every=100)
    frozen = [value.clone() for value in teacher.state_dict().values()]
    distil_evae(student, teacher, clips, config, tmp_path, 0)
    assert compare(student, teacher, latents, TINY)["total"].item() < 0.8 * before
    assert all(
        torch.equal(value, kept)
        for value, kept in zip(teacher.state_dict().values(), frozen, strict=True)
    )
    assert Image.open(tmp_path / "samples.png").size == (5 * 32, 2 * 32)


def test_stopped_and_resumed_is_the_same_as_never_stopped(
    clips: list[NDArray[np.float16]],
    teacher: Evae,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = new(2)
    distil_evae(whole, teacher, clips, TINY, tmp_path / "whole", 0)
    calls = iter(range(100))

    def dying(*arguments: object) -> dict[str, Tensor]:
        if next(calls) == 3:
            raise Killed
        return compare(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "compare", dying)
    with pytest.raises(Killed):
        distil_evae(new(2), teacher, clips, TINY, tmp_path / "b", 0)
    monkeypatch.undo()
    resumed = new(9)  # its own weights do not matter
    distil_evae(resumed, teacher, clips, TINY, tmp_path / "b", 0)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
