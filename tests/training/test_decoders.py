"""Both light decoders: trained alike, counted right, and judged on the same takes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from made_runs import make_noise
from soul.model.config import SOUL_MINI, SOUL_TEST
from soul.model.vae import Encoder, full_decoder, light_decoder
from soul.training.autoencoder import PaintConfig, new_autoencoder
from soul.training.dataset import Bank, BankConfig, open_bank
from soul.training.decoders import (
    GUIDED,
    UNGUIDED,
    Rival,
    judge_all,
    macs,
    painted_by,
    show,
    train_both,
)
from soul.training.identity import Embedding
from soul.training.motion import neutral
from soul.training.probe import Probe
from soul.training.progress import Length
from soul.training.table import TableConfig
from soul.training.takes import Scene
from soul.training.unguided import Unguided, new_unguided
from soul.training.world import Artist, draw_identity

VAE = SOUL_TEST.vae
PAINT = PaintConfig(length=Length(3), batch=1, crop=32)
TABLE = TableConfig(takes=1, chunks=3)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Bank:
    folder = tmp_path_factory.mktemp("noise") / "bank"
    make_noise(folder, BankConfig(clips=2, frames=8, size=64))
    return open_bank(folder)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return new_autoencoder(VAE, 0).encoder


def test_both_learn_for_the_same_steps(bank: Bank, encoder: Encoder, tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    painters, steps = train_both(encoder, VAE, bank, PAINT, tmp_path, 4)
    assert (set(painters), steps) == ({GUIDED, UNGUIDED}, 3)
    fresh = new_unguided(VAE, encoder, 4).decoder.head.weight
    assert not torch.equal(painters[UNGUIDED].decoder.head.weight, fresh)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    assert (tmp_path / "curves.png").exists()


def test_training_again_gives_the_same(bank: Bank, encoder: Encoder, tmp_path: Path) -> None:
    first, second = (train_both(encoder, VAE, bank, PAINT, tmp_path, 4)[0] for _ in range(2))
    for name in (GUIDED, UNGUIDED):
        weights = second[name].decoder.state_dict()
        for key, value in first[name].decoder.state_dict().items():
            assert torch.equal(value, weights[key]), (name, key)


def test_multiplications_are_counted_as_by_hand() -> None:
    """Unguided: trunk t, width w, cells 4 x 4, then 8 x 8 and 16 x 16 for each of four frames."""
    t, w, c = VAE.light_trunk, VAE.light_width, VAE.channels
    cells, eighth, quarter = 4 * 4, 4 * 8 * 8, 4 * 16 * 16
    entry = (2 * c + 14) * t * cells
    trunk = (t * t + 2 * 2 * 9 * t * t) * cells
    up = t * 4 * 2 * w * 4 * cells + 2 * w * 4 * 2 * w * eighth
    blocks = 2 * 9 * (2 * w) ** 2 * eighth + 2 * 9 * w * w * quarter
    ends = (9 * 2 * w * w + 9 * w * 3 * 16) * quarter
    decoder = Unguided(VAE, t, w, blocks=2)
    assert macs(decoder, VAE, 64) == entry + trunk + up + blocks + ends


def test_the_light_ones_cost_an_eighth_and_about_the_same() -> None:
    vae, size = SOUL_MINI.vae, SOUL_MINI.side
    full, guided = (macs(made(vae), vae, size) for made in (full_decoder, light_decoder))
    alone = macs(Unguided(vae, vae.light_trunk, vae.light_width, blocks=2), vae, size)
    assert full >= 8 * guided
    assert 0.9 < alone / guided < 1


def test_a_scene_is_painted_from_its_own_renders(encoder: Encoder) -> None:
    """Frame for frame, also by a model whose pictures are larger than the scene's."""
    artist = Artist(draw_identity(np.random.default_rng(0)), 64)
    scene = Scene(artist, np.zeros(8 * 640, np.float32), "a face", 5, neutral(8))
    decoder = light_decoder(VAE)
    for size in (64, 128):
        played = painted_by(encoder, decoder, size)(scene)
        assert played.pictures.shape == (8, 64, 64, 3)
        assert played.told.shape == (8,)


def test_rivals_stand_below_the_worlds_renders(encoder: Encoder, tmp_path: Path) -> None:
    torch.manual_seed(0)
    rivals = {
        GUIDED: Rival(encoder, light_decoder(VAE)),
        UNGUIDED: Rival(encoder, new_unguided(VAE, encoder, 0).decoder),
    }
    entries = judge_all(rivals, VAE, 256, Probe().eval(), Embedding().eval(), TABLE)
    assert [entry.name for entry in entries] == ["the world's renders", GUIDED, UNGUIDED]
    assert entries[0].quality.psnr == float("inf")
    assert entries[0].macs is None
    assert all(entry.quality.psnr < 60 and entry.macs for entry in entries[1:])
    show(rivals, 256, replace(TABLE, takes=1), tmp_path / "decoders.png")
    assert Image.open(tmp_path / "decoders.png").size == (7 * 256, 3 * 256)
