"""One process that is the whole crew, and how a batch is shared by several."""

from pathlib import Path

import numpy as np
import pytest
import torch

from soul.model.sample import Soul
from soul.training.crew import ALONE, Share, trained
from soul.training.diffusion import Latents, TeacherConfig, draw_clips, drop, learned
from soul.training.progress import Length


def test_shares_are_equal_parts_that_make_the_whole() -> None:
    rows = list(range(12))
    parts = [rows[Share(rank, 3).rows(12)] for rank in range(3)]
    assert parts == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert rows[ALONE.share.rows(12)] == rows


def test_each_share_gets_its_own_rows_of_the_batch_that_one_would_draw(data: Latents) -> None:
    whole = draw_clips(data, np.random.default_rng(3), 4, 2)
    for rank in range(2):
        share = Share(rank, 2)
        mine = draw_clips(data, np.random.default_rng(3), 4, 2, share)
        own = share.rows(4)
        assert mine.prompts == whole.prompts[own]
        pairs = (
            (mine.pivotal, whole.pivotal),
            (mine.latents, whole.latents),
            (mine.tokens, whole.tokens),
            (mine.cues, whole.cues),
            (mine.weight, whole.weight),
        )
        assert all(torch.equal(found, wanted[own]) for found, wanted in pairs)


def test_sound_and_words_are_left_out_alike_whoever_shares_the_batch() -> None:
    config, prompts = TeacherConfig(drop_words=0.5), ["a", "b", "c", "d"]
    for seed in range(40):
        sound = torch.zeros(4, 1)
        whole = drop(config, np.random.default_rng(seed), prompts, sound)
        for rank in range(2):
            share = Share(rank, 2)
            own = share.rows(4)
            rng = np.random.default_rng(seed)
            heard, said = drop(config, rng, prompts[own], sound[own], share)
            assert said == whole[1][own]
            assert (heard is None) == (whole[0] is None)


def test_captions_are_told_as_they_are(data: Latents) -> None:
    """Only the world's own phrases have other words of the same meaning."""
    said = "a happy person in a sad room"
    told = Latents(
        data.pivotal, data.latents, data.tokens, data.cues, data.boxes, (said,) * 3, reworded=False
    )
    assert draw_clips(told, np.random.default_rng(0), 3, 2).prompts == [said] * 3


def test_alone_everything_learned_is_trained_and_a_pupil_is_a_copy(
    model: Soul, tmp_path: Path
) -> None:
    pupil = ALONE.pupil(model.requires_grad_(False))
    parts = ALONE.free(learned(pupil))
    assert {id(p) for p in trained(pupil)} == {id(p) for p in parts.parameters()}
    assert trained(model) == []
    ALONE.begin(pupil)
    assert not pupil.dit.head.head.weight.any()
    assert model.dit.head.head.weight.any()
    progress = ALONE.progress("teacher", tmp_path, Length(3), 1)
    optimizer = torch.optim.AdamW(trained(pupil))
    checkpoint = ALONE.checkpoint(tmp_path, parts, optimizer, progress)
    assert checkpoint.path == tmp_path / "state.pt"
    assert ALONE.mean(torch.tensor(2.5)) == pytest.approx(2.5)
