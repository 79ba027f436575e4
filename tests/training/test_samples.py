"""Rollouts to look at: what the sheet holds, and that a run is not disturbed by it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from soul.model.config import SOUL_TEST
from soul.model.cues import CUES
from soul.model.sample import Soul, build
from soul.model.vae import Decoder, full_decoder
from soul.training.dataset import Bank, BankConfig, shapes
from soul.training.diffusion import Latents
from soul.training.samples import Sampling, last_frames, roll_out, show_rollouts

SAMPLING = Sampling(steps=2, guidance=2.0)


@pytest.fixture(scope="module")
def bank() -> Bank:
    config = BankConfig(clips=3, frames=12, size=64)
    rng, wanted = np.random.default_rng(0), shapes(config)
    return Bank(
        config,
        portraits=rng.integers(0, 256, wanted["portraits"], np.uint8),
        frames=rng.integers(0, 256, wanted["frames"], np.uint8),
        flow=np.zeros(wanted["flow"], np.float16),
        motion=np.zeros(wanted["motion"], np.float32),
        boxes=np.zeros(wanted["boxes"], np.float32),
        pcm=np.zeros(wanted["pcm"], np.float16),
        silent=np.zeros(wanted["silent"], np.bool_),
        listening=np.zeros(wanted["listening"], np.bool_),
        prompts=("calm", "glad", "sad"),
    )


@pytest.fixture(scope="module")
def data() -> Latents:
    rng = np.random.default_rng(0)
    return Latents(
        rng.standard_normal((3, 2, 48, 4, 4)).astype(np.float16),
        rng.standard_normal((3, 3, 48, 4, 4)).astype(np.float16),
        rng.standard_normal((3, 2, 3, 13, 16)).astype(np.float16),
        rng.random((3, 3, 4, CUES), np.float32),
        np.zeros((3, 3, 3, 4), np.float32),
        ("calm", "glad", "sad"),
    )


@pytest.fixture(scope="module")
def model() -> Soul:
    return build(SOUL_TEST, 0)


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    torch.manual_seed(0)
    return full_decoder(SOUL_TEST.vae)


def test_truth_stands_above_rollout(
    model: Soul, decoder: Decoder, bank: Bank, data: Latents, tmp_path: Path
) -> None:
    """Two clips of three; the clips have three chunks, fewer than are asked for."""
    before = torch.get_rng_state()
    show_rollouts(model, decoder, bank, data, SAMPLING, tmp_path / "samples.png")
    assert torch.equal(torch.get_rng_state(), before)
    sheet = np.asarray(Image.open(tmp_path / "samples.png"))
    assert sheet.shape == (4 * 64, 4 * 64, 3)
    for clip in range(2):
        rows = sheet[128 * clip : 128 * clip + 64], sheet[128 * clip + 64 : 128 * clip + 128]
        for row in rows:
            assert np.array_equal(row[:, :64], bank.portraits[clip])
        assert np.array_equal(rows[0][:, 128:192], bank.frames[clip, 7])
        assert not np.array_equal(rows[0][:, 64:], rows[1][:, 64:])


def test_a_rollout_is_the_models_own_and_repeats(
    model: Soul, decoder: Decoder, bank: Bank, data: Latents
) -> None:
    first, again, other = (
        torch.stack(
            [*map(last_frames, roll_out(shown, decoder, bank.portraits[:2], data, SAMPLING, 3))], 1
        )
        for shown in (model, model, build(SOUL_TEST, 1))
    )
    assert first.shape == (2, 3, 64, 64, 3)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
