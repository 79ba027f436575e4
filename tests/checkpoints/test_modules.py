"""Soul's own parts go into a converted folder and come out as they were, sizes and all."""

from pathlib import Path

import pytest
import torch

from made_folders import TINY_VAE, made_folder, tiny_vae
from soul.checkpoints.layout import add_part
from soul.checkpoints.manifest import MANIFEST, read_manifest, verify
from soul.checkpoints.modules import (
    evae_config,
    open_codebook,
    open_evae,
    open_vae,
    save_codebook,
    save_evae,
)
from soul.checkpoints.sources import CheckpointError, held
from soul.model.codebook import Codebook
from soul.model.wan.evae import EVAE, EVAE_COUNTED, Evae, EvaeConfig


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_folder(tmp_path / "model", tiny_vae())


def test_the_full_vae_codes_as_before(folder: Path) -> None:
    found, vae = open_vae(folder, "cpu"), tiny_vae()
    assert found.config == TINY_VAE
    film = torch.rand(1, 5, 3, 32, 32) * 2 - 1
    assert torch.equal(found.encode(film), vae.encode(film))
    assert torch.equal(found.decode(vae.encode(film)), vae.decode(vae.encode(film)))


@pytest.mark.parametrize(
    "config",
    [
        EVAE,
        EVAE_COUNTED,
        EvaeConfig(width=4),
        EvaeConfig(width=6, times=(4, 2, 1), doubles=(True, True), blocks=1, patch=4),
    ],
)
def test_a_light_decoders_sizes_stand_in_its_tensors(config: EvaeConfig) -> None:
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in Evae(config).state_dict().items()}
    assert evae_config(shapes, "here") == config


def test_the_folder_decodes_with_what_was_put_into_it(folder: Path) -> None:
    light = Evae(EvaeConfig(width=4, blocks=1)).requires_grad_(False)
    save_evae(light, folder)
    latents = torch.randn(1, 48, 3, 2, 2)
    assert torch.equal(open_evae(folder, "cpu")(latents), light(latents))
    verify(folder, read_manifest(folder / MANIFEST))
    assert open_vae(folder, "cpu").config == TINY_VAE  # still there


def test_the_codebook_pulls_as_before(folder: Path) -> None:
    codebook = Codebook(20, 48)
    codebook.centroids.normal_()
    codebook.threshold.fill_(3.0)
    save_codebook(codebook, folder)
    found, latents = open_codebook(folder, "cpu"), torch.randn(2, 48, 3, 3)
    for ours, theirs in zip(found(latents), codebook(latents), strict=True):
        assert torch.equal(ours, theirs)
    assert found.centroids.dtype == torch.float32
    wider = Codebook(30, 48)
    save_codebook(wider, folder)
    assert len(open_codebook(folder, "cpu").centroids) == 30
    verify(folder, read_manifest(folder / MANIFEST))


def test_what_is_not_there_or_no_such_part_is_told(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"has no part 'evae'; it has \['vae'\]"):
        open_evae(folder, "cpu")
    odd = {"thing": held(torch.zeros(3))}
    add_part(folder, "evae", odd)
    add_part(folder, "codebook", odd)
    add_part(folder, "vae", odd)
    with pytest.raises(CheckpointError, match="evae is no light decoder"):
        open_evae(folder, "cpu")
    with pytest.raises(CheckpointError, match="codebook has no centroids"):
        open_codebook(folder, "cpu")
    with pytest.raises(CheckpointError, match=r"not Wan's: it lacks 'post_quant_conv\.weight'"):
        open_vae(folder, "cpu")


def test_a_vae_of_other_latents_is_told(tmp_path: Path) -> None:
    vae = tiny_vae()
    vae.post_quant_conv = torch.nn.Conv3d(5, 5, 1)
    folder = made_folder(tmp_path / "model", vae)
    with pytest.raises(CheckpointError, match=r"have 5 channels, expected one of \[16, 48\]"):
        open_vae(folder, "cpu")
