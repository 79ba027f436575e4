"""Twins: one step apart in nothing but the warm start; and how their curves are compared."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from soul.model.sample import Soul, build
from soul.training.diffusion import Latents, TeacherConfig, draw_clips
from soul.training.progress import Length
from soul.training.warmstart import (
    COLD,
    DEAF,
    HELD_OUT,
    TRAINING,
    WARM,
    Twin,
    TwinConfig,
    compare,
    draw,
    held_out_loss,
    part,
    parted,
    reached,
    verdict,
    worth_of_sound,
)

TEACHER = TeacherConfig(length=Length(99), batch=2, chunks=2, overlap=0, warm_start=0.5)
CONFIG = TwinConfig(steps=6, every=2, look=2, held_out=1, chunks=2, seed=3)


@pytest.fixture(scope="module")
def more(data: Latents) -> Latents:
    """The room's three clips twice: one can be held out."""
    return Latents(
        np.concatenate((data.pivotal, data.pivotal)),
        np.concatenate((data.latents, data.latents)),
        np.concatenate((data.tokens, data.tokens)),
        np.concatenate((data.cues, data.cues)),
        np.concatenate((data.boxes, data.boxes)),
        data.prompts * 2,
    )


@pytest.fixture(scope="module")
def both(model: Soul, more: Latents, tmp_path_factory: pytest.TempPathFactory) -> tuple[Twin, Twin]:
    return compare(model, more, TEACHER, CONFIG, tmp_path_factory.mktemp("twins"))


def test_the_last_clips_are_held_out(more: Latents) -> None:
    learned_from, held_out = parted(more, 24)
    assert (len(learned_from.prompts), len(held_out.prompts)) == (5, 1)
    assert np.array_equal(held_out.latents, more.latents[5:])
    assert np.array_equal(learned_from.cues, more.cues[:5])
    with pytest.raises(ValueError, match="the bank has 3 clips, expected at least 4"):
        parted(part(more, slice(3)), 24)


def test_both_are_watched_at_the_same_steps(both: tuple[Twin, Twin]) -> None:
    for twin in both:
        for curve in (twin.curves[TRAINING], twin.curves[HELD_OUT], twin.curves[DEAF]):
            assert [step for step, _ in curve] == [2, 4, 6]
            assert np.isfinite([loss for _, loss in curve]).all()


def test_the_cold_one_hears_from_the_first_step(both: tuple[Twin, Twin]) -> None:
    """The warm one from the half on; until then it is looked at without sound."""
    warm, cold = both
    assert (warm.name, cold.name) == (WARM, COLD)
    assert [worth != 0 for _, worth in worth_of_sound(warm)] == [False, True, True]
    assert all(worth != 0 for _, worth in worth_of_sound(cold))


def test_without_a_difference_the_twins_are_equal(
    model: Soul, more: Latents, tmp_path: Path
) -> None:
    """The same weights, clips and noise: what differs is the warm start's."""
    same = replace(TEACHER, warm_start=0.0)
    one, other = compare(model, more, same, replace(CONFIG, steps=3), tmp_path)
    assert one.curves == other.curves
    for name, value in one.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], value), name


def test_the_held_out_loss_repeats_and_disturbs_nobody(model: Soul, more: Latents) -> None:
    clips = draw_clips(more, np.random.default_rng(0), 2, 2)
    before = torch.get_rng_state()
    losses = [held_out_loss(model, clips, 5, heard=True) for _ in range(2)]
    assert losses[0] == losses[1] != held_out_loss(model, clips, 5, heard=False)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_head_of_noughts_is_as_wrong_as_its_target_is_large(blank: Soul, more: Latents) -> None:
    """Its flow is nought; the loss is E (noise − x)², about two on latents of unit variance."""
    clips = draw_clips(more, np.random.default_rng(0), 4, 2)
    assert held_out_loss(blank, clips, 0, heard=False) == pytest.approx(2, rel=0.15)


def test_when_a_curve_reaches_a_loss() -> None:
    curve = [(10, 3.0), (20, 1.0), (30, 2.0)]
    assert [reached(curve, loss) for loss in (4.0, 2.0, 1.0, 0.5)] == [10, 20, 20, None]


def test_the_verdict_compares_ends(both: tuple[Twin, Twin]) -> None:
    found = verdict(*both)
    assert set(found) == {TRAINING, HELD_OUT, DEAF}
    warm, cold = (found[HELD_OUT][name] for name in (WARM, COLD))
    ends = [twin.seen[HELD_OUT][-1][1] for twin in both]
    assert [warm["final"], cold["final"]] == ends
    better = warm if ends[0] <= ends[1] else cold
    assert better["steps_to_the_others_final"] is not None


def test_the_curves_are_drawn(both: tuple[Twin, Twin], tmp_path: Path) -> None:
    draw(both, tmp_path / "curves.png")
    assert np.asarray(Image.open(tmp_path / "curves.png")).std() > 0


def test_the_model_that_is_handed_in_is_left_alone(
    model: Soul, more: Latents, tmp_path: Path
) -> None:
    fresh = build(model.config, 0).state_dict()
    compare(model, more, TEACHER, replace(CONFIG, steps=2), tmp_path)
    assert all(torch.equal(value, fresh[name]) for name, value in model.state_dict().items())
