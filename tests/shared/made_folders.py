"""A tiny converted folder of this project's layout: a VAE of the true channels, and a manifest."""

from dataclasses import replace
from pathlib import Path

import torch

from soul.checkpoints.layout import finish, whole, write_part
from soul.checkpoints.manifest import (
    MANIFEST,
    Manifest,
    Origin,
    read_manifest,
    write_manifest,
)
from soul.checkpoints.parts import VAE
from soul.checkpoints.sources import held
from soul.model.wan.vae import WanVae, WanVaeConfig

TINY_VAE = WanVaeConfig(encoder_width=4, decoder_width=4)


def tiny_vae(seed: int = 0) -> WanVae:
    """Random weights; pictures that are neither grey nor all black and white."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WanVae(TINY_VAE).eval().requires_grad_(False)


def made_folder(folder: Path, vae: WanVae) -> Path:
    """`folder`, with `vae` as its only part."""
    tensors = {name: held(value) for name, value in vae.state_dict().items()}
    with whole(folder) as work:
        files = write_part(work, VAE, tensors)
        parts = {VAE: tuple(file.path for file in files)}
        finish(work, Manifest(folder.name, (Origin("made here"),), files, parts))
    return folder


def forbidden(folder: Path) -> Path:
    """The same folder under a licence that forbids commercial use."""
    strict = Origin("talkverse-5b", "Snap Inc. Non-Commercial License", commercial=False)
    manifest = replace(read_manifest(folder / MANIFEST), origins=(strict,))
    write_manifest(manifest, folder / MANIFEST)
    return folder
